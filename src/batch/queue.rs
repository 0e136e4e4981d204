//! The prompts that wait to be scored, and how they are packed into batches.

use std::collections::VecDeque;
use std::ops::Range;

use super::{Batch, Limits, PairId};
use crate::recipe::Prompt;

/// A batch is filled with a part of a query only if one in this many of its tokens, and of its pairs, is still free.
const WORTH_FILLING: usize = 8;
/// A batch is filled with a part of a query only if its free room is this many times the query's shared prefix.
const WORTH_REPEATING: usize = 16;

/// Prompts in the order in which their groups came. Batches follow this order; inside a group the longest prompts come first,
/// so that the threads which share a batch end together. A group that would fit into one batch is not split, but for
/// [`Limits::fill`].
#[derive(Debug, Default)]
pub struct Queue {
    waiting: VecDeque<Waiting>,
    /// Tokens of all prompts that wait, shared prefixes once a group.
    tokens: usize,
    /// The number of prompts that wait.
    pairs: usize,
}

/// The prompts of a group that wait.
#[derive(Debug)]
struct Waiting {
    group: usize,
    /// The tokens that all prompts of the group begin with.
    shared: usize,
    /// Each with the index of its candidate, the longest first.
    prompts: VecDeque<(usize, Prompt)>,
    /// Tokens of these prompts without the shared ones.
    own: usize,
}

impl Queue {
    /// Adds the prompts of a group, each with the index of its candidate.
    pub fn push(&mut self, group: usize, prompts: impl IntoIterator<Item = (usize, Prompt)>, share_prefixes: bool) {
        let mut prompts: Vec<(usize, Prompt)> = prompts.into_iter().collect();
        if prompts.is_empty() {
            return;
        }
        prompts.sort_by_key(|(_, prompt)| std::cmp::Reverse(prompt.token_ids.len()));
        let shared = if share_prefixes { shared_prefix(&prompts) } else { 0 };
        let own = prompts.iter().map(|(_, prompt)| prompt.token_ids.len() - shared).sum();
        self.tokens += shared + own;
        self.pairs += prompts.len();
        self.waiting.push_back(Waiting { group, shared, prompts: prompts.into(), own });
    }

    /// Whether so much waits that the next batch will not be fuller for what may still come.
    pub fn has_full_batch(&self, limits: Limits) -> bool {
        self.tokens >= limits.tokens || self.pairs >= limits.pairs
    }

    /// Takes the next batch; none if nothing waits.
    pub fn next_batch(&mut self, limits: Limits) -> Option<Batch> {
        let mut batch = Batch::default();
        let mut pairs = 0;
        while let Some(waiting) = self.waiting.front_mut() {
            if !batch.segments.is_empty() && !waiting.belongs_to(&batch, pairs, limits) {
                break;
            }
            let taken = waiting.fill(&mut batch, &mut pairs, limits);
            self.tokens -= taken;
            if !waiting.prompts.is_empty() {
                break;
            }
            self.tokens -= waiting.shared;
            self.waiting.pop_front();
        }
        self.pairs -= pairs;
        (!batch.segments.is_empty()).then_some(batch)
    }

    /// Drops everything that waits.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

impl Waiting {
    /// Whether a batch that is begun should go on with this group, or the group should begin the next one.
    fn belongs_to(&self, batch: &Batch, pairs: usize, limits: Limits) -> bool {
        let (whole, count) = (self.shared + self.own, self.prompts.len());
        let fits_here = batch.token_ids.len() + whole <= limits.tokens && pairs + count <= limits.pairs;
        let fits_alone = whole <= limits.tokens && count <= limits.pairs;
        let room = limits.tokens.saturating_sub(batch.token_ids.len());
        let has_room = room * WORTH_FILLING >= limits.tokens && (limits.pairs - pairs) * WORTH_FILLING >= limits.pairs;
        let fills = limits.fill && has_room && self.shared * WORTH_REPEATING <= room;
        fits_here || !fits_alone || fills
    }

    /// Moves prompts into a batch until that is full, or none is left. Returns the number of own tokens that were moved.
    fn fill(&mut self, batch: &mut Batch, pairs: &mut usize, limits: Limits) -> usize {
        let before = self.own;
        let mut prefix = None;
        while let Some((_, prompt)) = self.prompts.front() {
            let prefix_tokens = if prefix.is_none() { self.shared } else { 0 };
            let own = prompt.token_ids.len() - self.shared;
            let full = batch.token_ids.len() + prefix_tokens + own > limits.tokens || *pairs == limits.pairs;
            if full && *pairs > 0 {
                break;
            }
            let Some((candidate, prompt)) = self.prompts.pop_front() else { break };
            let tokens = |range: Range<usize>| range.map(|token| (prompt.token_ids[token], prompt.token_type(token)));
            if self.shared > 0 && prefix.is_none() {
                prefix = Some(batch.push(tokens(0..self.shared), None, None));
            }
            let pair = Some(PairId { group: self.group, candidate });
            batch.push(tokens(self.shared..prompt.token_ids.len()), prefix, pair);
            self.own -= own;
            *pairs += 1;
        }
        before - self.own
    }
}

/// The number of tokens that all prompts begin with. Every prompt keeps a token of its own, because the hidden state of its
/// last token is what is scored. A single prompt shares nothing.
fn shared_prefix(prompts: &[(usize, Prompt)]) -> usize {
    let Some(((_, first), rest)) = prompts.split_first() else { return 0 };
    if rest.is_empty() {
        return 0;
    }
    let mut shared = first.token_ids.len();
    for (_, prompt) in rest {
        let same = first.token_ids.iter().zip(&prompt.token_ids).take_while(|(one, other)| one == other).count();
        let second = |prompt: &Prompt| prompt.second_type.unwrap_or(usize::MAX);
        let types_differ_from =
            if second(first) == second(prompt) { usize::MAX } else { second(first).min(second(prompt)) };
        shared = shared.min(same).min(types_differ_from);
    }
    let shortest = prompts.iter().map(|(_, prompt)| prompt.token_ids.len()).min().unwrap_or(0);
    shared.min(shortest.saturating_sub(1))
}
