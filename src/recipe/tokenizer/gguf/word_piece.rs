//! WordPiece (`bert`). The metadata seldom has how texts are normalized: then the vocabulary shows it, as no text that is in lower
//! case has a word with a capital.

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tokenizers::normalizers::BertNormalizer;
use tokenizers::{NormalizedString, Normalizer};

use super::frame::Frame;
use super::tokens::{Kind, Tokens, shown};
use super::{Parts, REMEDY};
use crate::checkpoint::Metadata;

const LOWERCASE: &str = "tokenizer.ggml.normalizer.lowercase";
const STRIP_ACCENTS: &str = "tokenizer.ggml.normalizer.strip_accents";
const TYPES: &str = "tokenizer.ggml.token_type_count";
/// A vocabulary of texts with capitals has one in each of so many words at least; several of ten are usual.
const WORDS_PER_CAPITAL: usize = 100;

pub(super) fn parts(metadata: &Metadata, tokens: &Tokens) -> Result<Parts> {
    let mut notes = Vec::new();
    let lowers = match metadata.flag(LOWERCASE)? {
        Some(flag) => flag,
        None => {
            let lowers = !has_capitals(tokens)?;
            notes.push(assumed(
                metadata,
                LOWERCASE,
                if lowers { "no capitals: they are" } else { "capitals: they are not" },
            ));
            lowers
        }
    };
    let strips = match metadata.flag(STRIP_ACCENTS)? {
        Some(flag) => flag,
        // As transformers does where nothing is given, but for a vocabulary that has them.
        None if lowers && changed(tokens, &without_accents()).next().is_some() => {
            notes.push(assumed(metadata, STRIP_ACCENTS, "accents: they are kept"));
            false
        }
        None => lowers,
    };
    let unknown = match metadata.token("tokenizer.ggml.unknown_token_id")? {
        Some(id) => {
            tokens.used(id).with_context(|| format!("tokenizer.ggml.unknown_token_id is {id}, which is no token"))?
        }
        None => "[UNK]",
    };
    ensure!(
        tokens.id(unknown).is_some(),
        "the metadata has neither tokenizer.ggml.unknown_token_id nor a token `[UNK]` for unknown words; {REMEDY}"
    );
    Ok(Parts {
        normalizer: json!({
            "type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": strips,
            "lowercase": lowers,
        }),
        pre_tokenizer: json!({"type": "BertPreTokenizer"}),
        model: json!({
            "type": "WordPiece", "unk_token": unknown, "continuing_subword_prefix": "##", "max_input_chars_per_word": 100,
            "vocab": tokens.vocabulary(),
        }),
        normalized: true,
        frame: frame(metadata)?,
        notes,
    })
}

/// One end stands behind each text, whether the metadata calls it end, separator or, in older files, nothing.
fn frame(metadata: &Metadata) -> Result<Frame> {
    let has_types = metadata.count(TYPES)?.is_none_or(|types| types > 1);
    let is_one = metadata.flag("tokenizer.ggml.add_eos_token")?.is_none();
    Ok(Frame { begins: true, ends: true, parts: false, has_types, is_one })
}

fn has_capitals(tokens: &Tokens) -> Result<bool> {
    let lowered = BertNormalizer::new(false, false, Some(false), true);
    let mut words = changed(tokens, &lowered);
    let Some(first) = words.next() else { return Ok(false) };
    let (count, most) = (words.count() + 1, tokens.len() / WORDS_PER_CAPITAL);
    ensure!(
        count > most,
        "the metadata has no {LOWERCASE}, and of its {} tokens {count} have capitals, such as `{}`: too few for a vocabulary of \
         texts as they are, and too many for one of texts in lower case; {REMEDY}",
        tokens.len(),
        shown(first)
    );
    Ok(true)
}

/// The words that a normalizer changes. What is in brackets was put there by hand.
fn changed<'a>(tokens: &'a Tokens, normalizer: &'a BertNormalizer) -> impl Iterator<Item = &'a str> {
    let is_changed = move |word: &str| {
        let mut text = NormalizedString::from(word);
        normalizer.normalize(&mut text).is_ok() && text.get() != word
    };
    let words =
        tokens.iter().filter(|(word, kind)| *kind == Kind::Normal && !(word.starts_with('[') && word.ends_with(']')));
    words.map(|(word, _)| word).filter(move |word| is_changed(word))
}

fn without_accents() -> BertNormalizer {
    BertNormalizer::new(false, false, Some(true), false)
}

fn assumed(metadata: &Metadata, name: &str, has: &str) -> String {
    let what = if name == LOWERCASE { "put in lower case" } else { "stripped of accents" };
    format!(
        "the metadata of {} has no {name}, whether texts are {what}; its vocabulary has {has}; {REMEDY} if the model was trained \
         otherwise",
        metadata.path().display()
    )
}
