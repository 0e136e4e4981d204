//! BPE of bytes (`gpt2`): the metadata names the way in which texts are cut into words.

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;

use super::frame::Frame;
use super::tokens::{Tokens, shown};
use super::{PRE, Parts, REMEDY};
use crate::checkpoint::Metadata;
use crate::recipe::tokenizer::rebuilt::QWEN2_WORDS;

const MERGES: &str = "tokenizer.ggml.merges";
/// How Llama 3 cuts a text into words: as Qwen, and numbers in threes.
const LLAMA3_WORDS: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// What a name of the pre-tokenizer stands for.
struct Way {
    /// Whether texts are normalized.
    composes: bool,
    /// How words are cut; GPT-2's way if none is given.
    words: Option<&'static str>,
    /// Whether a word that is a token needs no merges.
    takes_words: bool,
    /// Whether tokens that were added are looked for in normalized text.
    normalized: bool,
    frame: Frame,
}

pub(super) fn parts(metadata: &Metadata, tokens: &Tokens) -> Result<Parts> {
    let way = way(metadata)?;
    let pre_tokenizer = match way.words {
        None => json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true}),
        Some(words) => json!({
            "type": "Sequence",
            "pretokenizers": [
                {"type": "Split", "pattern": {"Regex": words}, "behavior": "Isolated", "invert": false},
                {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false},
            ],
        }),
    };
    ensure!(
        !metadata.flag("tokenizer.ggml.add_space_prefix")?.unwrap_or(false),
        "tokenizer.ggml.add_space_prefix is true, which no tokenizer of this kind is known to have; {REMEDY}"
    );
    check_bytes(tokens)?;
    Ok(Parts {
        normalizer: if way.composes { json!({"type": "NFC"}) } else { Value::Null },
        pre_tokenizer,
        model: json!({
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null, "end_of_word_suffix": null,
            "fuse_unk": false, "byte_fallback": false, "ignore_merges": way.takes_words,
            "vocab": tokens.vocabulary(), "merges": merges(metadata, tokens)?,
        }),
        normalized: way.normalized,
        frame: way.frame,
        notes: Vec::new(),
    })
}

fn way(metadata: &Metadata) -> Result<Way> {
    let Some(name) = metadata.text(PRE)? else {
        bail!("the metadata has no {PRE}, which would name the way that texts are cut into words; {REMEDY}")
    };
    let of_frame = |begins, ends, parts| Frame { begins, ends, parts, ..Frame::default() };
    Ok(match name {
        "qwen2" => Way {
            composes: true,
            words: Some(QWEN2_WORDS),
            takes_words: false,
            normalized: false,
            frame: Frame::default(),
        },
        "llama-bpe" | "llama3" | "llama-v3" => Way {
            composes: false,
            words: Some(LLAMA3_WORDS),
            takes_words: true,
            normalized: true,
            frame: of_frame(true, false, false),
        },
        "modern-bert" => Way {
            composes: true,
            words: None,
            takes_words: false,
            normalized: true,
            frame: of_frame(true, true, false),
        },
        "roberta-bpe" => Way {
            composes: false,
            words: None,
            takes_words: false,
            normalized: true,
            frame: of_frame(true, true, true),
        },
        "gpt-2" => Way { composes: false, words: None, takes_words: false, normalized: true, frame: Frame::default() },
        "default" => bail!(
            "{PRE} is \"default\", by which converters say that they did not know how the model's texts are cut into words; \
             {REMEDY}"
        ),
        other => bail!(
            "{PRE} is {other:?}, and rerank knows the ways of qwen2, modern-bert, roberta-bpe, gpt-2 and llama-bpe; {REMEDY}"
        ),
    })
}

/// The merges as pairs. No word of a pair has a space: bytes stand as letters.
fn merges(metadata: &Metadata, tokens: &Tokens) -> Result<Value> {
    let stored = metadata.texts(MERGES)?.with_context(|| format!("the metadata has no {MERGES}; {REMEDY}"))?;
    let pair = |(rank, merge): (usize, &String)| -> Result<Value> {
        let wrong = |problem: &str| format!("{MERGES} has `{}` as merge {rank}, {problem}; {REMEDY}", shown(merge));
        let halves =
            merge.split_once(' ').filter(|(left, right)| !left.is_empty() && !right.is_empty() && !right.contains(' '));
        let (left, right) = halves.with_context(|| wrong("which should be two tokens with a space between them"))?;
        let whole = [left, right].concat();
        for part in [left, right, &whole] {
            let missing = || wrong(&format!("and `{}` is no token", shown(part)));
            tokens.id(part).with_context(missing)?;
        }
        Ok(json!([left, right]))
    };
    stored.iter().enumerate().map(pair).collect()
}

/// Checks that every byte of a text is a token. Otherwise it would be left out without a word.
fn check_bytes(tokens: &Tokens) -> Result<()> {
    let missing = ByteLevel::alphabet().into_iter().filter(|letter| tokens.id(&letter.to_string()).is_none());
    let mut missing: Vec<char> = missing.filter(|letter| !NEVER.contains(letter)).collect();
    missing.sort_unstable();
    if let Some(letter) = missing.first() {
        bail!(
            "tokenizer.ggml.tokens has no token for {} of the bytes that texts consist of, among them the one that is written \
             `{letter}`; {REMEDY}",
            missing.len()
        );
    }
    Ok(())
}

/// How the bytes are written that UTF-8 does not have.
const NEVER: [char; 13] = ['À', 'Á', 'õ', 'ö', '÷', 'ø', 'ù', 'ú', 'û', 'ü', 'ý', 'þ', 'ÿ'];
