//! Alibaba's gte encoders: see `modeling_gte.py` of transformers. Published configurations have the model type `new` and name
//! code of their own, which computes the same.

use anyhow::{Context, Result, bail, ensure};

use super::{Family, activation, encoder, labels, layer_count, rotary};
use crate::fields::Fields;
use crate::model::{
    Activation, Architecture, Attention, Embedding, HeadStep, Heads, Layer, Linear, Mask, Mlp, Norm, NormPlacement,
    Pooling, Rotary, RotaryScaling, Tensor,
};

pub(super) const FAMILY: Family = Family {
    model_types: &["new", "gte"],
    classes: &[
        ("NewForSequenceClassification", "gte-multilingual-reranker-base"),
        ("GteForSequenceClassification", "the same"),
    ],
    code: &["NewConfig"],
    read: &[&READ],
    describe,
};

/// The fields that are read here, or that the family has and that have no effect.
const READ: [&str; 21] = [
    "hidden_act",
    "hidden_size",
    "intermediate_size",
    "layer_norm_eps",
    "layer_norm_type",
    "logn_attention_scale",
    "max_position_embeddings",
    "num_attention_heads",
    "num_hidden_layers",
    "pack_qkv",
    "partial_rotary_factor",
    "position_embedding_type",
    "rope_parameters",
    "rope_scaling",
    "rope_theta",
    "type_vocab_size",
    "vocab_size",
    // Bounds the scale of attention, which is refused.
    "logn_attention_clip1",
    // Of language models.
    "tie_word_embeddings",
    // How the published code computes.
    "unpad_inputs",
    "use_memory_efficient_attention",
];

// What transformers takes where a field is missing, and what the published code does.
const DEFAULT_MAX_LENGTH: usize = 8192;
const DEFAULT_MAX_LENGTH_PUBLISHED: usize = 2048;
const DEFAULT_THETA: [f64; 2] = [160_000., rotary::USUAL_THETA];
const DEFAULT_NORM_EPSILON: f64 = 1e-12;
const DEFAULT_TOKEN_TYPES: usize = 1;

/// How a checkpoint names its tensors, and which of them are one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Names {
    /// As transformers does.
    Native,
    /// As the published code does, with queries, keys and values in one tensor, and both inner products of the MLP.
    Published {
        /// What stands before all names but those of the head.
        prefix: &'static str,
        /// Whether queries, keys and values are one tensor.
        packed: bool,
    },
}

/// What stands before the names of tensors in published checkpoints, and in those of transformers.
const PUBLISHED: &str = "new";
const NATIVE: &str = "gte";

impl Names {
    fn prefix(self) -> &'static str {
        match self {
            Self::Native => NATIVE,
            Self::Published { prefix, .. } => prefix,
        }
    }
}

fn describe(_: &str, fields: Fields<'_>) -> Result<Architecture> {
    labels::check(fields)?;
    check_features(fields)?;
    let published = fields.text("model_type")? == Some("new");
    let names = match published {
        true => Names::Published { prefix: PUBLISHED, packed: fields.flag_or_true("pack_qkv")? },
        false => Names::Native,
    };
    let body = Body::read(fields, published)?;
    let layers = layer_count(fields)?;
    let default_max_length = if published { DEFAULT_MAX_LENGTH_PUBLISHED } else { DEFAULT_MAX_LENGTH };
    let max_length = fields.size("max_position_embeddings")?.unwrap_or(default_max_length);
    let token_types = fields.count_from_zero("type_vocab_size")?.unwrap_or(DEFAULT_TOKEN_TYPES);
    Ok(body.describe(Outside {
        names,
        layers,
        max_length,
        token_types,
        vocabulary: fields.required_size("vocab_size")?,
    }))
}

/// The same model under the names that the published checkpoints have, whose configuration was rewritten for transformers,
/// and under those that transformers itself writes: the published ones behind its own prefix.
pub(super) fn under_published_names(native: &Architecture) -> Vec<Architecture> {
    [PUBLISHED, NATIVE].into_iter().filter_map(|prefix| renamed(native, prefix)).collect()
}

fn renamed(native: &Architecture, prefix: &'static str) -> Option<Architecture> {
    let Architecture { hidden, max_length, embedding, layers, pooling, head, .. } = native;
    let first = layers.first()?;
    if !embedding.tokens.name.starts_with("gte.") {
        return None;
    }
    let body = Body {
        hidden: *hidden,
        intermediate: first.mlp.intermediate(),
        heads: first.attention.heads,
        activation: first.mlp.activation(),
        epsilon: first.mlp_norm.epsilon,
        rotary: first.attention.rotary?,
    };
    let token_types = embedding.token_types.as_ref().map_or(0, |types| types.rows.len());
    let named = body.describe(Outside {
        names: Names::Published { prefix, packed: true },
        layers: layers.len(),
        max_length: *max_length,
        token_types,
        vocabulary: native.vocabulary(),
    });
    // A head of other files has no other names.
    let is_own = matches!(head.steps.first(), Some(HeadStep::Dense(dense, _)) if dense.weight.name.starts_with("gte."));
    Some(if is_own { named } else { Architecture { pooling: *pooling, head: head.clone(), ..named } })
}

fn check_features(fields: Fields<'_>) -> Result<()> {
    for (field, only) in [("layer_norm_type", "layer_norm"), ("position_embedding_type", "rope")] {
        let value = fields.text(field)?.unwrap_or(only);
        ensure!(value == only, "{field} `{value}` is not supported, only {only}");
    }
    ensure!(
        !fields.flag("logn_attention_scale")?,
        "logn_attention_scale is true, by which attention depends on a prompt's length, and is not supported"
    );
    Ok(())
}

/// The rotary embedding of the published code: scaled for longer prompts whatever a prompt's length is.
fn published_rotary(fields: Fields<'_>, head_dim: usize) -> Result<Rotary> {
    ensure!(
        fields.object("rope_parameters")?.is_none(),
        "rope_parameters is not read in models of the type new; write rope_theta and rope_scaling"
    );
    let theta = fields.number("rope_theta")?.unwrap_or(DEFAULT_THETA[1]);
    let Some(scaling) = fields.object("rope_scaling")? else { return rotary::of_theta(theta, head_dim) };
    let read = || -> Result<Rotary> {
        let kind = scaling.text("type")?.context("it has no type")?;
        ensure!(kind == "ntk", "type `{kind}` is not supported, only ntk");
        if let Some(other) = scaling.others(&["type", "factor"]).first() {
            bail!("it has `{other}`, which this version of rerank does not know");
        }
        let factor = scaling.number("factor")?.context("it has no factor")?;
        ensure!(factor >= 1., "factor is {factor}, and should be 1 or more");
        let scaling = RotaryScaling::Linear(factor.powf(2. / head_dim as f64));
        Ok(Rotary { scaling, ..rotary::of_theta(theta * factor, head_dim)? })
    };
    read().context("rope_scaling")
}

/// What layers are made of.
struct Body {
    hidden: usize,
    intermediate: usize,
    heads: Heads,
    activation: Activation,
    epsilon: f64,
    rotary: Rotary,
}

/// What is around the layers.
struct Outside {
    names: Names,
    layers: usize,
    max_length: usize,
    token_types: usize,
    vocabulary: usize,
}

impl Body {
    fn read(fields: Fields<'_>, published: bool) -> Result<Self> {
        let hidden = fields.required_size("hidden_size")?;
        let heads = fields.required_size("num_attention_heads")?;
        ensure!(hidden.is_multiple_of(heads), "{hidden} features can't be shared evenly by {heads} heads");
        let head_dim = hidden / heads;
        ensure!(head_dim.is_multiple_of(2), "heads of {head_dim} features can't turn in pairs");
        let epsilon = fields.number("layer_norm_eps")?.unwrap_or(DEFAULT_NORM_EPSILON);
        ensure!(epsilon < 1., "layer_norm_eps is {epsilon}, and should be far below 1, such as 1e-12");
        let rotary = match published {
            true => published_rotary(fields, head_dim)?,
            false => rotary::read(fields, head_dim, DEFAULT_THETA[0])?,
        };
        Ok(Self {
            hidden,
            intermediate: fields.required_size("intermediate_size")?,
            heads: Heads { query: heads, key: heads, head_dim },
            activation: activation::of_field(fields, "hidden_act")?,
            epsilon,
            rotary,
        })
    }

    fn describe(&self, outside: Outside) -> Architecture {
        let Outside { names, layers, max_length, token_types, vocabulary } = outside;
        let hidden = self.hidden;
        let prefix = names.prefix();
        let table =
            |kind: &str, rows: usize| Tensor::matrix(format!("{prefix}.embeddings.{kind}.weight"), rows, hidden);
        Architecture {
            family: "gte",
            hidden,
            max_length,
            embedding: Embedding {
                token_types: (token_types > 0).then(|| table("token_type_embeddings", token_types)),
                norm: Some(self.norm(&format!("{prefix}.embeddings.LayerNorm"))),
                ..Embedding::of_tokens(table("word_embeddings", vocabulary))
            },
            layers: (0..layers).map(|layer| self.layer(layer, names)).collect(),
            final_norm: None,
            pooling: Pooling::FirstToken,
            padding: None,
            head: encoder::head(hidden, &format!("{prefix}.pooler.dense"), Activation::Tanh, "classifier"),
        }
    }

    fn norm(&self, name: &str) -> Norm {
        Norm::layer(name, self.hidden, self.epsilon)
    }

    fn layer(&self, index: usize, names: Names) -> Layer {
        let Self { hidden, heads, .. } = *self;
        let native = names == Names::Native;
        let name = |native_name: &str, published: &str| match native {
            true => format!("{NATIVE}.layers.{index}.{native_name}"),
            false => format!("{}.encoder.layer.{index}.{published}", names.prefix()),
        };
        let product = |row: usize, part: &str| match names {
            Names::Published { packed: true, .. } => {
                let all = Linear::biased(&name("", "attention.qkv_proj"), 3 * hidden, hidden);
                all.part(row * hidden..(row + 1) * hidden)
            }
            _ => Linear::biased(&name(&format!("self_attn.{part}"), &format!("attention.{part}")), hidden, hidden),
        };
        Layer {
            placement: NormPlacement::After,
            attention_norm: Some(self.norm(&name("post_attention_layernorm", "attn_ln"))),
            attention: Attention {
                heads,
                query: product(0, "q_proj"),
                key: product(1, "k_proj"),
                value: product(2, "v_proj"),
                output: Linear::biased(&name("self_attn.o_proj", "attention.o_proj"), hidden, hidden),
                query_key_norms: None,
                rotary: Some(self.rotary),
                relative: None,
                mask: Mask::Bidirectional,
                window: None,
                scale: heads.usual_scale(),
            },
            mlp_norm: self.norm(&name("post_mlp_layernorm", "mlp_ln")),
            mlp: self.mlp(&name, native),
        }
    }

    fn mlp(&self, name: &dyn Fn(&str, &str) -> String, native: bool) -> Mlp {
        let Self { hidden, intermediate, activation, .. } = *self;
        let (up, gate) = if native {
            let inner = |part: &str| Linear::new(&name(part, part), intermediate, hidden);
            (inner("mlp.up_proj"), inner("mlp.gate_proj"))
        } else {
            let both = Linear::new(&name("", "mlp.up_gate_proj"), 2 * intermediate, hidden);
            (both.part(0..intermediate), both.part(intermediate..2 * intermediate))
        };
        let down = Linear::biased(&name("mlp.down_proj", "mlp.down_proj"), hidden, intermediate);
        Mlp::Gated { gate, up, down, activation }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn parse(changes: &Value) -> Result<Architecture> {
        let mut config = json!({
            "model_type": "new", "architectures": ["NewForSequenceClassification"], "vocab_size": 90,
            "auto_map": {"AutoConfig": "Alibaba-NLP/new-impl--configuration.NewConfig"}, "hidden_size": 24,
            "intermediate_size": 30, "num_hidden_layers": 2, "num_attention_heads": 2, "rope_theta": 20_000,
            "rope_scaling": {"factor": 8.0, "type": "ntk"}, "id2label": {"0": "LABEL_0"}
        });
        for (name, value) in changes.as_object().unwrap() {
            config[name] = value.clone();
        }
        Architecture::of_config(&config)
    }

    #[test]
    fn the_configuration_of_transformers_describes_the_same_model() {
        let published = parse(&json!({})).unwrap();
        let native = parse(&json!({
            "model_type": "gte", "architectures": ["GteForSequenceClassification"], "auto_map": null, "rope_theta": null,
            "rope_scaling": null, "max_position_embeddings": 2048,
            "rope_parameters": {"rope_type": "linear", "factor": 8f64.powf(2. / 12.), "rope_theta": 160_000.0}
        }));
        let native = native.unwrap();
        assert_eq!(native.layers[1].mlp.down().weight.name, "gte.layers.1.mlp.down_proj.weight");
        let [other, written] = under_published_names(&native).try_into().unwrap();
        assert_eq!(other, published);
        assert_eq!(written.layers[1].mlp.down().weight.name, "gte.encoder.layer.1.mlp.down_proj.weight");
        assert_eq!(under_published_names(&published), []);
    }

    #[test]
    fn products_are_stored_together_or_apart() {
        let name = |changes: &Value| parse(changes).unwrap().layers[1].attention.key.weight.clone();
        let together = Tensor::matrix("new.encoder.layer.1.attention.qkv_proj.weight", 72, 24).part(24..48);
        assert_eq!(name(&json!({})), together);
        let apart = Tensor::matrix("new.encoder.layer.1.attention.k_proj.weight", 24, 24);
        assert_eq!(name(&json!({"pack_qkv": false})), apart);
        assert_eq!(parse(&json!({"type_vocab_size": 0})).unwrap().embedding.token_types, None);
    }

    #[test]
    fn what_is_not_supported_is_refused_by_name() {
        for (changes, named) in [
            (json!({"logn_attention_scale": true}), "logn_attention_scale is true"),
            (json!({"layer_norm_type": "rms_norm"}), "layer_norm_type `rms_norm`"),
            (json!({"position_embedding_type": "absolute"}), "position_embedding_type `absolute`"),
            (json!({"rope_scaling": {"factor": 8.0, "type": "dynamic"}}), "rope_scaling: type `dynamic`"),
            (json!({"rope_scaling": {"factor": 8.0, "type": "ntk", "mixed_b": 0.3}}), "mixed_b"),
            (json!({"rope_scaling": {"factor": 0.5, "type": "ntk"}}), "factor is 0.5"),
            (json!({"rope_scaling": {"type": "ntk"}}), "no factor"),
            (json!({"rope_parameters": {"rope_theta": 1e4}}), "rope_parameters"),
            (json!({"auto_map": {"AutoConfig": "other--code.OwnConfig"}}), "OwnConfig"),
            (json!({"hidden_act": "mish"}), "hidden_act `mish`"),
            (json!({"embedding_size": 12}), "embedding_size"),
            (json!({"num_labels": 2}), "2 labels"),
        ] {
            let message = format!("{:#}", parse(&changes).unwrap_err());
            assert!(message.contains(named), "{message}");
        }
    }
}
