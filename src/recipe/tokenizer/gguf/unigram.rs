//! Unigram (`t5`), which is SentencePiece's model of XLM-RoBERTa and BGE-M3.

use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::frame::Frame;
use super::tokens::{Kind, Tokens, check_count, shown};
use super::{Parts, REMEDY};
use crate::checkpoint::Metadata;

const SCORES: &str = "tokenizer.ggml.scores";
const CHARSMAP: &str = "tokenizer.ggml.precompiled_charsmap";
const SPACE: &str = "tokenizer.ggml.add_space_prefix";
const SPACES: &str = "tokenizer.ggml.remove_extra_whitespaces";
const UNKNOWN: &str = "tokenizer.ggml.unknown_token_id";

pub(super) fn parts(metadata: &Metadata, tokens: &Tokens) -> Result<Parts> {
    let scheme = if metadata.flag(SPACE)?.unwrap_or(true) { "always" } else { "never" };
    let mut notes = Vec::new();
    if metadata.flag(SPACES)? == Some(false) {
        notes.push(format!(
            "the metadata of {} has {SPACES} = false, which converters take from the setting of another step; several spaces count \
             as one, as in XLMRobertaTokenizer",
            metadata.path().display()
        ));
    }
    Ok(Parts {
        normalizer: charsmap(metadata)?,
        pre_tokenizer: json!({
            "type": "Sequence",
            "pretokenizers": [
                {"type": "WhitespaceSplit"},
                {"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": true},
            ],
        }),
        model: json!({
            "type": "Unigram", "unk_id": unknown(metadata, tokens)?, "vocab": pieces(metadata, tokens)?,
            "byte_fallback": has_bytes(tokens)?,
        }),
        normalized: true,
        frame: Frame { begins: true, ends: true, parts: true, ..Frame::default() },
        notes,
    })
}

/// SentencePiece's table, by which characters are normalized.
fn charsmap(metadata: &Metadata) -> Result<Value> {
    let Some(numbers) = metadata.integers(CHARSMAP)? else { return Ok(Value::Null) };
    // Bytes may be stored as numbers with a sign.
    let byte = |number: &i64| u8::try_from(*number).or_else(|_| i8::try_from(*number).map(|byte| byte as u8));
    let bytes = numbers.iter().map(byte).collect::<Result<Vec<u8>, _>>();
    let bytes = bytes.with_context(|| format!("{CHARSMAP} has a number that is no byte; {REMEDY}"))?;
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    Ok(json!({"type": "Precompiled", "precompiled_charsmap": STANDARD.encode(bytes)}))
}

/// The pieces with their scores.
fn pieces(metadata: &Metadata, tokens: &Tokens) -> Result<Vec<Value>> {
    let scores = metadata.floats(SCORES)?.with_context(|| format!("the metadata has no {SCORES}; {REMEDY}"))?;
    let count = metadata.texts("tokenizer.ggml.tokens")?.map_or(0, <[String]>::len);
    check_count(SCORES, scores.len(), count)?;
    let piece = |((piece, kind), score): ((&str, Kind), &f32)| -> Result<Value> {
        ensure!(score.is_finite(), "{SCORES} has {score} for `{}`; the file is damaged: {REMEDY}", shown(piece));
        // The score of an unknown character is below that of all pieces: those that fill rows must not be among them.
        let score = if kind == Kind::Unused { 0. } else { f64::from(*score) };
        Ok(json!([piece, score]))
    };
    tokens.iter().zip(scores).map(piece).collect()
}

fn unknown(metadata: &Metadata, tokens: &Tokens) -> Result<usize> {
    if let Some(id) = metadata.token(UNKNOWN)? {
        ensure!(tokens.used(id).is_some(), "{UNKNOWN} is {id}, which is no token; {REMEDY}");
        return Ok(id as usize);
    }
    let id = tokens.iter().position(|(_, kind)| kind == Kind::Unknown);
    id.with_context(|| format!("the metadata has no {UNKNOWN}, and no token of the type 2; {REMEDY}"))
}

/// Whether bytes stand for characters that no piece has.
fn has_bytes(tokens: &Tokens) -> Result<bool> {
    if tokens.iter().all(|(_, kind)| kind != Kind::Byte) {
        return Ok(false);
    }
    for byte in 0..=u8::MAX {
        let token = format!("<0x{byte:02X}>");
        if tokens.id(&token).is_none() {
            bail!("tokenizer.ggml.tokens has tokens of bytes, and no `{token}` among them; {REMEDY}");
        }
    }
    Ok(true)
}
