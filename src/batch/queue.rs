//! The prompts that wait to be scored, and how they are packed into batches.

use std::collections::VecDeque;
use std::ops::Range;

use super::{Batch, Limits, PairId};
use crate::recipe::Prompt;

/// A batch is filled with a part of a query only if one in this many of its tokens, and of its pairs, is still free.
const WORTH_FILLING: usize = 8;
/// A batch is filled with a part of a query only if its free room is this many times the query's shared prefix.
const WORTH_REPEATING: usize = 16;

/// The order in which groups that wait are scored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum QueueOrder {
    /// As they came.
    #[default]
    Arrival,
    /// So that a small group need not wait for a large one that came before, and no group waits for ever: each is due when as many
    /// tokens were scored as it has itself, a batch at most, since it came or since its last batch, as in fair queueing.
    Fair,
}

/// Prompts in the order in which their groups are due. Batches follow this order; inside a group the longest prompts come first,
/// so that the threads which share a batch end together. A group that would fit into one batch is not split, but for
/// [`Limits::fill`].
#[derive(Debug, Default)]
pub struct Queue {
    order: QueueOrder,
    /// Tokens that were taken so far.
    taken: u64,
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
    /// It stands before those with a greater number.
    due: u64,
    /// The tokens that all prompts of the group begin with.
    shared: usize,
    /// Each with the index of its candidate, the longest first.
    prompts: VecDeque<(usize, Prompt)>,
    /// Tokens of these prompts without the shared ones.
    own: usize,
}

impl Queue {
    /// Makes an empty queue.
    pub fn new(order: QueueOrder) -> Self {
        Self { order, ..Self::default() }
    }

    /// Adds the prompts of a group, each with the index of its candidate.
    pub fn push(&mut self, group: usize, prompts: impl IntoIterator<Item = (usize, Prompt)>, limits: Limits) {
        let mut prompts: Vec<(usize, Prompt)> = prompts.into_iter().collect();
        if prompts.is_empty() {
            return;
        }
        prompts.sort_by_key(|(_, prompt)| std::cmp::Reverse(prompt.token_ids.len()));
        let shared = if limits.share_prefixes { shared_prefix(&prompts) } else { 0 };
        let own: usize = prompts.iter().map(|(_, prompt)| prompt.token_ids.len() - shared).sum();
        self.tokens += shared + own;
        self.pairs += prompts.len();
        self.insert(Waiting { group, due: 0, shared, prompts: prompts.into(), own }, limits);
    }

    /// Puts a group at the place where it is due.
    fn insert(&mut self, mut waiting: Waiting, limits: Limits) {
        if self.order == QueueOrder::Fair {
            waiting.due = self.taken + (waiting.shared + waiting.own).min(limits.tokens) as u64;
        }
        let place = self.waiting.partition_point(|other| other.due <= waiting.due);
        self.waiting.insert(place, waiting);
    }

    /// Whether so much waits that the next batch will not be fuller for what may still come.
    pub fn has_full_batch(&self, limits: Limits) -> bool {
        self.tokens >= limits.tokens || self.pairs >= limits.pairs
    }

    /// Takes the next batch; none if nothing waits.
    pub fn next_batch(&mut self, limits: Limits) -> Option<Batch> {
        let mut batch = Batch::default();
        let (mut pairs, mut is_cut) = (0, false);
        while let Some(waiting) = self.waiting.front_mut() {
            if !batch.segments.is_empty() && !waiting.belongs_to(&batch, pairs, limits) {
                break;
            }
            let own = waiting.fill(&mut batch, &mut pairs, limits);
            self.tokens -= own;
            if !waiting.prompts.is_empty() {
                is_cut = true;
                break;
            }
            self.tokens -= waiting.shared;
            self.waiting.pop_front();
        }
        self.pairs -= pairs;
        self.taken += batch.token_ids.len() as u64;
        if is_cut
            && self.order == QueueOrder::Fair
            && let Some(rest) = self.waiting.pop_front()
        {
            self.insert(rest, limits);
        }
        (!batch.segments.is_empty()).then_some(batch)
    }

    /// Drops what waits of a group, but for the candidates that `keep` names. Returns those that were dropped.
    pub fn remove(&mut self, group: usize, keep: impl Fn(usize) -> bool) -> Vec<usize> {
        let Some(place) = self.waiting.iter().position(|waiting| waiting.group == group) else { return Vec::new() };
        let waiting = &mut self.waiting[place];
        let mut removed = Vec::new();
        waiting.prompts.retain(|(candidate, prompt)| {
            let is_kept = keep(*candidate);
            if !is_kept {
                let own = prompt.token_ids.len() - waiting.shared;
                (waiting.own, self.tokens) = (waiting.own - own, self.tokens - own);
                removed.push(*candidate);
            }
            is_kept
        });
        self.pairs -= removed.len();
        if waiting.prompts.is_empty() {
            self.tokens -= waiting.shared;
            self.waiting.remove(place);
        }
        removed
    }

    /// The number of prompts that wait.
    pub fn pairs(&self) -> usize {
        self.pairs
    }

    /// Drops everything that waits.
    pub fn clear(&mut self) {
        *self = Self::new(self.order);
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
