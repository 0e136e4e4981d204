//! The tokens of a GGUF file, by their ids.

use std::collections::HashMap;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::REMEDY;
use crate::checkpoint::Metadata;

const TOKENS: &str = "tokenizer.ggml.tokens";
const TYPES: &str = "tokenizer.ggml.token_type";

/// More tokens than any vocabulary has, as for other tokenizers.
const MOST_TOKENS: usize = 1 << 21;
/// All texts of the largest vocabularies have some MiB together, of which the tokenizer makes many times as much.
const MOST_BYTES: usize = 64 << 20;
/// Nothing bounds the length of a token, which messages name.
const LONGEST_SHOWN: usize = 40;
/// No text has it: Unicode keeps it free for programs.
const NO_CHARACTER: char = '\u{ffff}';
/// Stands before the words of a WordPiece vocabulary, where what continues a word has nothing.
const WORD: char = '▁';

/// What a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A piece of text.
    Normal,
    /// Stands for what is no piece.
    Unknown,
    /// Controls the model.
    Control,
    /// Was added for texts.
    Added,
    /// Fills the embedding's rows.
    Unused,
    /// Stands for a byte of what is no piece.
    Byte,
}

/// The tokens.
pub(super) struct Tokens {
    /// The text in the form of `tokenizer.json`. Those that are unused have a name that no text has.
    texts: Vec<String>,
    kinds: Vec<Kind>,
    ids: HashMap<String, u32>,
}

impl Tokens {
    /// Reads the tokens. `marks_words` for the WordPiece of llama.cpp.
    ///
    /// # Errors
    /// If there are none, two are the same, or their types are not those of the same tokens.
    pub(super) fn read(metadata: &Metadata, marks_words: bool) -> Result<Self> {
        let stored = metadata.texts(TOKENS)?.unwrap_or_default();
        ensure!(!stored.is_empty(), "the metadata has no tokens ({TOKENS}); {REMEDY}");
        ensure!(stored.len() <= MOST_TOKENS, "{TOKENS} has {} tokens, and no model has so many", stored.len());
        let bytes: usize = stored.iter().map(String::len).sum();
        ensure!(bytes <= MOST_BYTES, "{TOKENS} has {bytes} bytes of text, and no vocabulary has so much");
        let types = metadata.integers(TYPES)?.with_context(|| {
            format!("the metadata has no {TYPES}, by which control tokens are known from those of texts; {REMEDY}")
        })?;
        check_count(TYPES, types.len(), stored.len())?;
        if marks_words {
            ensure!(
                stored.iter().any(|token| token.starts_with(WORD)),
                "{TOKENS} has no word that begins with `{WORD}`, by which llama.cpp's form of a WordPiece vocabulary marks words; \
                 {REMEDY}"
            );
        }
        let mut tokens = Self { texts: Vec::new(), kinds: Vec::new(), ids: HashMap::new() };
        for (id, (stored, number)) in stored.iter().zip(types).enumerate() {
            let kind = kind(*number).with_context(|| format!("{TYPES} of token {id}, `{}`,", shown(stored)))?;
            tokens.push(id, stored, kind, marks_words)?;
        }
        let used = tokens.kinds.iter().rposition(|kind| *kind != Kind::Unused).map_or(0, |last| last + 1);
        tokens.texts.truncate(used);
        tokens.kinds.truncate(used);
        Ok(tokens)
    }

    fn push(&mut self, id: usize, stored: &str, kind: Kind, marks_words: bool) -> Result<()> {
        let text = if marks_words && kind != Kind::Control { word_piece(stored) } else { stored.to_owned() };
        // Older converters took what fills the rows for tokens that were added.
        let fills = [Kind::Added, Kind::Unused].contains(&kind) && text == format!("[PAD{id}]");
        let kind = if fills || text.is_empty() { Kind::Unused } else { kind };
        let text = if kind == Kind::Unused { format!("{NO_CHARACTER}{id}") } else { text };
        let number = u32::try_from(id)?;
        if let Some(other) = self.ids.insert(text.clone(), number) {
            bail!("{TOKENS} has `{}` twice, as {other} and {id}; the file is damaged: {REMEDY}", shown(stored));
        }
        self.texts.push(text);
        self.kinds.push(kind);
        Ok(())
    }

    /// How many there are, up to the last that is used.
    pub(super) fn len(&self) -> usize {
        self.texts.len()
    }

    /// The id of a text.
    pub(super) fn id(&self, text: &str) -> Option<u32> {
        self.ids.get(text).copied()
    }

    /// The token of an id, if it is used.
    pub(super) fn used(&self, id: u32) -> Option<&str> {
        let at = id as usize;
        self.kinds.get(at).filter(|kind| **kind != Kind::Unused)?;
        self.texts.get(at).map(String::as_str)
    }

    /// The texts in the order of their ids, and what they are for.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, Kind)> {
        self.texts.iter().map(String::as_str).zip(self.kinds.iter().copied())
    }

    /// The vocabulary as an object from texts to ids.
    pub(super) fn vocabulary(&self) -> Value {
        self.texts
            .iter()
            .enumerate()
            .map(|(id, text)| (text.clone(), id.into()))
            .collect::<serde_json::Map<_, _>>()
            .into()
    }

    /// The tokens that are looked for in a text before it is cut into pieces.
    pub(super) fn added(&self, normalized: bool) -> Value {
        let added = self.iter().enumerate().filter_map(|(id, (content, kind))| {
            let special = match kind {
                Kind::Control | Kind::Unknown => true,
                Kind::Added => false,
                Kind::Normal | Kind::Unused | Kind::Byte => return None,
            };
            Some(json!({
                "id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": normalized && !special, "special": special,
            }))
        });
        added.collect()
    }
}

/// Checks that a list has an element for each token.
pub(super) fn check_count(name: &str, count: usize, tokens: usize) -> Result<()> {
    ensure!(
        count == tokens,
        "{name} has {count} elements, and {TOKENS} has {tokens}; the file is damaged: download it again"
    );
    Ok(())
}

/// The beginning of a token, for messages.
pub(super) fn shown(token: &str) -> String {
    let start: String = token.chars().take(LONGEST_SHOWN).collect();
    if start.len() < token.len() { start + "…" } else { start }
}

fn kind(number: i64) -> Result<Kind> {
    Ok(match number {
        1 => Kind::Normal,
        2 => Kind::Unknown,
        3 => Kind::Control,
        4 => Kind::Added,
        5 => Kind::Unused,
        6 => Kind::Byte,
        other => bail!("is {other}, and types are 1 to 6; the file is damaged: {REMEDY}"),
    })
}

/// A piece as BERT's vocabularies have it: there, what continues a word is marked.
fn word_piece(stored: &str) -> String {
    match stored.strip_prefix(WORD) {
        Some(word) if !word.is_empty() => word.to_owned(),
        _ => format!("##{stored}"),
    }
}
