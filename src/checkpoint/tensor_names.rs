//! Names of tensors: which are harmless where they are not read, and what a name that is missing may be called instead.

use super::audit::some;

/// A language model's matrix of rows for the tokens that may come next.
pub(super) const LM_HEAD: &str = "lm_head.weight";

/// The reason why a tensor that is not read does no harm, if one is known.
pub(super) enum Harmless {
    /// A table that is computed from the configuration, which older versions of transformers stored.
    Table,
    /// Another head, for another job than this model's configuration states.
    Head,
}

/// Knows the usual tensors that reranking does not need.
pub(super) fn harmless(name: &str) -> Option<Harmless> {
    // Frequencies follow from rope_theta, positions count from 0, the types of a single text are 0, and masks follow from what is
    // looked at.
    const TABLES: [&str; 7] = [
        "rotary_emb.inv_freq",
        "rotary_emb.cos_cached",
        "rotary_emb.sin_cached",
        "position_ids",
        "token_type_ids",
        "masked_bias",
        "attn_mask",
    ];
    // These are heads of a language model whose rows are the embedding's or which became a classifier; of a classifier that is run as a
    // language model; of a pooled vector; of a value function from reinforcement learning; of other tasks, such as pretraining.
    const HEADS: [&str; 13] = [
        "lm_head",
        "score",
        "classifier",
        "classification_head",
        "pooler",
        "v_head",
        "qa_outputs",
        "cls",
        "discriminator_predictions",
        "generator_predictions",
        "vocab_transform",
        "vocab_layer_norm",
        "vocab_projector",
    ];
    if TABLES
        .iter()
        .any(|table| name.strip_suffix(table).is_some_and(|before| before.is_empty() || before.ends_with('.')))
    {
        return Some(Harmless::Table);
    }
    let first = bare(name).split('.').next()?;
    HEADS.contains(&first).then_some(Harmless::Head)
}

/// What stands before the names of a model's parts where a head is beside it, by family.
const BASES: [&str; 8] = ["model.", "language_model.", "bert.", "roberta.", "electra.", "distilbert.", "gte.", "new."];

/// A stored name without what may stand before the names of parts.
pub(super) fn bare(name: &str) -> &str {
    let mut bare = name;
    while let Some(rest) = BASES.iter().find_map(|base| bare.strip_prefix(base)) {
        bare = rest;
    }
    bare
}

/// The names under which a tensor of a description is looked for. The first three are those under which transformers finds it:
/// its own, that of a model which was saved without its head, and that of one which was wrapped once more. The others are those
/// of the text part of a larger model. Behind each is that of the first versions of transformers, which called the parts of a norm
/// as TensorFlow does.
pub(super) fn stored_names(name: &str) -> Vec<String> {
    let older = |name: &str| {
        let of = |part: &str, older: &str| Some(format!("{}{older}", name.strip_suffix(part)?));
        of("LayerNorm.weight", "LayerNorm.gamma").or(of("LayerNorm.bias", "LayerNorm.beta"))
    };
    names_in_wrappers(name)
        .into_iter()
        .flat_map(|name| [older(&name), Some(name)].into_iter().rev().flatten())
        .collect()
}

/// The names that a part of a model has in models that have the model as a part, or that are a part of it.
pub(super) fn names_in_wrappers(name: &str) -> [String; 6] {
    let bare = BASES.iter().find_map(|base| name.strip_prefix(base)).unwrap_or(name);
    [
        name.to_owned(),
        bare.to_owned(),
        format!("model.{name}"),
        format!("language_model.{name}"),
        format!("language_model.{bare}"),
        format!("model.language_model.{bare}"),
    ]
}

/// Why a tensor that a model needs is not among `names`, and what to do: the end of a sentence.
pub(super) fn instead(missing: &str, names: &[&String]) -> String {
    for name in names {
        if let Some(prefix) = name.strip_suffix(missing).filter(|prefix| prefix.ends_with('.')) {
            return format!("its name is {name}; save the model without what wraps it in training ({prefix})");
        }
    }
    let found = match names {
        [] => "the checkpoint has no tensors".to_owned(),
        names => {
            let mut sorted = names.to_vec();
            sorted.sort_unstable();
            format!("the checkpoint has {}", some(&sorted))
        }
    };
    match missing {
        "lm_head.weight" => format!(
            "is the model complete? If its head is its embedding, tie_word_embeddings is true in its config.json ({found})"
        ),
        _ => format!("is the model complete? {}", found.replacen("the", "The", 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_names_of_a_missing_tensor_are_understood() {
        for (missing, name, named) in [
            ("model.norm.weight", "base_model.model.model.norm.weight", "(base_model.model.)"),
            ("lm_head.weight", "module.lm_head.weight", "(module.)"),
            ("lm_head.weight", "model.norm.weight", "tie_word_embeddings"),
            ("model.norm.weight", "model.score_norm.weight", "complete? The checkpoint has model.score_norm.weight"),
        ] {
            let reason = instead(missing, &[&name.to_owned()]);
            assert!(reason.contains(named), "{reason}");
        }
    }

    #[test]
    fn usual_extras_are_known_and_layers_are_not() {
        for name in ["model.layers.0.self_attn.rotary_emb.inv_freq", "embeddings.position_ids", "rotary_emb.inv_freq"] {
            assert!(matches!(harmless(name), Some(Harmless::Table)), "{name}");
        }
        for name in ["lm_head.weight", "score.weight", "v_head.summary.bias", "roberta.pooler.dense.weight"] {
            assert!(matches!(harmless(name), Some(Harmless::Head)), "{name}");
        }
        for name in [
            "model.layers.3.mlp.up_proj.weight",
            "model.layers.0.self_attn.q_proj.bias",
            "model.layers.0.self_attn.q_proj.lora_A.weight",
            "model.score_norm.weight",
        ] {
            assert!(harmless(name).is_none(), "{name}");
        }
    }
}
