//! The classes of transformers whose BPE is SentencePiece's: spaces are a character of the words, and bytes stand for what no word
//! has.

use anyhow::Result;
use serde_json::json;
use tokenizers::Tokenizer;
use tokenizers::models::bpe::BPE;

use super::class::Class;
use super::files::TokenizerFiles;
use super::rebuilt::{Parts, bpe};

/// GemmaTokenizer.
pub(super) fn gemma(stored: &Tokenizer, files: &TokenizerFiles) -> Result<Parts> {
    let unknown = files.config.unknown_token("<unk>");
    let normalizer = json!({"type": "Replace", "pattern": {"String": " "}, "content": "▁"});
    let pre_tokenizer =
        json!({"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": false});
    Ok(Parts {
        model: with_bytes(bpe(stored, Class::Gemma)?, Some(unknown)).into(),
        unknown: None,
        normalizer: Some(serde_json::from_value(normalizer)?),
        pre_tokenizer: serde_json::from_value(pre_tokenizer)?,
    })
}

/// LlamaTokenizer.
pub(super) fn llama(stored: &Tokenizer, files: &TokenizerFiles) -> Result<Parts> {
    let [has_space, is_legacy] =
        files.config.field(|fields| Ok([fields.flag_or_true("add_prefix_space")?, fields.flag("legacy")?]))?;
    let scheme = match (has_space, is_legacy) {
        (false, _) => "never",
        (true, true) => "always",
        (true, false) => "first",
    };
    let pre_tokenizer = json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": false});
    Ok(Parts {
        model: with_bytes(bpe(stored, Class::Llama)?, None).into(),
        unknown: None,
        normalizer: None,
        pre_tokenizer: serde_json::from_value(pre_tokenizer)?,
    })
}

fn with_bytes(mut model: BPE, unknown: Option<String>) -> BPE {
    (model.unk_token, model.fuse_unk, model.byte_fallback) = (unknown, true, true);
    model
}
