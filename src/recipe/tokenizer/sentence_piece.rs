//! The classes of transformers whose BPE is SentencePiece's: spaces are a character of the words, and bytes stand for what no word
//! has.

use anyhow::Result;
use serde_json::{Value, json};
use tokenizers::Tokenizer;
use tokenizers::models::bpe::BPE;

use super::class::Class;
use super::files::TokenizerFiles;
use super::rebuilt::{Parts, bpe};

/// GemmaTokenizer.
pub(super) fn gemma(stored: &Tokenizer, files: &TokenizerFiles) -> Result<Parts> {
    let unknown = match files.config.field(|fields| Ok(fields.get("unk_token")))? {
        Some(Value::String(token)) => token.clone(),
        Some(Value::Object(token)) => token.get("content").and_then(Value::as_str).unwrap_or("<unk>").to_owned(),
        _ => "<unk>".to_owned(),
    };
    let normalizer = json!({"type": "Replace", "pattern": {"String": " "}, "content": "▁"});
    let pre_tokenizer =
        json!({"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": false});
    Ok(Parts {
        model: with_bytes(bpe(stored, Class::Gemma)?, Some(unknown)).into(),
        normalizer: Some(serde_json::from_value(normalizer)?),
        pre_tokenizer: serde_json::from_value(pre_tokenizer)?,
    })
}

/// LlamaTokenizer.
pub(super) fn llama(stored: &Tokenizer, files: &TokenizerFiles) -> Result<Parts> {
    let [has_scheme, prefix_space, is_legacy] = files.config.field(|fields| {
        let flag = |name: &str| fields.flag(name);
        Ok([fields.get("add_prefix_space").is_some(), flag("add_prefix_space")?, flag("legacy")?])
    })?;
    let scheme = match (has_scheme && !prefix_space, is_legacy) {
        (true, _) => "never",
        (false, true) => "always",
        (false, false) => "first",
    };
    let pre_tokenizer = json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": false});
    Ok(Parts {
        model: with_bytes(bpe(stored, Class::Llama)?, None).into(),
        normalizer: None,
        pre_tokenizer: serde_json::from_value(pre_tokenizer)?,
    })
}

fn with_bytes(mut model: BPE, unknown: Option<String>) -> BPE {
    (model.unk_token, model.fuse_unk, model.byte_fallback) = (unknown, true, true);
    model
}
