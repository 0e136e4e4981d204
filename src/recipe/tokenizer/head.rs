//! The first tokens of a long text, without tokenizing all of it.

use anyhow::{Result, anyhow};
use tokenizers::{AddedToken, Encoding, Tokenizer};

use super::guarded::guarded;
use super::{At, TextTokenizer};
use crate::slices::first;

/// A document is tokenized from its first bytes only, so many for each token that may be kept, where that suffices.
const BYTES_PER_TOKEN: usize = 16;
/// If that does not suffice, more is read, up to so many bytes for each token: several times the longest token of any
/// vocabulary. A text whose cut would then still lie in its last words, which are megabytes long, is cut as if it ended
/// there.
const MOST_BYTES_PER_TOKEN: usize = 1024;

/// How far back the end of a head can change its tokens, beyond its last words (pieces of the pre-tokenizer): an added token
/// may begin there, of which the head has only a part.
pub(super) struct Margin {
    /// Words: at most one for each byte of the longest added token.
    words: usize,
    /// Whether an added token takes the spaces before it away.
    spaces: bool,
}

impl Margin {
    pub(super) fn new<'a>(text: &Tokenizer, seen: impl Iterator<Item = &'a AddedToken>) -> Self {
        let mut margin = Self { words: 0, spaces: false };
        let mut any = false;
        for token in seen {
            any = true;
            margin.spaces |= token.lstrip;
        }
        if any {
            // Control tokens count, too: where one is passed over, nothing else is seen.
            let added = text.get_added_vocabulary();
            let longest = added.get_added_tokens_decoder().iter().map(|(id, token)| {
                let normalized = added.simple_id_to_token(*id).map_or(0, |content| content.len());
                token.content.len().max(normalized)
            });
            // One more: whether a token is a single word depends on what follows it.
            margin.words = longest.max().unwrap_or(0) + 1;
        }
        margin
    }

    /// Whether the first `limit` tokens of a head are those of every text that goes on from there.
    pub(super) fn settles(&self, head: &str, encoding: &Encoding, limit: usize) -> bool {
        let words = encoding.get_word_ids();
        let Some(kept) = limit.checked_sub(1) else { return false };
        let (Some(Some(word)), Some(Some(last))) = (words.get(kept), words.last()) else { return false };
        let Some(open) = (*last as usize).checked_sub(self.words) else { return false };
        // The place where the head ends can change its last words, and no earlier one.
        if *word as usize + 1 >= open {
            return false;
        }
        if !self.spaces {
            return true;
        }
        let first_open = words.partition_point(|word| word.is_some_and(|word| (word as usize) < open));
        let offsets = encoding.get_offsets();
        let (Some(kept), Some(open)) = (offsets.get(kept), offsets.get(first_open)) else { return false };
        head.get(kept.1..open.0).is_some_and(|between| !between.trim().is_empty())
    }
}

impl TextTokenizer {
    /// The first `limit` tokens of a text that begins a prompt, and whether there are more.
    ///
    /// # Errors
    /// If the tokenizer fails.
    pub fn encode_up_to(&self, text: &str, limit: usize) -> Result<(Vec<u32>, bool)> {
        self.at(false).encode_up_to(text, limit)
    }
}

impl TextTokenizer {
    /// The beginning of a text that has so many tokens; the whole text, if it has no more.
    ///
    /// # Errors
    /// If the tokenizer fails.
    pub fn beginning<'a>(&self, text: &'a str, tokens: usize) -> Result<&'a str> {
        let path = &self.path;
        let mut bytes = tokens.saturating_mul(BYTES_PER_TOKEN).max(256);
        loop {
            let head = text.get(..text.floor_char_boundary(bytes)).unwrap_or(text);
            let encode = || self.text.encode(head, false).map_err(|error| anyhow!("{path}: {error}"));
            let encoding = guarded(path, encode)?;
            if head.len() == text.len() || self.margin.settles(head, &encoding, tokens) {
                let Some((next, _)) = encoding.get_offsets().get(tokens) else { return Ok(text) };
                return Ok(text.get(..text.floor_char_boundary(*next)).unwrap_or(text));
            }
            bytes = bytes.saturating_mul(4);
        }
    }
}

impl At<'_> {
    /// The first `limit` tokens of a text, and whether there are more. Takes time for the tokens, not for the text.
    ///
    /// # Errors
    /// If the tokenizer fails.
    pub fn encode_up_to(self, text: &str, limit: usize) -> Result<(Vec<u32>, bool)> {
        let most = limit.saturating_mul(MOST_BYTES_PER_TOKEN).max(1 << 20);
        let mut bytes = limit.saturating_mul(BYTES_PER_TOKEN).max(256);
        while bytes < text.len().min(most) {
            let head = text.get(..text.floor_char_boundary(bytes)).unwrap_or(text);
            if let Some(token_ids) = self.encode_head(head, limit)? {
                return Ok((token_ids, true));
            }
            bytes = bytes.saturating_mul(4);
        }
        let head = text.get(..text.floor_char_boundary(most)).unwrap_or(text);
        let mut token_ids = self.encode(head)?;
        let cut = token_ids.len() > limit || head.len() < text.len();
        token_ids.truncate(limit);
        Ok((token_ids, cut))
    }

    /// The first `limit` tokens of a head of a text, if they are those of the whole text.
    fn encode_head(self, head: &str, limit: usize) -> Result<Option<Vec<u32>>> {
        let path = &self.tokenizer.path;
        let encode = || self.text.encode(head, false).map_err(|error| anyhow!("{path}: {error}"));
        let encoding = guarded(path, encode)?;
        Ok(self.tokenizer.margin.settles(head, &encoding, limit).then(|| first(encoding.get_ids(), limit).to_vec()))
    }
}
