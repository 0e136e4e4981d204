//! `sentence_bert_config.json`: the settings of the transformer module: what it is given, and how that is tokenized.

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Map, Value};

use super::Input;
use crate::checkpoint::ModelFiles;
use crate::fields::Fields;
use crate::recipe::chat_template::MessageFormat;
use crate::recipe::value::Cut;

/// The file, and the names that it had in older versions; the first that is there is read.
const FILES: [&str; 7] = [
    "sentence_bert_config.json",
    "sentence_roberta_config.json",
    "sentence_distilbert_config.json",
    "sentence_camembert_config.json",
    "sentence_albert_config.json",
    "sentence_xlm-roberta_config.json",
    "sentence_xlnet_config.json",
];

/// All settings that are known. Those of tasks other than ranking are not read: no pair is asked for by them.
const KNOWN: [&str; 18] = [
    "transformer_task",
    "modality_config",
    "module_output_name",
    "processing_kwargs",
    "max_seq_length",
    "do_lower_case",
    "tokenizer_name_or_path",
    "model_args",
    "model_kwargs",
    "tokenizer_args",
    "processor_kwargs",
    "config_args",
    "config_kwargs",
    "unpad_inputs",
    "query_length",
    "document_length",
    "query_expansion",
    "backend",
];

/// Settings of batches, which change no score.
const OF_BATCHES: [&str; 4] = ["padding", "padding_side", "pad_to_multiple_of", "return_tensors"];

/// The settings of the transformer module.
#[derive(Debug, Default)]
pub(super) struct TransformerSettings {
    pub(super) input: Option<Input>,
    /// Whether the model is a classifier, if that is given, and the file that has it.
    pub(super) classifier: Option<(bool, String)>,
    pub(super) output_name: Option<String>,
    pub(super) max_length: Option<usize>,
    /// What of two texts is cut, if the file is there.
    pub(super) cut: Option<Cut>,
    /// Variables of the chat template.
    pub(super) variables: Map<String, Value>,
    /// The file, if it is there.
    pub(super) place: Option<String>,
}

impl TransformerSettings {
    /// Reads the settings, of a transformer whose vectors modules pool or not.
    pub(super) fn read(files: &ModelFiles, pools: bool) -> Result<Self> {
        let mut found = None;
        for name in FILES {
            if found.is_none() {
                found = files.json(name)?;
            }
        }
        let Some((path, value)) = found else { return Ok(Self::default()) };
        let place = path.display().to_string();
        let read = || -> Result<Self> {
            let fields = Fields::of(&value)?;
            fields.only(&KNOWN)?;
            check_unsupported(fields)?;
            let mut settings = Self {
                input: input(fields, pools)?,
                classifier: task(fields, pools)?.map(|classifier| (classifier, place.clone())),
                output_name: fields.text("module_output_name")?.map(str::to_owned),
                max_length: tokenizer_length(fields)?.or(fields.size("max_seq_length")?),
                cut: Some(Cut::LongestFirst),
                variables: Map::new(),
                place: Some(place.clone()),
            };
            settings.read_processing(fields)?;
            Ok(settings)
        };
        read().with_context(|| place.clone())
    }

    /// The arguments of the tokenizer, and of the chat template.
    fn read_processing(&mut self, fields: Fields<'_>) -> Result<()> {
        let Some(processing) = fields.object("processing_kwargs")? else { return Ok(()) };
        processing.only(&["common", "text", "image", "audio", "video", "chat_template"])?;
        for part in ["common", "text", "chat_template"] {
            let Some(arguments) = processing.object(part)? else { continue };
            for (name, value) in arguments.iter() {
                match (name, value) {
                    ("max_length", _) => self.max_length = arguments.size("max_length")?,
                    ("truncation", Value::Bool(true)) => self.cut = Some(Cut::LongestFirst),
                    ("truncation", Value::String(way)) if way == "longest_first" => self.cut = Some(Cut::LongestFirst),
                    ("truncation", Value::String(way)) if way == "only_second" => self.cut = Some(Cut::Document),
                    ("logits_to_keep", _) if part == "text" => {}
                    ("restore_suffix", Value::Bool(true)) if part == "chat_template" => {}
                    ("restore_suffix" | "continue_final_message" | "truncation", _) => {
                        bail!("{name} in processing_kwargs.{part} is {value}, which is not supported")
                    }
                    (name, _) if OF_BATCHES.contains(&name) => {}
                    (name, value) if part == "chat_template" => {
                        self.variables.insert(name.to_owned(), value.clone());
                    }
                    (name, _) => bail!("{name} in processing_kwargs.{part} is not supported"),
                }
            }
        }
        Ok(())
    }
}

fn check_unsupported(fields: Fields<'_>) -> Result<()> {
    ensure!(!fields.flag("do_lower_case")?, "do_lower_case is true, which is not supported");
    if let Some(name) = fields.text("tokenizer_name_or_path")? {
        bail!("tokenizer_name_or_path is {name}, and only the model's own tokenizer is supported");
    }
    // Where and in which precision transformers computes is not the recipe's.
    let harmless: [(&str, &[&str]); 6] = [
        ("model_args", &["dtype", "torch_dtype", "attn_implementation", "device_map", "use_safetensors"]),
        ("model_kwargs", &["dtype", "torch_dtype", "attn_implementation", "device_map", "use_safetensors"]),
        ("tokenizer_args", &["model_max_length", "padding_side", "use_fast"]),
        ("processor_kwargs", &["model_max_length", "padding_side", "use_fast"]),
        ("config_args", &["use_cache"]),
        ("config_kwargs", &["use_cache"]),
    ];
    for (name, known) in harmless {
        if let Some(arguments) = fields.object(name)? {
            arguments.only(&[known, &["trust_remote_code", "revision"]].concat()).with_context(|| name.to_owned())?;
        }
    }
    Ok(())
}

/// The limit that the tokenizer is loaded with.
fn tokenizer_length(fields: Fields<'_>) -> Result<Option<usize>> {
    for name in ["processor_kwargs", "tokenizer_args"] {
        if let Some(arguments) = fields.object(name)?
            && let Some(length) = arguments.size("model_max_length")?
        {
            return Ok(Some(length));
        }
    }
    Ok(None)
}

/// Whether the task is that of a classifier; none, if it is not given, or is to make vectors that modules pool.
fn task(fields: Fields<'_>, pools: bool) -> Result<Option<bool>> {
    match fields.text("transformer_task")? {
        None => Ok(None),
        Some("feature-extraction") if pools => Ok(None),
        Some(task) if pools => {
            bail!("transformer_task is {task}, and modules.json pools what feature-extraction gives")
        }
        Some("sequence-classification") => Ok(Some(true)),
        Some("text-generation") => Ok(Some(false)),
        Some(task) => bail!(
            "transformer_task is {task}, and only text-generation and sequence-classification are supported; is it a \
             reranker?"
        ),
    }
}

/// How a pair's texts reach the model.
fn input(fields: Fields<'_>, pools: bool) -> Result<Option<Input>> {
    let Some(modalities) = fields.object("modality_config")? else { return Ok(None) };
    for name in ["text", "message"] {
        let Some(modality) = modalities.object(name)? else { continue };
        let read = || -> Result<()> {
            modality.only(&["method", "method_output_name", "format"])?;
            let method = modality.text("method")?.unwrap_or("forward");
            ensure!(method == "forward", "method is {method}, and only forward is supported");
            let needed = if pools { "last_hidden_state" } else { "logits" };
            let output = modality.text("method_output_name")?.unwrap_or(needed);
            ensure!(output == needed, "method_output_name is {output}, and only {needed} is supported");
            Ok(())
        };
        read().with_context(|| format!("modality_config.{name}"))?;
    }
    let Some(message) = modalities.object("message")? else {
        ensure!(modalities.get("text").is_some(), "modality_config has neither text nor message");
        return Ok(Some(Input::Texts));
    };
    let format = match message.text("format")? {
        None | Some("auto") => None,
        Some("flat") => Some(MessageFormat::Flat),
        Some("structured") => Some(MessageFormat::Structured),
        Some(format) => bail!("modality_config.message: format is {format}, and should be flat or structured"),
    };
    Ok(Some(Input::Messages(format)))
}
