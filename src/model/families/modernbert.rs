//! ModernBERT: see `modeling_modernbert.py` of transformers.

use anyhow::{Result, bail, ensure};

use super::{Family, activation, labels, layer_count, rotary, windows};
use crate::fields::Fields;
use crate::model::{
    Activation, Architecture, Attention, Embedding, Head, HeadOutput, HeadStep, Heads, Layer, Linear, Mask, Mlp, Norm,
    NormPlacement, Pooling, Rotary, Tensor,
};

pub(super) const FAMILY: Family = Family {
    model_types: &["modernbert"],
    classes: &[(
        "ModernBertForSequenceClassification",
        "gte-reranker-modernbert, granite-embedding-reranker-english-r2, ruri-v3-reranker",
    )],
    code: &[],
    read: &[&READ],
    describe,
};

/// The fields that are read here, or that the family has and that have no effect.
const READ: [&str; 32] = [
    "attention_bias",
    "classifier_activation",
    "classifier_bias",
    "classifier_pooling",
    "global_attn_every_n_layers",
    "global_rope_theta",
    "hidden_activation",
    "hidden_size",
    "intermediate_size",
    "is_causal",
    "layer_types",
    "local_attention",
    "local_rope_theta",
    "max_position_embeddings",
    "mlp_bias",
    "norm_bias",
    "norm_eps",
    "num_attention_heads",
    "num_hidden_layers",
    "rope_parameters",
    "rope_scaling",
    "vocab_size",
    // Those of a language model's head and of training.
    "decoder_bias",
    "initializer_cutoff_factor",
    "sparse_pred_ignore_index",
    "sparse_prediction",
    "tie_word_embeddings",
    // How transformers computes.
    "deterministic_flash_attn",
    "reference_compile",
    "repad_logits_with_grad",
    // Published configurations have these, and no version of the model reads them: what counts is norm_eps, and rotary
    // embeddings are the only positions.
    "layer_norm_eps",
    "position_embedding_type",
];

// What transformers takes where a field is missing.
const DEFAULT_MAX_LENGTH: usize = 8192;
const DEFAULT_NORM_EPSILON: f64 = 1e-5;
const DEFAULT_LOCAL_ATTENTION: usize = 128;
const DEFAULT_GLOBAL_EVERY: usize = 3;
const DEFAULT_GLOBAL_THETA: f64 = 160_000.;
const DEFAULT_LOCAL_THETA: f64 = 10_000.;

fn describe(_: &str, fields: Fields<'_>) -> Result<Architecture> {
    labels::check(fields)?;
    ensure!(!fields.flag("is_causal")?, "is_causal is true, and this family's attention looks both ways");
    let body = Body::read(fields)?;
    let hidden = body.hidden;
    let layers = are_global(fields)?.into_iter().enumerate().map(|(index, global)| body.layer(index, global)).collect();
    let vocabulary = fields.required_size("vocab_size")?;
    Ok(Architecture {
        family: "modernbert",
        hidden,
        max_length: fields.size("max_position_embeddings")?.unwrap_or(DEFAULT_MAX_LENGTH),
        embedding: Embedding {
            norm: Some(body.norm("model.embeddings.norm")),
            ..Embedding::of_tokens(Tensor::matrix("model.embeddings.tok_embeddings.weight", vocabulary, hidden))
        },
        layers,
        final_norm: Some(body.norm("model.final_norm")),
        pooling: pooling(fields)?,
        padding: None,
        head: head(fields, &body)?,
    })
}

/// Which layers see the whole prompt; the others see a window.
fn are_global(fields: Fields<'_>) -> Result<Vec<bool>> {
    let layers = layer_count(fields)?;
    let kinds = windows::kinds(fields, layers)?;
    if kinds.is_empty() {
        let every = fields.size("global_attn_every_n_layers")?.unwrap_or(DEFAULT_GLOBAL_EVERY);
        return Ok((0..layers).map(|layer| layer.is_multiple_of(every)).collect());
    }
    let is_global = |kind: &&str| match *kind {
        "full_attention" => Ok(true),
        "sliding_attention" => Ok(false),
        other => bail!("layer_types has `{other}`, and can have full_attention and sliding_attention"),
    };
    kinds.iter().map(is_global).collect()
}

fn pooling(fields: Fields<'_>) -> Result<Pooling> {
    match fields.text("classifier_pooling")?.unwrap_or("cls") {
        "cls" => Ok(Pooling::FirstToken),
        "mean" => Ok(Pooling::Mean),
        other => bail!("classifier_pooling is `{other}`, and can be cls or mean"),
    }
}

fn head(fields: Fields<'_>, body: &Body) -> Result<Head> {
    let hidden = body.hidden;
    let dense = linear("head.dense", hidden, hidden, fields.flag("classifier_bias")?);
    let activation = activation::of_field(fields, "classifier_activation")?;
    Ok(Head {
        steps: vec![HeadStep::Dense(dense, Some(activation)), HeadStep::Norm(body.norm("head.norm"))],
        output: HeadOutput::Classifier(Linear::biased("classifier", 1, hidden)),
        temperature: 1.,
    })
}

fn linear(name: &str, outputs: usize, inputs: usize, bias: bool) -> Linear {
    if bias { Linear::biased(name, outputs, inputs) } else { Linear::new(name, outputs, inputs) }
}

/// What layers are made of.
struct Body {
    hidden: usize,
    intermediate: usize,
    heads: Heads,
    activation: Activation,
    /// Whether norms, attention and the MLP have biases.
    norm_bias: bool,
    attention_bias: bool,
    mlp_bias: bool,
    epsilon: f64,
    /// The farthest that a layer with a window looks.
    window: usize,
    /// The rotary embeddings of global and of other layers.
    rotary: [Rotary; 2],
}

impl Body {
    fn read(fields: Fields<'_>) -> Result<Self> {
        let hidden = fields.required_size("hidden_size")?;
        let heads = fields.required_size("num_attention_heads")?;
        ensure!(hidden.is_multiple_of(heads), "{hidden} features can't be shared evenly by {heads} heads");
        let head_dim = hidden / heads;
        ensure!(head_dim.is_multiple_of(2), "heads of {head_dim} features can't turn in pairs");
        let epsilon = fields.number("norm_eps")?.unwrap_or(DEFAULT_NORM_EPSILON);
        ensure!(epsilon < 1., "norm_eps is {epsilon}, and should be far below 1, such as 1e-5");
        let kinds = [
            ("full_attention", "global_rope_theta", DEFAULT_GLOBAL_THETA),
            ("sliding_attention", "local_rope_theta", DEFAULT_LOCAL_THETA),
        ];
        let rotary = rotary::of_kinds(fields, kinds, head_dim)?;
        Ok(Self {
            hidden,
            intermediate: fields.required_size("intermediate_size")?,
            heads: Heads { query: heads, key: heads, head_dim },
            activation: activation::of_field(fields, "hidden_activation")?,
            norm_bias: fields.flag("norm_bias")?,
            attention_bias: fields.flag("attention_bias")?,
            mlp_bias: fields.flag("mlp_bias")?,
            epsilon,
            window: fields.size("local_attention")?.unwrap_or(DEFAULT_LOCAL_ATTENTION) / 2,
            rotary,
        })
    }

    fn norm(&self, name: &str) -> Norm {
        let norm = Norm::layer(name, self.hidden, self.epsilon);
        if self.norm_bias { norm } else { Norm { bias: None, ..norm } }
    }

    fn layer(&self, index: usize, global: bool) -> Layer {
        let Self { hidden, intermediate, heads, .. } = *self;
        let name = |part: &str| format!("model.layers.{index}.{part}");
        let products = linear(&name("attn.Wqkv"), 3 * hidden, hidden, self.attention_bias);
        let inner = linear(&name("mlp.Wi"), 2 * intermediate, hidden, self.mlp_bias);
        let [of_global, of_window] = self.rotary;
        Layer {
            placement: NormPlacement::Before,
            // The embedding's norm stands in its place.
            attention_norm: (index > 0).then(|| self.norm(&name("attn_norm"))),
            attention: Attention {
                heads,
                query: products.part(0..hidden),
                key: products.part(hidden..2 * hidden),
                value: products.part(2 * hidden..3 * hidden),
                output: linear(&name("attn.Wo"), hidden, hidden, self.attention_bias),
                query_key_norms: None,
                rotary: Some(if global { of_global } else { of_window }),
                relative: None,
                mask: Mask::Bidirectional,
                window: (!global).then_some(self.window),
                scale: heads.usual_scale(),
            },
            mlp_norm: self.norm(&name("mlp_norm")),
            mlp: Mlp::Gated {
                gate: inner.part(0..intermediate),
                up: inner.part(intermediate..2 * intermediate),
                down: linear(&name("mlp.Wo"), hidden, intermediate, self.mlp_bias),
                activation: self.activation,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn parse(changes: &Value) -> Result<Architecture> {
        let mut config = json!({
            "model_type": "modernbert", "architectures": ["ModernBertForSequenceClassification"], "vocab_size": 90,
            "hidden_size": 24, "intermediate_size": 30, "num_hidden_layers": 5, "num_attention_heads": 2
        });
        for (name, value) in changes.as_object().unwrap() {
            config[name] = value.clone();
        }
        Architecture::of_config(&config)
    }

    fn windows(model: &Architecture) -> Vec<Option<usize>> {
        model.layers.iter().map(|layer| layer.attention.window).collect()
    }

    fn thetas(model: &Architecture) -> Vec<f64> {
        model.layers.iter().map(|layer| layer.attention.rotary.unwrap().theta).collect()
    }

    #[test]
    fn what_is_not_given_is_what_transformers_takes() {
        let model = parse(&json!({})).unwrap();
        assert_eq!(windows(&model), [None, Some(64), Some(64), None, Some(64)]);
        assert_eq!(thetas(&model), [160_000., 1e4, 1e4, 160_000., 1e4]);
        assert_eq!((model.max_length, model.pooling), (8192, Pooling::FirstToken));
    }

    #[test]
    fn layers_are_of_the_kinds_that_are_listed() {
        let rope = |theta: f64| json!({"rope_theta": theta, "rope_type": "default"});
        let kinds = ["sliding_attention", "full_attention", "full_attention", "full_attention", "sliding_attention"];
        let model = parse(&json!({
            "layer_types": kinds, "local_attention": 9, "global_attn_every_n_layers": 1, "local_rope_theta": 7.0,
            "rope_parameters": {"full_attention": rope(5.), "sliding_attention": {"rope_type": "default"}}
        }));
        let model = model.unwrap();
        assert_eq!(windows(&model), [Some(4), None, None, None, Some(4)]);
        assert_eq!(thetas(&model), [7., 5., 5., 5., 7.]);
    }

    #[test]
    fn what_is_not_supported_is_refused_by_name() {
        for (changes, named) in [
            (json!({"classifier_pooling": "max"}), "classifier_pooling is `max`"),
            (json!({"classifier_activation": "mish"}), "classifier_activation `mish`"),
            (json!({"hidden_activation": "relu2"}), "hidden_activation `relu2`"),
            (json!({"layer_types": ["full_attention"]}), "layer_types has 1 entries"),
            (json!({"layer_types": vec!["chunked_attention"; 5]}), "`chunked_attention`"),
            (json!({"global_attn_every_n_layers": 0}), "global_attn_every_n_layers is 0"),
            (json!({"rope_scaling": {"type": "linear", "factor": 2.0}}), "rope_scaling"),
            (json!({"rope_parameters": {"rope_theta": 1e4}}), "rope_parameters has `rope_theta`"),
            (
                json!({"rope_parameters": {"sliding_attention": {"rope_type": "yarn", "factor": 4.0}}}),
                "rope_parameters.sliding_attention: rope scaling `yarn`",
            ),
            (json!({"local_rope_theta": null}), "local_rope_theta is null"),
            (json!({"sliding_window": 64}), "sliding_window"),
            (json!({"head_dim": 16}), "head_dim"),
            (json!({"is_causal": true}), "is_causal"),
            (json!({"num_attention_heads": 5}), "evenly"),
            (json!({"num_attention_heads": 8}), "heads of 3 features"),
            (json!({"norm_bias": 1}), "norm_bias is 1"),
            (json!({"id2label": {"0": "no", "1": "yes"}}), "2 labels"),
        ] {
            let message = format!("{:#}", parse(&changes).unwrap_err());
            assert!(message.contains(named), "{message}");
        }
    }
}
