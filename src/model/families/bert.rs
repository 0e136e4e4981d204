//! BERT and XLM-RoBERTa: see `modeling_bert.py` and `modeling_xlm_roberta.py` of transformers.

use anyhow::{Context, Result, ensure};

use super::{Family, MOST_LAYERS};
use crate::fields::Fields;
use crate::model::{
    Activation, Architecture, Attention, Embedding, Head, HeadOutput, HeadStep, Heads, Layer, Linear, Mask, Mlp, Norm,
    NormPlacement, Pooling, Positions, Tensor,
};

const BERT: &str = "BertForSequenceClassification";

pub(super) const FAMILY: Family = Family {
    model_types: &["bert", "xlm-roberta"],
    classes: &[(BERT, "one label"), ("XLMRobertaForSequenceClassification", "one label")],
    has_recipe: false,
    read: &READ,
    describe,
};

/// The fields that are read here.
const READ: [&str; 13] = [
    "hidden_act",
    "hidden_size",
    "intermediate_size",
    "layer_norm_eps",
    "max_position_embeddings",
    "num_attention_heads",
    "num_hidden_layers",
    "num_labels",
    "pad_token_id",
    "position_embedding_type",
    "id2label",
    "type_vocab_size",
    "vocab_size",
];

fn describe(class: &str, fields: Fields<'_>) -> Result<Architecture> {
    let is_bert = class == BERT;
    let prefix = if is_bert { "bert" } else { "roberta" };
    let labels = fields.size("num_labels")?.or(fields.count("id2label")).unwrap_or(1);
    ensure!(labels == 1, "it has {labels} labels, and a reranker has one");
    let activation = fields.text("hidden_act")?.unwrap_or("gelu");
    ensure!(activation == "gelu", "hidden_act `{activation}` is not supported, only gelu");
    let positions = fields.text("position_embedding_type")?.unwrap_or("absolute");
    ensure!(positions == "absolute", "position_embedding_type `{positions}` is not supported, only absolute");
    let sizes = Sizes::read(fields)?;
    let Sizes { hidden, epsilon, .. } = sizes;
    let layers = fields.required_size("num_hidden_layers")?;
    ensure!(layers <= MOST_LAYERS, "num_hidden_layers is {layers}, and can be up to {MOST_LAYERS}");
    let rows = fields.required_size("max_position_embeddings")?;
    // The row of the padding token and those before it belong to no position.
    let padding = fields.count_from_zero("pad_token_id")?.unwrap_or(1);
    let first = if is_bert { 0 } else { padding + 1 };
    let max_length = rows.checked_sub(first).context("max_position_embeddings leaves no position")?;
    let table =
        |kind: &str, rows: usize| Tensor::matrix(format!("{prefix}.embeddings.{kind}_embeddings.weight"), rows, hidden);
    let dense = if is_bert { "bert.pooler.dense" } else { "classifier.dense" };
    let output = if is_bert { "classifier" } else { "classifier.out_proj" };
    Ok(Architecture {
        family: if is_bert { "bert" } else { "xlm-roberta" },
        hidden,
        max_length,
        embedding: Embedding {
            tokens: table("word", fields.required_size("vocab_size")?),
            scale: 1.,
            positions: Some(Positions { table: table("position", rows), first }),
            token_types: Some(table("token_type", fields.required_size("type_vocab_size")?)),
            norm: Some(Norm::layer(&format!("{prefix}.embeddings.LayerNorm"), hidden, epsilon)),
            projection: None,
        },
        layers: (0..layers).map(|layer| sizes.layer(&format!("{prefix}.encoder.layer.{layer}"))).collect(),
        final_norm: None,
        pooling: Pooling::FirstToken,
        padding: None,
        head: Head {
            steps: vec![HeadStep::Dense(Linear::biased(dense, hidden, hidden), Some(Activation::Tanh))],
            output: HeadOutput::Classifier(Linear::biased(output, 1, hidden)),
            temperature: 1.,
        },
    })
}

/// The sizes of a layer.
struct Sizes {
    hidden: usize,
    intermediate: usize,
    heads: Heads,
    epsilon: f64,
}

impl Sizes {
    fn read(fields: Fields<'_>) -> Result<Self> {
        let hidden = fields.required_size("hidden_size")?;
        let heads = fields.required_size("num_attention_heads")?;
        ensure!(hidden.is_multiple_of(heads), "{hidden} features can't be shared evenly by {heads} heads");
        Ok(Self {
            hidden,
            intermediate: fields.required_size("intermediate_size")?,
            heads: Heads { query: heads, key: heads, head_dim: hidden / heads },
            epsilon: fields.number("layer_norm_eps")?.unwrap_or(1e-12),
        })
    }

    fn layer(&self, name: &str) -> Layer {
        let Self { hidden, intermediate, heads, epsilon } = *self;
        let linear =
            |part: &str, outputs: usize, inputs: usize| Linear::biased(&format!("{name}.{part}"), outputs, inputs);
        let norm = |part: &str| Norm::layer(&format!("{name}.{part}"), hidden, epsilon);
        Layer {
            placement: NormPlacement::After,
            attention_norm: Some(norm("attention.output.LayerNorm")),
            attention: Attention {
                heads,
                query: linear("attention.self.query", hidden, hidden),
                key: linear("attention.self.key", hidden, hidden),
                value: linear("attention.self.value", hidden, hidden),
                output: linear("attention.output.dense", hidden, hidden),
                query_key_norms: None,
                rotary: None,
                relative: None,
                mask: Mask::Bidirectional,
                window: None,
                scale: heads.usual_scale(),
            },
            mlp_norm: norm("output.LayerNorm"),
            mlp: Mlp::Plain {
                up: linear("intermediate.dense", intermediate, hidden),
                down: linear("output.dense", hidden, intermediate),
                activation: Activation::Gelu,
            },
        }
    }
}
