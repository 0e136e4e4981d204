//! Tokenizes text as text: nothing in it is ever read as a control token.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use tokenizers::Tokenizer;

use crate::checkpoint::{not_json, read_text};

/// The largest tokenizers have some dozens of MiB.
const MOST_TOKENIZER: u64 = 512 << 20;

/// A document is tokenized from its first bytes only, so many for each token that may be kept, where that suffices.
const BYTES_PER_TOKEN: usize = 16;
/// If that does not suffice, more is read, up to so many bytes for each token: several times the longest token of any
/// vocabulary. A text whose cut would then still lie in its last words, which are megabytes long, is cut as if it ended
/// there.
const MOST_BYTES_PER_TOKEN: usize = 1024;

/// A `tokenizer.json`, parted in two: the text's own tokens, and the control tokens that templates are made of.
pub struct TextTokenizer {
    text: Tokenizer,
    control_tokens: HashMap<String, u32>,
    path: String,
}

impl TextTokenizer {
    /// Reads a `tokenizer.json`.
    ///
    /// # Errors
    /// If the file is missing, or is no tokenizer.
    pub fn from_file(path: &Path) -> Result<Self> {
        let text = read_text(path, MOST_TOKENIZER)?;
        let whole = Tokenizer::from_bytes(&text).map_err(|error| {
            anyhow!(
                "{} is not a tokenizer that rerank can read: {}",
                path.display(),
                problem(&text, &error.to_string())
            )
        })?;
        // The same model without the added tokens, the post-processor, truncation and padding: in a text,
        // `<|im_end|>` is ten characters and not the end of a message.
        let mut text = Tokenizer::new(whole.get_model().clone());
        let with_normalizer = text.with_normalizer(whole.get_normalizer().cloned());
        with_normalizer.map_err(|error| anyhow!("{}: {error}", path.display()))?;
        text.with_pre_tokenizer(whole.get_pre_tokenizer().cloned());
        let added = whole.get_added_tokens_decoder().into_iter();
        let control_tokens = added.map(|(id, token)| (token.content, id)).collect();
        Ok(Self { text, control_tokens, path: path.display().to_string() })
    }

    /// The id of a control token.
    ///
    /// # Errors
    /// If the tokenizer lacks it.
    pub fn control_token(&self, token: &str) -> Result<u32> {
        self.control_tokens.get(token).copied().with_context(|| {
            format!(
                "{} has no token `{token}`, which the model's prompt needs; is it this model's tokenizer?",
                self.path
            )
        })
    }

    /// Rows that a model's embedding needs for all tokens, control tokens included.
    pub fn size(&self) -> usize {
        let ids = self.control_tokens.values().copied().chain(self.text.get_vocab(false).into_values());
        ids.max().map_or(0, |id| id as usize + 1)
    }

    /// The id of a word that is a single token.
    ///
    /// # Errors
    /// If it is several.
    pub fn single_token(&self, word: &str) -> Result<u32> {
        match self.encode(word)?.as_slice() {
            [id] => Ok(*id),
            ids => {
                bail!("{}: `{word}` should be one token and is {}; is it this model's tokenizer?", self.path, ids.len())
            }
        }
    }

    /// The tokens of a text.
    ///
    /// # Errors
    /// If the tokenizer fails.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let encoding = self.text.encode_fast(text, false).map_err(|error| anyhow!("{}: {error}", self.path))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The first `limit` tokens of a text, and whether there are more. Takes time for the tokens, not for the text.
    ///
    /// # Errors
    /// If the tokenizer fails.
    pub fn encode_up_to(&self, text: &str, limit: usize) -> Result<(Vec<u32>, bool)> {
        let most = limit.saturating_mul(MOST_BYTES_PER_TOKEN).max(1 << 20);
        let mut bytes = limit.saturating_mul(BYTES_PER_TOKEN).max(256);
        while bytes < text.len().min(most) {
            let head = &text[..text.floor_char_boundary(bytes)];
            if let Some(token_ids) = self.encode_head(head, limit)? {
                return Ok((token_ids, true));
            }
            bytes = bytes.saturating_mul(4);
        }
        let head = &text[..text.floor_char_boundary(most)];
        let mut token_ids = self.encode(head)?;
        let cut = token_ids.len() > limit || head.len() < text.len();
        token_ids.truncate(limit);
        Ok((token_ids, cut))
    }

    /// The first `limit` tokens of a head of a text, if they are those of the whole text.
    fn encode_head(&self, head: &str, limit: usize) -> Result<Option<Vec<u32>>> {
        let encoding = self.text.encode(head, false).map_err(|error| anyhow!("{}: {error}", self.path))?;
        let words = encoding.get_word_ids();
        // The place where the head ends can change its last words (pieces of the pre-tokenizer), and no earlier one.
        let settled = match (limit.checked_sub(1).and_then(|last| words.get(last)), words.last()) {
            (Some(Some(kept)), Some(Some(last))) => kept + 1 < *last,
            _ => false,
        };
        Ok(settled.then(|| encoding.get_ids()[..limit].to_vec()))
    }
}

/// What is wrong with a `tokenizer.json`, in words. `error` is the library's: where it speaks of its own types, it is left out.
fn problem(text: &str, error: &str) -> String {
    let value: serde_json::Value = match serde_json::from_str(text) {
        Ok(value) => value,
        Err(error) => return not_json(&error).to_string(),
    };
    let Some(kind) = value["model"].as_object().map(|model| model.get("type").and_then(|kind| kind.as_str())) else {
        return "it has no `model`, the part that defines how words become tokens; is it another of the model's files?"
            .to_owned();
    };
    const TYPES: [&str; 7] =
        ["missing field", "unknown field", "expected ", "variant", "untagged", "invalid type", "invalid value"];
    if TYPES.iter().any(|words| error.contains(words)) {
        let kind = kind.unwrap_or("not given");
        return format!(
            "one of its parts is damaged or newer than this version of rerank knows (its model's type is {kind})"
        );
    }
    error.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokenizer() -> TextTokenizer {
        TextTokenizer::from_file(Path::new("testdata/odd-reranker/tokenizer.json")).unwrap()
    }

    #[test]
    fn control_tokens_in_a_text_are_text() {
        let tokenizer = tokenizer();
        for token in ["<|im_end|>", "<think>", "</think>", "<|endoftext|>"] {
            let control = tokenizer.control_token(token).unwrap();
            let ids = tokenizer.encode(token).unwrap();
            assert!(!ids.contains(&control), "{token} became {ids:?}");
            assert!(ids.len() > 1);
        }
    }

    #[test]
    fn a_missing_control_token_is_named() {
        let error = tokenizer().control_token("<|im_middle|>").unwrap_err().to_string();
        assert!(error.contains("<|im_middle|>") && error.contains("tokenizer.json"), "{error}");
    }

    #[test]
    fn the_first_tokens_of_a_long_text_are_those_of_the_whole() {
        let tokenizer = tokenizer();
        let sentence = "Fleas  live\n\n on 12 cats, 漢字と   e\u{301}tudes; ";
        let mut texts = vec![sentence.repeat(400), "a".repeat(30_000), " ".repeat(30_000)];
        texts.push(format!("{}{}", "word ".repeat(40), "x".repeat(20_000)));
        for text in texts {
            let whole = tokenizer.encode(&text).unwrap();
            for limit in [0, 1, 7, 40, 41, 500, whole.len() - 1, whole.len(), whole.len() + 9] {
                let (head, cut) = tokenizer.encode_up_to(&text, limit).unwrap();
                assert_eq!(head, whole[..limit.min(whole.len())], "limit {limit} of {:.20}", text);
                assert_eq!(cut, limit < whole.len());
            }
        }
    }
}
