//! The names of tensors: those of llama.cpp, and those that transformers gives the same tensors.

use super::architecture::Family;

/// The names of a family: what stands before those of a layer's tensors, and pairs of parts.
struct Names {
    layers: &'static str,
    /// Parts outside of layers.
    outer: &'static [(&'static str, &'static str)],
    /// Parts of layers.
    inner: &'static [(&'static str, &'static str)],
}

const QWEN: Names = Names {
    layers: "model.layers",
    outer: &[("token_embd", "model.embed_tokens"), ("output_norm", "model.norm"), ("output", "lm_head")],
    inner: &[
        ("attn_norm", "input_layernorm"),
        ("attn_q", "self_attn.q_proj"),
        ("attn_k", "self_attn.k_proj"),
        ("attn_v", "self_attn.v_proj"),
        ("attn_q_norm", "self_attn.q_norm"),
        ("attn_k_norm", "self_attn.k_norm"),
        ("attn_output", "self_attn.o_proj"),
        ("ffn_norm", "post_attention_layernorm"),
        ("ffn_gate", "mlp.gate_proj"),
        ("ffn_up", "mlp.up_proj"),
        ("ffn_down", "mlp.down_proj"),
    ],
};

/// The parts of BERT's layers, in all families with its names.
const BERT_LAYER: &[(&str, &str)] = &[
    ("attn_q", "attention.self.query"),
    ("attn_k", "attention.self.key"),
    ("attn_v", "attention.self.value"),
    ("attn_output", "attention.output.dense"),
    ("attn_output_norm", "attention.output.LayerNorm"),
    ("ffn_up", "intermediate.dense"),
    ("ffn_down", "output.dense"),
    ("layer_output_norm", "output.LayerNorm"),
];

const BERT: Names = Names {
    layers: "bert.encoder.layer",
    outer: &[
        ("token_embd", "bert.embeddings.word_embeddings"),
        ("position_embd", "bert.embeddings.position_embeddings"),
        ("token_types", "bert.embeddings.token_type_embeddings"),
        ("token_embd_norm", "bert.embeddings.LayerNorm"),
        ("cls", "bert.pooler.dense"),
        ("cls.output", "classifier"),
    ],
    inner: BERT_LAYER,
};

const ROBERTA: Names = Names {
    layers: "roberta.encoder.layer",
    outer: &[
        ("token_embd", "roberta.embeddings.word_embeddings"),
        ("position_embd", "roberta.embeddings.position_embeddings"),
        ("token_types", "roberta.embeddings.token_type_embeddings"),
        ("token_embd_norm", "roberta.embeddings.LayerNorm"),
        ("cls", "classifier.dense"),
        ("cls.output", "classifier.out_proj"),
    ],
    inner: BERT_LAYER,
};

/// Those of jina-reranker-v2, whose queries, keys and values are one matrix.
const JINA: Names = Names {
    layers: "roberta.encoder.layers",
    outer: &[
        ("token_embd", "roberta.embeddings.word_embeddings"),
        ("position_embd", "roberta.embeddings.position_embeddings"),
        ("token_types", "roberta.embeddings.token_type_embeddings"),
        ("token_embd_norm", "roberta.emb_ln"),
        ("cls", "classifier.dense"),
        ("cls.output", "classifier.out_proj"),
    ],
    inner: &[
        ("attn_qkv", "mixer.Wqkv"),
        ("attn_output", "mixer.out_proj"),
        ("attn_output_norm", "norm1"),
        ("ffn_up", "mlp.fc1"),
        ("ffn_down", "mlp.fc2"),
        ("layer_output_norm", "norm2"),
    ],
};

const MODERNBERT: Names = Names {
    layers: "model.layers",
    outer: &[
        ("token_embd", "model.embeddings.tok_embeddings"),
        ("token_embd_norm", "model.embeddings.norm"),
        ("output_norm", "model.final_norm"),
        ("cls", "head.dense"),
        ("cls.norm", "head.norm"),
        ("cls.output", "classifier"),
    ],
    inner: &[
        ("attn_norm", "attn_norm"),
        ("attn_qkv", "attn.Wqkv"),
        ("attn_output", "attn.Wo"),
        ("ffn_norm", "mlp_norm"),
        ("ffn_up", "mlp.Wi"),
        ("ffn_down", "mlp.Wo"),
    ],
};

fn of_family(family: Family) -> Names {
    match family {
        Family::Qwen3 | Family::Qwen2 => QWEN,
        Family::Bert => BERT,
        Family::Roberta => ROBERTA,
        Family::Jina => JINA,
        Family::ModernBert => MODERNBERT,
    }
}

/// The name that llama.cpp gives a tensor of transformers, for messages.
pub(super) fn of_llama(name: &str, family: Family) -> String {
    let names = of_family(family);
    let known = |parts: &[(&'static str, &str)], part: &str| {
        parts.iter().find(|(_, other)| *other == part).map(|(own, _)| *own)
    };
    let translated = || {
        let (part, kind) = name.rsplit_once('.')?;
        let inner = part.strip_prefix(names.layers).and_then(|rest| rest.strip_prefix('.')?.split_once('.'));
        let Some((layer, part)) = inner else { return Some(format!("{}.{kind}", known(names.outer, part)?)) };
        Some(format!("blk.{layer}.{}.{kind}", known(names.inner, part)?))
    };
    translated().unwrap_or_else(|| name.to_owned())
}

/// The name that transformers gives a tensor; its own, if it has no such tensor.
pub(super) fn of_transformers(name: &str, family: Family) -> String {
    let names = of_family(family);
    let known = |parts: &[(&str, &'static str)], part: &str| {
        parts.iter().find(|(own, _)| *own == part).map(|(_, other)| *other)
    };
    let translated = || {
        let (part, kind) = name.rsplit_once('.').filter(|(_, kind)| ["weight", "bias"].contains(kind))?;
        let Some((layer, part)) = part.strip_prefix("blk.").and_then(|rest| rest.split_once('.')) else {
            return Some(format!("{}.{kind}", known(names.outer, part)?));
        };
        Some(format!("{}.{layer}.{}.{kind}", names.layers, known(names.inner, part)?))
    };
    translated().unwrap_or_else(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_have_the_names_of_transformers() {
        for (family, name, other) in [
            (Family::Qwen3, "blk.11.attn_q_norm.weight", "model.layers.11.self_attn.q_norm.weight"),
            (Family::Qwen2, "blk.0.attn_v.bias", "model.layers.0.self_attn.v_proj.bias"),
            (Family::Bert, "blk.1.layer_output_norm.bias", "bert.encoder.layer.1.output.LayerNorm.bias"),
            (Family::Roberta, "cls.output.weight", "classifier.out_proj.weight"),
            (Family::Jina, "blk.3.attn_qkv.bias", "roberta.encoder.layers.3.mixer.Wqkv.bias"),
            (Family::ModernBert, "cls.norm.weight", "head.norm.weight"),
            // No part of the family.
            (Family::Qwen3, "cls.output.weight", "cls.output.weight"),
            (Family::Qwen3, "blk.0.ffn_gate_exps.weight", "blk.0.ffn_gate_exps.weight"),
            (Family::Qwen3, "rope_freqs.weight", "rope_freqs.weight"),
        ] {
            assert_eq!(of_transformers(name, family), other);
            assert_eq!(of_llama(other, family), name);
        }
    }
}
