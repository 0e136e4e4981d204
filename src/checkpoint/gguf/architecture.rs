//! What a file's metadata state of the model, as the `config.json` that transformers would have of it.

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Map, Value, json};

use super::configuration::Configuration;
use super::metadata::Metadata;

/// Families by the names of their tensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    Qwen3,
    Qwen2,
    Bert,
    Roberta,
    /// jina-reranker-v2, which llama.cpp counts among BERT's.
    Jina,
    ModernBert,
}

/// The architectures that are read.
const READ: &str = "qwen3, qwen2, bert (BERT, RoBERTa, XLM-RoBERTa) and modern-bert";

/// The name of the metadata's architecture.
pub(super) const ARCHITECTURE: &str = "general.architecture";

impl Family {
    /// The family of a file; `has` is whether it has a tensor of this name.
    ///
    /// # Errors
    /// If it is none that is read.
    pub(super) fn of(metadata: &Metadata, has: impl Fn(&str) -> bool) -> Result<Self> {
        if let Some(kind) = metadata.text("general.type")?.filter(|kind| *kind != "model") {
            bail!(
                "general.type is {kind}: the file is no whole model; name the file that has the model's weights{}",
                if kind == "adapter" { ", and the adapter in safetensors with --adapter" } else { "" }
            );
        }
        let architecture = metadata.text(ARCHITECTURE)?.with_context(|| format!("it has no {ARCHITECTURE}"))?;
        Ok(match architecture {
            "qwen3" => Self::Qwen3,
            "qwen2" => Self::Qwen2,
            "bert" if has("blk.0.attn_qkv.weight") => Self::Jina,
            // Without vocabulary, the pieces of words are what BERT has.
            "bert" => match metadata.text("tokenizer.ggml.model")? {
                Some("bert") | None => Self::Bert,
                Some(_) => Self::Roberta,
            },
            "modern-bert" => Self::ModernBert,
            "llama" | "mistral3" | "gemma" | "gemma2" => bail!(
                "its architecture is {architecture}, of which rerank reads safetensors and no GGUF (it reads {READ}); take the \
                 model's safetensors"
            ),
            other => bail!("its architecture is {other}, and rerank reads GGUF files of {READ}"),
        })
    }

    /// Whether it looks back, and answers by tokens.
    pub(super) fn is_decoder(self) -> bool {
        matches!(self, Self::Qwen3 | Self::Qwen2)
    }
}

/// A file's values by the names that its architecture gives them.
struct Reader<'a> {
    metadata: &'a Metadata,
    architecture: &'a str,
    config: Configuration,
}

impl Reader<'_> {
    fn name(&self, name: &str) -> String {
        format!("{}.{name}", self.architecture)
    }

    fn count(&self, name: &str) -> Result<Option<usize>> {
        self.metadata.count(&self.name(name))
    }

    fn required(&self, name: &str) -> Result<usize> {
        self.count(name)?.with_context(|| format!("the metadata has no {}", self.name(name)))
    }

    /// Takes a number over. Files have single precision; the number that was meant is the shortest that is stored so.
    fn number(&mut self, name: &str, field: &str) -> Result<()> {
        if let Some(number) = self.metadata.number(&self.name(name))? {
            let meant = (number as f32).to_string().parse::<f64>().unwrap_or(number);
            self.take(name, field, json!(meant));
        }
        Ok(())
    }

    /// The same of a number without which there is no model.
    fn required_number(&mut self, name: &str, field: &str) -> Result<()> {
        self.number(name, field)?;
        ensure!(self.config.fields().contains_key(field), "the metadata has no {}", self.name(name));
        Ok(())
    }

    /// Takes a count over without which there is no model.
    fn required_count(&mut self, name: &str, field: &str) -> Result<()> {
        let count = self.required(name)?;
        self.take(name, field, count);
        Ok(())
    }

    fn take(&mut self, name: &str, field: &str, value: impl Into<Value>) {
        let name = self.name(name);
        self.config.take(name, field, value);
    }

    fn set(&mut self, field: &str, value: impl Into<Value>) {
        self.config.set(field, value);
    }

    /// Refuses what would change the scores and is not computed.
    fn check(&self, family: Family) -> Result<()> {
        for name in [
            "expert_count",
            "moe_every_n_layers",
            "nextn_predict_layers",
            "decision.block_count",
            "attention.max_alibi_bias",
        ] {
            let is_off = self.metadata.number(&self.name(name))?.is_none_or(|number| number == 0.);
            ensure!(is_off, "{} is set, which rerank does not compute", self.name(name));
        }
        for name in [
            "logit_scale",
            "attention.scale",
            "attention.clamp_kqv",
            "final_logit_softcapping",
            "attn_logit_softcapping",
        ] {
            ensure!(self.metadata.get(&self.name(name)).is_none(), "{} is not supported", self.name(name));
        }
        let looks_back = self.metadata.flag(&self.name("attention.causal"))?;
        ensure!(
            looks_back.is_none_or(|looks_back| looks_back == family.is_decoder()),
            "{} is {}, and rerank does not compute such a model of this architecture",
            self.name("attention.causal"),
            !family.is_decoder()
        );
        Ok(())
    }
}

/// The configuration of a model; `shape` is that of the tensor of this name, if there is one.
///
/// # Errors
/// If something that it needs is missing or of another type, or is not supported.
pub(super) fn config(
    metadata: &Metadata,
    family: Family,
    shape: impl Fn(&str) -> Option<Vec<usize>>,
) -> Result<Configuration> {
    let architecture = metadata.text(ARCHITECTURE)?.unwrap_or_default();
    let mut reader = Reader { metadata, architecture, config: Configuration::default() };
    reader.check(family)?;
    let rows = shape("token_embd.weight").and_then(|shape| shape.first().copied());
    let rows = rows.context("it has no tensor token_embd.weight")?;
    reader.config.take("the rows of token_embd.weight".to_owned(), "vocab_size", rows);
    for (name, field) in [
        ("embedding_length", "hidden_size"),
        ("block_count", "num_hidden_layers"),
        ("feed_forward_length", "intermediate_size"),
        ("attention.head_count", "num_attention_heads"),
        ("context_length", "max_position_embeddings"),
    ] {
        reader.required_count(name, field)?;
    }
    if let Some(labels) = metadata.texts(&reader.name("classifier.output_labels"))?.filter(|_| !family.is_decoder()) {
        let labels = labels.iter().enumerate().map(|(index, label)| (index.to_string(), json!(label)));
        let labels = labels.collect::<Map<_, _>>();
        reader.take("classifier.output_labels", "id2label", labels);
    }
    match family {
        Family::Qwen3 | Family::Qwen2 => decoder(&mut reader, family, &shape)?,
        Family::Bert | Family::Roberta | Family::Jina => bert(&mut reader, family, &shape)?,
        Family::ModernBert => modernbert(&mut reader, &shape)?,
    }
    Ok(reader.config)
}

fn decoder(reader: &mut Reader, family: Family, shape: &impl Fn(&str) -> Option<Vec<usize>>) -> Result<()> {
    let [model_type, class] = match family {
        Family::Qwen3 => ["qwen3", "Qwen3"],
        _ => ["qwen2", "Qwen2"],
    };
    let is_classifier = shape(super::head::ROWS).is_some_and(|shape| shape.len() == 1);
    let task = if is_classifier { "SequenceClassification" } else { "CausalLM" };
    reader.set("model_type", model_type);
    reader.set("architectures", json!([format!("{class}For{task}")]));
    let heads = reader.required("attention.head_count")?;
    let keys = reader.count("attention.head_count_kv")?.unwrap_or(heads);
    reader.take("attention.head_count_kv", "num_key_value_heads", keys);
    let hidden = reader.required("embedding_length")?;
    let head_dim = reader.count("attention.key_length")?.or(hidden.checked_div(heads)).unwrap_or_default();
    for name in ["attention.value_length", "rope.dimension_count"] {
        let other = reader.count(name)?.unwrap_or(head_dim);
        ensure!(other == head_dim, "{} is {other}, and only {head_dim}, that of keys, is supported", reader.name(name));
    }
    reader.take("attention.key_length", "head_dim", head_dim);
    // Without one, llama.cpp takes this base.
    reader.set("rope_theta", 1e4);
    reader.number("rope.freq_base", "rope_theta")?;
    reader.required_number("attention.layer_norm_rms_epsilon", "rms_norm_eps")?;
    reader.set("tie_word_embeddings", shape("output.weight").is_none());
    if let Some(window) = reader.count("attention.sliding_window")?.filter(|window| *window > 0) {
        bail!("{} is {window}, and windows are not supported here", reader.name("attention.sliding_window"));
    }
    scaling(reader)
}

/// The scaling of rotary embeddings, which the configuration's reader accepts or refuses. As in llama.cpp, a factor alone is one
/// of linear scaling, and has an older name.
fn scaling(reader: &mut Reader) -> Result<()> {
    let kind = reader.metadata.text(&reader.name("rope.scaling.type"))?.map(str::to_owned);
    let mut factor = reader.metadata.number(&reader.name("rope.scaling.factor"))?;
    if factor.is_none() {
        factor = reader.metadata.number(&reader.name("rope.scale_linear"))?;
    }
    let factor = factor.filter(|factor| *factor != 0.);
    let kind = kind.unwrap_or_else(|| if factor.is_some() { "linear".to_owned() } else { "none".to_owned() });
    if kind == "none" {
        return Ok(());
    }
    reader.take("rope.scaling", "rope_scaling", json!({"rope_type": kind, "factor": factor}));
    Ok(())
}

fn bert(reader: &mut Reader, family: Family, shape: &impl Fn(&str) -> Option<Vec<usize>>) -> Result<()> {
    let [model_type, class] = match family {
        Family::Bert => ["bert", "Bert"],
        _ => ["xlm-roberta", "XLMRoberta"],
    };
    reader.set("model_type", model_type);
    reader.set("architectures", json!([format!("{class}ForSequenceClassification")]));
    if family == Family::Jina {
        reader.set("auto_map", json!({"AutoConfig": "configuration_xlm_roberta.XLMRobertaFlashConfig"}));
    }
    // The file has no rows for positions before the first: they are added, and taken away from the description again.
    if family != Family::Bert {
        let positions = reader.required("context_length")? + UNUSED_POSITIONS;
        reader.take("context_length", "max_position_embeddings", positions);
    }
    let types = shape("token_types.weight").map(|shape| if let [rows, _] = shape[..] { rows } else { 1 });
    let types = types.context(
        "it has no tensor token_types.weight, as files of DistilBERT, of which the format does not keep the activation of the head; \
         take the model's safetensors",
    )?;
    reader.config.take("the rows of token_types.weight".to_owned(), "type_vocab_size", types);
    // llama.cpp reads no other activation for this architecture.
    reader.set("hidden_act", "gelu");
    reader.required_number("attention.layer_norm_epsilon", "layer_norm_eps")
}

/// The positions of RoBERTa's table that no token has, which files leave out.
pub(super) const UNUSED_POSITIONS: usize = 2;

fn modernbert(reader: &mut Reader, shape: &impl Fn(&str) -> Option<Vec<usize>>) -> Result<()> {
    reader.set("model_type", "modernbert");
    reader.set("architectures", json!(["ModernBertForSequenceClassification"]));
    for (name, field) in [
        ("attention.sliding_window", "local_attention"),
        ("attention.sliding_window_pattern", "global_attn_every_n_layers"),
    ] {
        reader.required_count(name, field)?;
    }
    reader.number("rope.freq_base", "global_rope_theta")?;
    reader.number("rope.freq_base_swa", "local_rope_theta")?;
    scaling(reader)?;
    // The file has what two fields of the configuration state: transformers reads norm_eps, which llama.cpp calls that of an
    // RMSNorm.
    reader.number("attention.layer_norm_epsilon", "norm_eps")?;
    reader.number("attention.layer_norm_rms_epsilon", "norm_eps")?;
    for (name, field) in
        [("cls.bias", "classifier_bias"), ("blk.0.attn_qkv.bias", "attention_bias"), ("blk.0.ffn_up.bias", "mlp_bias")]
    {
        reader.set(field, shape(name).is_some());
    }
    if let Some(activation) = reader.metadata.text(&reader.name("hidden_activation"))? {
        let activation = activation.to_owned();
        reader.take("hidden_activation", "hidden_activation", activation);
    }
    // Files of older versions do not keep it, and llama.cpp takes the mean then.
    let pooling = match reader.count("classifier.pooling_type")? {
        None | Some(1) => "mean",
        Some(2) => "cls",
        Some(other) => bail!("{} is {other}, and can be 1 (mean) or 2 (cls)", reader.name("classifier.pooling_type")),
    };
    reader.set("classifier_pooling", pooling);
    Ok(())
}
