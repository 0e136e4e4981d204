//! What `tokenizer_config.json` and the files beside it give for prompts: the chat template, and which end of a long prompt is cut.

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::gguf;
use crate::checkpoint::{ModelFiles, read_plain_text};
use crate::fields::Fields;

const FILE: &str = "tokenizer_config.json";
const TEMPLATE_FILE: &str = "chat_template.jinja";
const MOST_TEMPLATE: u64 = 1 << 20;

/// The settings of a tokenizer.
#[derive(Debug, Default)]
pub(super) struct TokenizerSettings {
    /// The chat template, if there is one.
    pub(super) template: Option<TemplateSource>,
    /// The file that asks for the start of long prompts to be cut, if it does.
    pub(super) cuts_start: Option<String>,
}

/// A chat template's source.
#[derive(Debug)]
pub(super) struct TemplateSource {
    pub(super) text: String,
    /// Where it was read, for messages.
    pub(super) origin: String,
    /// Whether it is one of several with names.
    pub(super) is_named: bool,
}

impl TokenizerSettings {
    /// Reads the files that are there. `template` is the name of the wanted chat template, or a template itself.
    pub(super) fn read(files: &ModelFiles, template: Option<&Value>) -> Result<Self> {
        let mut settings = Self::default();
        let mut templates = Vec::new();
        let stored_settings = files.json(FILE)?;
        if let Some((path, value)) = &stored_settings {
            let place = path.display().to_string();
            let fields = Fields::of(value).with_context(|| place.clone())?;
            let cuts_start = fields.text("truncation_side")?.is_some_and(|side| side != "right");
            settings.cuts_start = cuts_start.then(|| place.clone());
            templates = stored(fields.get("chat_template"), &place)?;
        }
        if let Some(path) = files.optional(TEMPLATE_FILE)? {
            let text = read_plain_text(&path, MOST_TEMPLATE)?;
            templates.retain(|(name, _)| name.is_some_and(|name| name != "default"));
            templates.push((None, TemplateSource { text, origin: path.display().to_string(), is_named: false }));
        }
        if templates.is_empty() {
            templates.extend(gguf::chat_template(files)?.map(|source| (None, source)));
        }
        settings.template = chosen(files, templates, template)?;
        Ok(settings)
    }
}

type Templates<'a> = Vec<(Option<&'a str>, TemplateSource)>;

/// One template, or a list of templates with names.
fn stored<'a>(value: Option<&'a Value>, place: &str) -> Result<Templates<'a>> {
    let source = |text: &str, is_named| TemplateSource { text: text.to_owned(), origin: place.to_owned(), is_named };
    match value {
        None => Ok(Vec::new()),
        Some(Value::String(text)) => Ok(vec![(None, source(text, false))]),
        Some(Value::Array(list)) => {
            let named =
                |entry: &'a Value| Some((Some(entry["name"].as_str()?), source(entry["template"].as_str()?, true)));
            let named: Option<Vec<_>> = list.iter().map(named).collect();
            named.with_context(|| {
                format!("{place}: chat_template is a list, and should have objects with name and template")
            })
        }
        Some(_) => bail!("{place}: chat_template is neither a text nor a list of templates"),
    }
}

/// The template that was asked for, or the one that is used by default.
fn chosen(files: &ModelFiles, templates: Templates, wanted: Option<&Value>) -> Result<Option<TemplateSource>> {
    let wanted =
        wanted.map(|wanted| wanted.as_str().context("chat_template in processing_kwargs is no text")).transpose()?;
    let Some(wanted) = wanted else {
        let names: Vec<String> = templates.iter().filter_map(|(name, _)| name.map(str::to_owned)).collect();
        let usual = templates.into_iter().find(|(name, _)| name.is_none_or(|name| name == "default"));
        if let (None, false) = (&usual, names.is_empty()) {
            bail!("{FILE} has several chat templates and none is the default: {}", names.join(", "));
        }
        return match usual {
            Some((_, source)) => Ok(Some(source)),
            None => additional(files, "default", false),
        };
    };
    if let Some((_, source)) = templates.into_iter().find(|(name, _)| *name == Some(wanted)) {
        return Ok(Some(source));
    }
    let is_name = wanted.len() < 100 && wanted.chars().all(|letter| letter.is_alphanumeric() || "_-.".contains(letter));
    if let Some(source) = if is_name { additional(files, wanted, true)? } else { None } {
        return Ok(Some(source));
    }
    if is_name {
        bail!("processing_kwargs of sentence_bert_config.json asks for the chat template {wanted}, and there is none");
    }
    Ok(Some(TemplateSource {
        text: wanted.to_owned(),
        origin: "sentence_bert_config.json".to_owned(),
        is_named: false,
    }))
}

/// A template in a file of its own beside the others.
fn additional(files: &ModelFiles, name: &str, is_named: bool) -> Result<Option<TemplateSource>> {
    let Some(path) = files.optional(&format!("additional_chat_templates/{name}.jinja"))? else { return Ok(None) };
    let text = read_plain_text(&path, MOST_TEMPLATE)?;
    Ok(Some(TemplateSource { text, origin: path.display().to_string(), is_named }))
}
