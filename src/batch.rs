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

use std::ops::Range;

use crate::recipe::Prompt;

/// Which pair of a window a segment scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PairId {
    /// Index of the group in its window.
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

    /// A batch of so many tokens, all alike, in prompts of a usual length: for warming up.
    pub fn filled(tokens: usize) -> Self {
        const LENGTH: usize = 256;
        let mut batch = Self::default();
        for candidate in 0..tokens.div_ceil(LENGTH) {
            let length = LENGTH.min(tokens - candidate * LENGTH);
            let pair = Some(PairId { group: 0, candidate });
            batch.push([0; LENGTH][..length].iter().map(|&token| (token, 0)), None, pair);
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

/// A batch is filled with a part of a query only if one in this many of its tokens, and of its pairs, is still free.
const WORTH_FILLING: usize = 8;
/// A batch is filled with a part of a query only if its free room is this many times the query's shared prefix.
const WORTH_REPEATING: usize = 16;

/// Packs the prompts of a window's groups. Batches follow the groups' order; inside a group the longest prompts come
/// first, so that the threads which share a batch end together. A group that would fit into one batch is not split, but for
/// [`Limits::fill`].
pub fn plan(groups: &[Vec<Prompt>], limits: Limits) -> Vec<Batch> {
    let mut batches = Vec::new();
    let mut batch = Batch::default();
    let mut pairs = 0;
    for (group, prompts) in groups.iter().enumerate() {
        let shared = if limits.share_prefixes { shared_prefix(prompts) } else { 0 };
        let mut order: Vec<usize> = (0..prompts.len()).collect();
        order.sort_by_key(|&candidate| std::cmp::Reverse(prompts[candidate].token_ids.len()));

        let own = |candidate: usize| prompts[candidate].token_ids.len() - shared;
        let whole = shared + order.iter().map(|&candidate| own(candidate)).sum::<usize>();
        let fits_here = batch.token_ids.len() + whole <= limits.tokens && pairs + order.len() <= limits.pairs;
        let fits_alone = whole <= limits.tokens && order.len() <= limits.pairs;
        let room = limits.tokens.saturating_sub(batch.token_ids.len());
        let has_room = room * WORTH_FILLING >= limits.tokens && (limits.pairs - pairs) * WORTH_FILLING >= limits.pairs;
        let fills = limits.fill && has_room && shared * WORTH_REPEATING <= room;
        if !fits_here && fits_alone && !fills && !batch.segments.is_empty() {
            batches.push(std::mem::take(&mut batch));
            pairs = 0;
        }

        let mut prefix = None;
        for candidate in order {
            let prefix_tokens = if prefix.is_none() { shared } else { 0 };
            let full = batch.token_ids.len() + prefix_tokens + own(candidate) > limits.tokens || pairs == limits.pairs;
            if full && pairs > 0 {
                batches.push(std::mem::take(&mut batch));
                (pairs, prefix) = (0, None);
            }
            let prompt = &prompts[candidate];
            let tokens = |range: Range<usize>| range.map(|token| (prompt.token_ids[token], prompt.token_type(token)));
            if shared > 0 && prefix.is_none() {
                prefix = Some(batch.push(tokens(0..shared), None, None));
            }
            let own = shared..prompt.token_ids.len();
            batch.push(tokens(own), prefix, Some(PairId { group, candidate }));
            pairs += 1;
        }
    }
    if !batch.segments.is_empty() {
        batches.push(batch);
    }
    batches
}

/// The number of tokens that all prompts begin with. Every prompt keeps a token of its own, because the hidden state of its
/// last token is what is scored. A single prompt shares nothing.
fn shared_prefix(prompts: &[Prompt]) -> usize {
    let Some((first, rest)) = prompts.split_first() else { return 0 };
    if rest.is_empty() {
        return 0;
    }
    let mut shared = first.token_ids.len();
    for prompt in rest {
        let same = first.token_ids.iter().zip(&prompt.token_ids).take_while(|(one, other)| one == other).count();
        let second = |prompt: &Prompt| prompt.second_type.unwrap_or(usize::MAX);
        let types_differ_from =
            if second(first) == second(prompt) { usize::MAX } else { second(first).min(second(prompt)) };
        shared = shared.min(same).min(types_differ_from);
    }
    let shortest = prompts.iter().map(|prompt| prompt.token_ids.len()).min().unwrap_or(0);
    shared.min(shortest.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn prompts() -> impl Strategy<Value = Vec<Vec<Prompt>>> {
        let group = (
            proptest::collection::vec(0u32..3, 0..6),
            proptest::collection::vec(proptest::collection::vec(0u32..3, 1..9), 0..9),
        );
        let group = group.prop_map(|(head, tails)| {
            let prompt = |tail: Vec<u32>| Prompt::whole([head.clone(), tail].concat());
            tails.into_iter().map(prompt).collect()
        });
        proptest::collection::vec(group, 0..6)
    }

    proptest! {
        #[test]
        fn every_prompt_is_scored_once_and_whole(
            groups in prompts(), pairs in 1usize..9, tokens in 1usize..60, share_prefixes: bool, fill: bool,
        ) {
            let batches = plan(&groups, Limits { pairs, tokens, share_prefixes, fill });
            let mut seen = Vec::new();
            for batch in &batches {
                let count = batch.pairs().count();
                prop_assert!(count <= pairs && count > 0);
                prop_assert!(batch.token_ids.len() <= tokens || count == 1);
                prop_assert_eq!(batch.segments.iter().map(|segment| segment.tokens.len()).sum::<usize>(), batch.token_ids.len());
                let prompts = |batch: &Batch| -> Vec<_> {
                    let ends = batch.pair_segments();
                    ends.map(|end| (batch.segments[end].pair, batch.prompt(end))).collect()
                };
                match batch.halves() {
                    None => prop_assert_eq!(count, 1),
                    Some([first, second]) => {
                        prop_assert!(first.pairs().count().abs_diff(second.pairs().count()) <= 1);
                        prop_assert_eq!([prompts(&first), prompts(&second)].concat(), prompts(batch));
                        prop_assert!(first.token_ids.len() <= batch.token_ids.len());
                    }
                }
                for (index, segment) in batch.segments.iter().enumerate() {
                    let Some(id) = segment.pair else { continue };
                    let read: Vec<usize> = batch.history(index).into_iter().flatten().collect();
                    let token_ids: Vec<u32> = read.iter().map(|&token| batch.token_ids[token]).collect();
                    let positions: Vec<u32> = read.iter().map(|&token| batch.positions[token]).collect();
                    prop_assert_eq!(&token_ids, &groups[id.group][id.candidate].token_ids);
                    prop_assert_eq!(positions, (0..token_ids.len() as u32).collect::<Vec<_>>());
                    seen.push(id);
                }
            }
            let groups_in_order: Vec<usize> = seen.iter().map(|id| id.group).collect();
            prop_assert!(groups_in_order.is_sorted());
            seen.sort();
            let expected: Vec<PairId> = groups.iter().enumerate()
                .flat_map(|(group, prompts)| (0..prompts.len()).map(move |candidate| PairId { group, candidate }))
                .collect();
            prop_assert_eq!(seen, expected);
        }
    }

    fn prompt(token_ids: &[u32]) -> Prompt {
        Prompt::whole(token_ids.to_vec())
    }

    #[test]
    fn tokens_that_all_prompts_begin_with_are_computed_once() {
        let groups = [vec![prompt(&[1, 2, 3, 9]), prompt(&[1, 2, 4, 5, 9]), prompt(&[1, 2, 3])]];
        let batches = plan(&groups, Limits { pairs: 10, tokens: 100, share_prefixes: true, fill: false });
        assert_eq!(batches.len(), 1);
        assert_eq!(batches[0].token_ids, [1, 2, 4, 5, 9, 3, 9, 3]);
        assert_eq!(batches[0].positions, [0, 1, 2, 3, 4, 2, 3, 2]);
        assert_eq!(
            batches[0].segments.iter().map(|segment| segment.continues).collect::<Vec<_>>(),
            [None, Some(0), Some(0), Some(0)]
        );
    }

    #[test]
    fn a_group_that_fits_one_batch_is_not_split() {
        let group = || vec![prompt(&[1, 2]), prompt(&[1, 3])];
        let batches =
            plan(&[group(), group(), group()], Limits { pairs: 3, tokens: 100, share_prefixes: true, fill: false });
        assert_eq!(batches.iter().map(|batch| batch.pairs().count()).collect::<Vec<_>>(), [2, 2, 2]);
        let batches =
            plan(&[group(), group(), group()], Limits { pairs: 9, tokens: 7, share_prefixes: true, fill: false });
        assert_eq!(batches.iter().map(|batch| batch.pairs().count()).collect::<Vec<_>>(), [4, 2]);
    }

    #[test]
    fn much_room_is_filled_with_a_part_of_a_group() {
        let group = |shared: usize| -> Vec<Prompt> {
            let own = |last: u32| Prompt::whole([vec![7; shared], vec![last; 1000]].concat());
            (0..8).map(own).collect()
        };
        let counts = |shared: usize, pairs: usize, fill: bool| -> Vec<usize> {
            let limits = Limits { pairs, tokens: 13_000, share_prefixes: true, fill };
            let batches = plan(&[group(shared), group(shared)], limits);
            assert!(batches.iter().all(|batch| batch.token_ids.len() <= 13_000));
            batches.iter().map(|batch| batch.pairs().count()).collect()
        };
        assert_eq!(counts(100, 100, true), [12, 4]);
        assert_eq!(counts(100, 100, false), [8, 8]);
        // A long shared prefix is not computed twice, and no prefix for the sake of a single pair.
        assert_eq!(counts(400, 100, true), [8, 8]);
        assert_eq!(counts(100, 9, true), [8, 8]);
        assert_eq!(counts(100, 10, true), [10, 6]);
    }
}
