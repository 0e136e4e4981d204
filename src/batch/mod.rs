//! Stage 3, plan: prompts become batches. The planner is a pure function of token ids.
//!
//! A batch is segments laid end to end, never padded. The tokens that all prompts of a query begin with stand once, as a
//! segment of their own, and the pairs' segments continue it:
//!
//! ```text
//! tokens    S S S S S S S S a a a b b b b b c c T T T T d d d e e
//! segments  [  query 1    ][ a ][   b   ][c][query 2][ d ][ e]
//! continues                  0      0     0             4    4
//! ```
//!
//! Nothing is padded, so pairs of different queries are not mixed for their length's sake: a query's pairs follow one another,
//! and stay in one batch where they fit, so that its shared tokens are computed once and its ranking is complete as early as can
//! be. Only on a GPU, which is slower on batches that are not full, a batch with much room left is filled with a part of the
//! next query.

mod queue;

use std::ops::Range;

use anyhow::{Result, bail, ensure};

pub use queue::{Queue, QueueOrder};

use crate::recipe::Prompt;

/// Which pair a segment scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PairId {
    /// The number of its group, as the planner's caller counts them.
    pub group: usize,
    /// Index of the candidate in its group.
    pub candidate: usize,
}

/// Tokens of one batch that stand together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Where its tokens stand in [`Batch::token_ids`]; never empty.
    pub tokens: Range<usize>,
    /// The segment whose text this one goes on with: an earlier index into [`Batch::segments`].
    pub continues: Option<usize>,
    /// The pair whose prompt ends with this segment's last token; none for a shared prefix.
    pub pair: Option<PairId>,
}

/// More tokens than the memory of any machine takes. Kernels count them in 32 bits.
const MOST_TOKENS: usize = 1 << 30;

/// What one forward pass computes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// The tokens of all segments, end to end.
    pub token_ids: Vec<u32>,
    /// Each token's position in its prompt, counted from 0.
    pub positions: Vec<u32>,
    /// Each token's type: 0 or 1, which only some models tell apart.
    pub token_types: Vec<u8>,
    /// The segments, in the order of their tokens; a shared prefix stands before the segments that continue it.
    pub segments: Vec<Segment>,
}

impl Batch {
    /// Checks that the parts fit together: engines look up by them what stands where, on GPUs without further checks.
    ///
    /// # Errors
    /// If a token has no position or no type, segments leave tokens out or overlap, one is empty or continues a later one, or
    /// positions do not count a prompt's tokens.
    pub fn check(&self) -> Result<()> {
        let tokens = self.token_ids.len();
        ensure!(tokens > 0 && tokens <= MOST_TOKENS, "a batch has {tokens} tokens; there can be 1 to {MOST_TOKENS}");
        let (positions, types) = (self.positions.len(), self.token_types.len());
        ensure!(
            positions == tokens && types == tokens,
            "a batch of {tokens} tokens has {positions} positions and {types} types"
        );
        let mut end = 0;
        for (index, Segment { tokens, continues, .. }) in self.segments.iter().enumerate() {
            ensure!(
                tokens.start == end && tokens.end > end && tokens.end <= positions,
                "segment {index} of a batch has the tokens {tokens:?}, and those before it end at {end}"
            );
            end = tokens.end;
            let first = match continues {
                None => 0,
                Some(before) => match self.segments.get(*before).filter(|_| *before < index) {
                    Some(before) => self.positions[before.tokens.end - 1] + 1,
                    None => {
                        bail!("segment {index} of a batch continues segment {before}, which does not stand before it")
                    }
                },
            };
            ensure!(
                (first..).zip(&self.positions[tokens.clone()]).all(|(expected, position)| *position == expected),
                "the positions of segment {index} of a batch do not count from {first}"
            );
        }
        ensure!(end == positions, "the last {} tokens of a batch belong to no segment", positions - end);
        Ok(())
    }

    /// The pairs in the order in which an engine gives their logits.
    pub fn pairs(&self) -> impl Iterator<Item = PairId> + '_ {
        self.segments.iter().filter_map(|segment| segment.pair)
    }

    /// The ranges of tokens that a segment's last token can look back on, in the order of their positions; the segment's
    /// own is the last.
    pub fn history(&self, segment: usize) -> Vec<Range<usize>> {
        let mut ranges = Vec::new();
        let mut next = Some(segment);
        while let Some(index) = next {
            ranges.push(self.segments[index].tokens.clone());
            next = self.segments[index].continues;
        }
        ranges.reverse();
        ranges
    }

    /// A segment's whole prompt: the tokens that its last one can look back on, and itself.
    pub fn prompt(&self, segment: usize) -> Vec<u32> {
        self.history(segment).into_iter().flat_map(|range| &self.token_ids[range]).copied().collect()
    }

    /// Indices of the segments that end a pair's prompt, in the order of [`Batch::pairs`].
    pub fn pair_segments(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.segments.len()).filter(|&segment| self.segments[segment].pair.is_some())
    }

    /// A batch of so many tokens, all alike, in prompts of a usual length, or of the longest that a model takes: for warming up.
    pub fn filled(tokens: usize, longest: usize) -> Self {
        const USUAL: usize = 256;
        let most = USUAL.min(longest);
        let mut batch = Self::default();
        for candidate in 0..tokens.div_ceil(most) {
            let length = most.min(tokens - candidate * most);
            let pair = Some(PairId { group: 0, candidate });
            batch.push((0..length).map(|_| (0, 0)), None, pair);
        }
        batch
    }

    /// The same pairs in two batches, each with the beginnings that it needs; none if there is but one pair.
    pub fn halves(&self) -> Option<[Self; 2]> {
        let ends: Vec<usize> = self.pair_segments().collect();
        let (first, second) = ends.split_at(ends.len() / 2);
        (!first.is_empty()).then(|| [self.only(first), self.only(second)])
    }

    /// The part of the batch that scores the pairs whose prompts end with these segments.
    fn only(&self, ends: &[usize]) -> Self {
        let mut needed = vec![false; self.segments.len()];
        for &end in ends {
            let mut next = Some(end);
            while let Some(index) = next.filter(|&index| !needed[index]) {
                needed[index] = true;
                next = self.segments[index].continues;
            }
        }
        let mut batch = Self::default();
        let mut places = vec![0; self.segments.len()];
        for index in (0..needed.len()).filter(|&index| needed[index]) {
            let segment = &self.segments[index];
            let continues = segment.continues.map(|before| places[before]);
            let tokens = segment.tokens.clone().map(|token| (self.token_ids[token], self.token_types[token]));
            places[index] = batch.push(tokens, continues, segment.pair);
        }
        batch
    }

    /// Adds a segment of tokens, each with its type.
    fn push(
        &mut self,
        tokens: impl Iterator<Item = (u32, u8)>,
        continues: Option<usize>,
        pair: Option<PairId>,
    ) -> usize {
        let start = self.token_ids.len();
        let position = match continues {
            Some(index) => self.positions[self.segments[index].tokens.end - 1] + 1,
            None => 0,
        };
        for (token, token_type) in tokens {
            self.token_ids.push(token);
            self.token_types.push(token_type);
        }
        let end = self.token_ids.len();
        self.positions.extend((position..).take(end - start));
        self.segments.push(Segment { tokens: start..end, continues, pair });
        self.segments.len() - 1
    }
}

/// What a batch may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most pairs; at least 1.
    pub pairs: usize,
    /// Most computed tokens. A pair that is longer alone makes a batch of its own.
    pub tokens: usize,
    /// Whether the tokens that a query's prompts begin with are computed once.
    pub share_prefixes: bool,
    /// Whether a query may be split to fill a batch, for which its shared prefix is computed once more.
    pub fill: bool,
}

/// The [`Limits`] that the user has set; the others depend on the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitsChoice {
    /// Most pairs.
    pub pairs: Option<usize>,
    /// Most computed tokens.
    pub tokens: Option<usize>,
    /// Whether the tokens that a query's prompts begin with are computed once.
    pub share_prefixes: bool,
}

impl LimitsChoice {
    /// The limits on a processor: a batch has a few times the tokens that its threads compute at once.
    pub fn on_cpu(self) -> Limits {
        self.or(256, 4096, false)
    }

    /// The limits on a GPU that has memory for so many tokens.
    pub fn on_gpu(self, tokens: usize) -> Limits {
        self.or(2048, tokens, true)
    }

    fn or(self, pairs: usize, tokens: usize, fill: bool) -> Limits {
        let Self { share_prefixes, .. } = self;
        Limits { pairs: self.pairs.unwrap_or(pairs), tokens: self.tokens.unwrap_or(tokens), share_prefixes, fill }
    }
}

/// Packs the prompts of groups, all of which are there, as [`Queue`] does.
pub fn plan(groups: &[Vec<Prompt>], limits: Limits) -> Vec<Batch> {
    let mut queue = Queue::default();
    for (group, prompts) in groups.iter().enumerate() {
        queue.push(group, prompts.iter().cloned().enumerate(), limits);
    }
    std::iter::from_fn(|| queue.next_batch(limits)).collect()
}

#[cfg(test)]
mod tests;
