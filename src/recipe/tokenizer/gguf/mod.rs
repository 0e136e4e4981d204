//! The tokenizer in the metadata of a GGUF file, written as the `tokenizer.json` and the settings that it was made of, so that it
//! goes the way of all others. What does not determine one is refused: a wrong token is a wrong score.

mod byte_level;
mod frame;
mod tokens;
mod unigram;
mod word_piece;

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};

use self::frame::Frame;
use self::tokens::{Kind, Tokens};
use super::control::is_of_base;
use super::warnings::named;
use crate::checkpoint::Metadata;

const ARCHITECTURE: &str = "general.architecture";
const MODEL: &str = "tokenizer.ggml.model";
const PRE: &str = "tokenizer.ggml.pre";
/// A whole `tokenizer.json`.
const WHOLE: &str = "tokenizer.huggingface.json";
const PREFIX: &str = "tokenizer.ggml.";

/// A token that ModernBERT came with.
const ADDRESS: &str = "|||IP_ADDRESS|||";

/// What to do about metadata that is not enough.
const REMEDY: &str = "put the model's tokenizer.json beside the file";

/// The names that are read, or that are about generating text only.
const KNOWN: [&str; 33] = [
    "model",
    "pre",
    "tokens",
    "token_type",
    "token_type_count",
    "scores",
    "merges",
    "precompiled_charsmap",
    "add_space_prefix",
    "remove_extra_whitespaces",
    "normalizer.lowercase",
    "normalizer.strip_accents",
    "add_bos_token",
    "add_eos_token",
    "add_sep_token",
    "bos_token_id",
    "eos_token_id",
    "unknown_token_id",
    "seperator_token_id",
    "padding_token_id",
    "cls_token_id",
    "mask_token_id",
    "eot_token_id",
    "eom_token_id",
    "prefix_token_id",
    "suffix_token_id",
    "middle_token_id",
    "fim_pre_token_id",
    "fim_suf_token_id",
    "fim_mid_token_id",
    "fim_pad_token_id",
    "fim_rep_token_id",
    "fim_sep_token_id",
];

/// A tokenizer in the form of files.
#[derive(Debug)]
pub(super) struct Written {
    /// As `tokenizer.json`.
    pub(super) text: String,
    /// As `tokenizer_config.json`.
    pub(super) settings: Map<String, Value>,
    /// What was assumed where the metadata has nothing.
    pub(super) notes: Vec<String>,
}

/// What the kinds of tokenizers differ in.
struct Parts {
    normalizer: Value,
    pre_tokenizer: Value,
    model: Value,
    /// Whether the tokens that were added for texts are looked for in normalized text.
    normalized: bool,
    /// What stands around texts where the metadata does not mention it.
    frame: Frame,
    notes: Vec<String>,
}

/// Writes the tokenizer of a file's metadata.
///
/// # Errors
/// If the metadata is damaged, or is not enough to make the tokens of transformers.
pub(super) fn written(metadata: &Metadata) -> Result<Written> {
    let place = || metadata.path().display().to_string();
    match metadata.text(WHOLE).with_context(place)? {
        Some(text) => Ok(Written { text: text.to_owned(), settings: Map::new(), notes: Vec::new() }),
        None => of_parts(metadata).with_context(place),
    }
}

/// The family that transformers gives a model of this architecture and tokenizer.
///
/// # Errors
/// If a name is no text.
pub(super) fn family(metadata: &Metadata) -> Result<Option<&str>> {
    let stated = |name| metadata.text(name).with_context(|| metadata.path().display().to_string());
    Ok(match (stated(ARCHITECTURE)?, stated(MODEL)?) {
        (Some("bert"), Some("t5")) => Some("xlm-roberta"),
        (Some("bert"), Some("gpt2")) => Some("roberta"),
        (Some("modern-bert"), _) => Some("modernbert"),
        (architecture, _) => architecture,
    })
}

fn of_parts(metadata: &Metadata) -> Result<Written> {
    let Some(kind) = metadata.text(MODEL)? else {
        bail!("the metadata has no {MODEL}, so that the file is without a tokenizer; {REMEDY}")
    };
    let tokens = Tokens::read(metadata, kind == "bert")?;
    let parts = match kind {
        "gpt2" => byte_level::parts(metadata, &tokens)?,
        "bert" => word_piece::parts(metadata, &tokens)?,
        "t5" => unigram::parts(metadata, &tokens)?,
        other => bail!(
            "{MODEL} is {other:?}, and rerank makes tokenizers of gpt2 (BPE of bytes), bert (WordPiece) and t5 (Unigram); {REMEDY}"
        ),
    };
    let mut settings = frame::roles(metadata, &tokens)?;
    settings.insert("tokenizer_class".to_owned(), "TokenizersBackend".into());
    if parts.frame.has_types {
        settings.insert("model_input_names".to_owned(), json!(["input_ids", "token_type_ids", "attention_mask"]));
    }
    let post_processor = parts.frame.post_processor(metadata, &tokens)?;
    let whole = json!({
        "version": "1.0",
        "added_tokens": tokens.added(parts.normalized),
        "normalizer": parts.normalizer,
        "pre_tokenizer": parts.pre_tokenizer,
        "post_processor": post_processor,
        "model": parts.model,
    });
    let mut notes = parts.notes;
    notes.extend(of_flags(metadata, &tokens));
    notes.extend(unknown(metadata));
    Ok(Written { text: whole.to_string(), settings, notes })
}

/// The note of tokens that were added for texts: GGUF has no place for their flags. Those of base models have none.
fn of_flags(metadata: &Metadata, tokens: &Tokens) -> Option<String> {
    let added = tokens.iter().filter(|(_, kind)| *kind == Kind::Added).map(|(token, _)| token);
    let is_usual =
        |token: &str| is_of_base(token) || token.trim().is_empty() || token.starts_with("[unused") || token == ADDRESS;
    let names: Vec<&str> = added.filter(|token| !is_usual(token)).collect();
    (!names.is_empty()).then(|| {
        format!(
            "{} has tokens that were added for texts, {}, and GGUF does not hold whether they take spaces beside them away or must be \
             whole words (lstrip, rstrip, single_word): they do not; {REMEDY} if they should",
            metadata.path().display(),
            named(&names)
        )
    })
}

/// The note of names that this version of rerank does not know.
fn unknown(metadata: &Metadata) -> Option<String> {
    let names = metadata.iter().filter_map(|(name, _)| name.strip_prefix(PREFIX));
    let mut names: Vec<&str> = names.filter(|name| !KNOWN.contains(name)).collect();
    names.sort_unstable();
    let first = names.first()?;
    Some(format!(
        "the metadata of {} has {PREFIX}{first}{}, which rerank does not know and passes over; if texts are tokenized by it, {REMEDY}",
        metadata.path().display(),
        if names.len() > 1 { " and more" } else { "" }
    ))
}
