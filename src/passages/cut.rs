//! Cuts one document into passages whose prompts fit.

use std::ops::Range;

use anyhow::Result;

use super::boundaries::Boundaries;
use super::{Aggregation, Passages, Splitting};
use crate::recipe::{Prompt, Prompts};
use crate::record::{Candidate, Query};

/// A passage is looked for in so many bytes for each of its tokens, where that suffices.
const BYTES_PER_TOKEN: usize = 16;
/// The bytes in which it is looked for at least.
const LEAST_BYTES: usize = 256;

/// A document that is cut.
pub(super) struct Cut<'a> {
    query: &'a Query,
    text: &'a str,
    prompts: &'a dyn Prompts,
    boundaries: Boundaries<'a>,
    /// The title as it stands in front of each passage, with a space behind it; empty, if there is none.
    title: String,
    title_cut: bool,
    /// The most tokens of a passage.
    tokens: usize,
    /// The tokens from the beginning of a passage to that of the next.
    stride: usize,
    /// Whether only the first passage is wanted.
    only_first: bool,
}

/// A passage without white space at its ends.
struct Passage {
    range: Range<usize>,
    prompt: Prompt,
}

impl<'a> Cut<'a> {
    /// A title is cut to half of the room beside the query, so that the text gets the other half.
    pub(super) fn new(
        query: &'a Query,
        candidate: &'a Candidate,
        prompts: &'a dyn Prompts,
        splitting: &Splitting,
    ) -> Result<Self> {
        let whole_title = candidate.title.as_deref().unwrap_or_default().trim();
        let title = match whole_title {
            "" => "",
            title => prompts.beginning(title, prompts.room(query, "")? / 2)?.trim_end(),
        };
        let title_cut = title.len() < whole_title.len();
        let title = if title.is_empty() { String::new() } else { format!("{title} ") };
        let tokens = splitting.tokens.unwrap_or(usize::MAX).min(prompts.room(query, &title)?).max(1);
        let stride = splitting.stride.unwrap_or(tokens - tokens / 4).clamp(1, tokens);
        let text = candidate.text.as_str();
        let boundaries = Boundaries::new(text);
        let only_first = splitting.aggregation == Aggregation::First;
        Ok(Self { query, text, prompts, boundaries, title, title_cut, tokens, stride, only_first })
    }

    /// The prompts of all passages; none, if the text is white space.
    pub(super) fn passages(&self) -> Result<(Vec<Prompt>, Passages)> {
        let (mut made, mut ranges, mut start, mut covered) = (Vec::new(), Vec::new(), 0, 0);
        let (mut truncated, mut document_cut) = (self.title_cut, self.title_cut);
        while start < self.text.len() {
            let (end, found) = self.passage(start, covered)?;
            // A passage that ends where the one before does is a part of it.
            if end <= covered {
                start = covered;
                continue;
            }
            covered = end;
            let reached = ranges.last().map_or(0, |last: &Range<usize>| last.end);
            // One that goes on with nothing but white space is a part of it, too.
            if let Some(Passage { range, prompt }) = found.filter(|found| found.range.end > reached) {
                truncated |= prompt.truncated;
                document_cut |= prompt.document_cut;
                made.push(prompt);
                ranges.push(range);
            }
            if end >= self.text.len() {
                break;
            }
            if self.only_first && !made.is_empty() {
                (truncated, document_cut) = (true, true);
                break;
            }
            start = self.next_start(start, end)?;
        }
        Ok((made, Passages { ranges, truncated, document_cut }))
    }

    /// The passage that begins here, of a text that is covered so far, and where it ends; `None`, if it is white space.
    fn passage(&self, start: usize, covered: usize) -> Result<(usize, Option<Passage>)> {
        let (mut tokens, mut less) = (self.tokens, 1);
        loop {
            let reach = self.reach(start, tokens)?;
            let end = self.boundaries.last_between(half(start, reach).max(covered), reach);
            let range = self.trimmed(start..end);
            if range.is_empty() {
                return Ok((end, None));
            }
            let passage = self.text.get(range.clone()).unwrap_or_default();
            let prompt = self.prompts.prompt(self.query, &format!("{}{passage}", self.title))?;
            // Where tokens meet others, there may be one more than were counted.
            if !prompt.document_cut || tokens == 1 {
                return Ok((end, Some(Passage { range, prompt })));
            }
            tokens = tokens.saturating_sub(less).max(1);
            less *= 2;
        }
    }

    /// Where the next passage begins, in the one that begins and ends here.
    fn next_start(&self, start: usize, end: usize) -> Result<usize> {
        if self.stride >= self.tokens {
            return Ok(end);
        }
        let reach = self.reach(start, self.stride)?;
        Ok(if reach >= end { end } else { self.boundaries.last_between(half(start, reach), reach).min(end) })
    }

    /// How far so many tokens reach: at least over a character.
    fn reach(&self, start: usize, tokens: usize) -> Result<usize> {
        let rest = self.text.get(start..).unwrap_or_default();
        let first = rest.chars().next().map_or(0, char::len_utf8);
        let mut bytes = tokens.saturating_mul(BYTES_PER_TOKEN).max(LEAST_BYTES);
        loop {
            // A passage ends where it is cut, in the middle of a word if need be. So what follows does not count, and a word of
            // megabytes is not read again for each passage.
            let head = rest.get(..rest.floor_char_boundary(bytes)).unwrap_or(rest);
            let reached = self.prompts.beginning(head, tokens)?.len();
            if reached < head.len() || head.len() == rest.len() {
                return Ok(start + reached.max(first));
            }
            bytes = bytes.saturating_mul(4);
        }
    }

    fn trimmed(&self, range: Range<usize>) -> Range<usize> {
        let passage = self.text.get(range.clone()).unwrap_or_default();
        let start = range.start + (passage.len() - passage.trim_start().len());
        start..start + passage.trim().len()
    }
}

/// The middle of a range: a cut before it would leave too little.
fn half(start: usize, end: usize) -> usize {
    start + (end - start) / 2
}
