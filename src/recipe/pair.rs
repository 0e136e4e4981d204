//! Two texts, each tokenized by itself, in the frame that the tokenizer has for them.

use std::borrow::Cow;

use anyhow::{Result, ensure};

use super::value::Cut;
use super::{PairFrame, Prompt, QueryTooLong, TextTokenizer};

/// How two texts become a prompt.
#[derive(Clone)]
pub(super) struct Pair {
    pub(super) frame: PairFrame,
    pub(super) cut: Cut,
    pub(super) max_length: usize,
}

/// The tokens of two texts that are kept, and which of them are not all.
struct Kept {
    first: Vec<u32>,
    second: Vec<u32>,
    first_cut: bool,
    second_cut: bool,
}

impl Pair {
    /// The tokens that a prompt has at least: one of the query.
    pub(super) fn least(frame: &PairFrame) -> usize {
        frame.tokens() + 1
    }

    /// The tokens of texts that fit.
    fn room(&self) -> usize {
        self.max_length.saturating_sub(self.frame.tokens())
    }

    /// The most tokens of a first text whose second is cut: they leave room for one token of the second.
    fn most_of_first(&self) -> usize {
        let share = if self.cut == Cut::QueryShare { self.max_length.saturating_mul(3) / 4 } else { self.max_length };
        share.min(self.room().saturating_sub(1))
    }

    /// What users should know of a first text that is cut, whatever the second.
    ///
    /// # Errors
    /// If it leaves no room for the second, and is not cut.
    pub(super) fn check_first(&self, tokenizer: &TextTokenizer, first: &str) -> Result<Option<String>> {
        if self.cut == Cut::LongestFirst {
            return self.check_longest_first(tokenizer, first);
        }
        let most = self.most_of_first();
        let (_, longer) = tokenizer.encode_up_to(first, most)?;
        ensure!(!longer || self.cut == Cut::QueryShare, QueryTooLong { tokens: self.max_length });
        Ok(longer.then(|| {
            format!(
                "the query is longer than three quarters of the {} tokens of a prompt, and only its first {most} are read, as \
                 FlagEmbedding does; its results are marked as truncated",
                self.max_length
            )
        }))
    }

    /// What users should know of a first text that may be cut, where the longer text is.
    fn check_longest_first(&self, tokenizer: &TextTokenizer, first: &str) -> Result<Option<String>> {
        let half = self.room() / 2;
        let (_, longer) = tokenizer.encode_up_to(first, half)?;
        Ok(longer.then(|| {
            format!(
                "the query is longer than half of the {} tokens of a prompt, and loses its end, down to its first {half} tokens, \
                 where both texts do not fit, as in sentence-transformers; such results are marked as truncated",
                self.max_length
            )
        }))
    }

    /// The same, for prompts of this many tokens, if that is less than the longest prompt has.
    ///
    /// # Errors
    /// If the texts have no room in so few.
    pub(super) fn within(&self, tokens: usize) -> Result<Cow<'_, Self>> {
        if tokens >= self.max_length {
            return Ok(Cow::Borrowed(self));
        }
        let least = Self::least(&self.frame);
        ensure!(tokens > least, "the prompt alone takes {least} tokens, and leaves no room for texts in {tokens}");
        Ok(Cow::Owned(Self { max_length: tokens, ..self.clone() }))
    }

    /// The prompt of two texts.
    pub(super) fn prompt(&self, tokenizer: &TextTokenizer, texts: &[String; 2]) -> Result<Prompt> {
        let Kept { first, second, first_cut, second_cut } = match self.cut {
            Cut::Document | Cut::QueryShare => self.second_cut(tokenizer, texts)?,
            Cut::LongestFirst => longest_first(tokenizer, texts, self.room())?,
        };
        let PairFrame { before, between, after, second_type, .. } = &self.frame;
        let second_type = second_type.map(|types| before.len() + first.len() + types);
        let token_ids = [before.as_slice(), &first, between, &second, after].concat();
        Ok(Prompt { token_ids, second_type, truncated: first_cut || second_cut, document_cut: second_cut })
    }

    /// The tokens that are left for what follows the second text.
    pub(super) fn room_behind(&self, tokenizer: &TextTokenizer, [first, second]: &[String; 2]) -> Result<usize> {
        let most_of_first = match self.cut {
            Cut::Document | Cut::QueryShare => self.most_of_first(),
            Cut::LongestFirst => self.room() - self.room() / 2,
        };
        let (first, _) = tokenizer.encode_up_to(first, most_of_first)?;
        let (second, _) = tokenizer.encode_up_to(second, self.room())?;
        Ok(self.room().saturating_sub(first.len() + second.len()))
    }

    /// The first text up to its share, and the second as far as there is room.
    fn second_cut(&self, tokenizer: &TextTokenizer, [first, second]: &[String; 2]) -> Result<Kept> {
        let (first, first_cut) = tokenizer.encode_up_to(first, self.most_of_first())?;
        let (second, second_cut) = tokenizer.encode_up_to(second, self.room() - first.len())?;
        Ok(Kept { first, second, first_cut, second_cut })
    }

    /// Both texts with the tokens around them, in marks.
    pub(super) fn text(&self, tokenizer: &TextTokenizer, [first, second]: &[String; 2]) -> String {
        let marks = |ids: &[u32]| match ids {
            [] => "⟦⟧".to_owned(),
            ids => ids.iter().map(|id| format!("⟦{}⟧", tokenizer.added_token(*id).unwrap_or("?"))).collect(),
        };
        let outer = |ids: &[u32]| if ids.is_empty() { String::new() } else { marks(ids) };
        let PairFrame { before, between, after, .. } = &self.frame;
        format!("{}{first}{}{second}{}", outer(before), marks(between), outer(after))
    }
}

/// Of texts that are too long, the longer loses its end, and both do where both are long: the truncation `longest_first` of
/// transformers.
fn longest_first(tokenizer: &TextTokenizer, [first, second]: &[String; 2], most: usize) -> Result<Kept> {
    let (mut first_tokens, longer) = tokenizer.encode_up_to(first, most)?;
    // An odd token is that of the longer text. Where both are longer than a whole prompt, the first is counted to its end.
    let counted = if longer { tokenizer.encode(first)?.len() } else { first_tokens.len() };
    let (mut second_tokens, _) = tokenizer.encode_up_to(second, counted.max(most.saturating_add(1)))?;
    let kept = kept([counted, second_tokens.len()], most);
    let (first_cut, second_cut) = (kept[0] < counted, kept[1] < second_tokens.len());
    first_tokens.truncate(kept[0]);
    second_tokens.truncate(kept[1]);
    Ok(Kept { first: first_tokens, second: second_tokens, first_cut, second_cut })
}

/// How many tokens two texts of these lengths keep.
fn kept(lengths: [usize; 2], most: usize) -> [usize; 2] {
    let [first, second] = lengths;
    let half = most / 2;
    match (first > half, second > half) {
        _ if first + second <= most => lengths,
        (false, _) => [first, most - first],
        (_, false) => [most - second, second],
        // An odd token is that of the longer text.
        _ if first > second => [most - half, half],
        _ => [half, most - half],
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokenizers::Encoding;
    use tokenizers::utils::truncation::{TruncationParams, truncate_encodings};

    use super::*;

    fn encoding(length: usize) -> Encoding {
        Encoding::from_tokens(
            (0..).take(length).map(|id| tokenizers::Token::new(id, String::new(), (0, 0))).collect(),
            0,
        )
    }

    #[test]
    fn both_texts_are_cut_where_both_are_long() {
        assert_eq!(kept([161, 181], 60), [30, 30]);
        assert_eq!(kept([40, 181], 60), [30, 30]);
        assert_eq!(kept([10, 181], 60), [10, 50]);
    }

    proptest! {
        #[test]
        fn texts_keep_what_the_library_keeps(first in 0_usize..40, second in 0_usize..40, max_length in 1_usize..40) {
            let parameters = TruncationParams { max_length, ..TruncationParams::default() };
            let (one, other) =
                truncate_encodings(encoding(first), Some(encoding(second)), &parameters).unwrap();
            prop_assert_eq!(kept([first, second], max_length), [one.len(), other.unwrap().len()]);
            // A text is only read as far as it may be kept.
            let read = second.min(first.max(max_length + 1));
            prop_assert_eq!(kept([first, read], max_length), kept([first, second], max_length));
        }
    }
}
