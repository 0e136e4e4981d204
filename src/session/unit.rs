//! Units of work, of which equal ones are scored once.

use std::collections::BTreeSet;
use std::collections::hash_map::Entry;

use ahash::{AHashMap, AHashSet};

use crate::batch::PairId;
use crate::cache::{Key, ScoreCache};
use crate::recipe::Prompt;

/// A prompt that needs a logit, which may be known from the cache.
#[derive(Clone, Debug)]
pub struct Unit {
    pub(super) prompt: Prompt,
    pub(super) key: Key,
    pub(super) known: Option<f32>,
}

impl Unit {
    /// The unit of a prompt, whose logit is looked up if there is a cache.
    pub fn new(prompt: Prompt, cache: Option<&ScoreCache>) -> Self {
        let key = Key::of(&prompt);
        Self { known: cache.and_then(|cache| cache.get(key)), prompt, key }
    }

    /// The prompt.
    pub fn prompt(&self) -> &Prompt {
        &self.prompt
    }

    /// The prompt, without a copy.
    pub fn into_prompt(self) -> Prompt {
        self.prompt
    }
}

/// The pairs that wait for the logit of an equal one.
#[derive(Debug, Default)]
pub(super) struct EqualPairs {
    /// For each key that waits or is computed, the pair that is scored.
    scored: AHashMap<Key, PairId>,
    /// The pairs that get the logit of one of these too, where there are some.
    others: AHashMap<PairId, Vec<PairId>>,
}

impl EqualPairs {
    /// Adds a pair. Returns whether it has to be scored: else it gets the logit of one that was added before.
    pub(super) fn add(&mut self, key: Key, pair: PairId) -> bool {
        match self.scored.entry(key) {
            Entry::Occupied(scored) => {
                self.others.entry(*scored.get()).or_default().push(pair);
                false
            }
            Entry::Vacant(free) => {
                free.insert(pair);
                true
            }
        }
    }

    /// The pairs that get the logit of this one too.
    pub(super) fn others(&self, pair: PairId) -> &[PairId] {
        if self.others.is_empty() { &[] } else { self.others.get(&pair).map_or(&[], Vec::as_slice) }
    }

    /// Takes the pairs of a group out of those that wait for an equal one. Returns how many they were, and the groups whose pairs they
    /// waited for.
    pub(super) fn leave(&mut self, group: usize, keys: &[Key]) -> (usize, BTreeSet<usize>) {
        let (mut left, mut groups) = (0, BTreeSet::new());
        if self.others.is_empty() {
            return (left, groups);
        }
        // Equal pairs of the group have one key, whose list is looked through but once.
        let keys: AHashSet<Key> = keys.iter().copied().collect();
        for key in keys {
            let Some(scored) = self.scored.get(&key) else { continue };
            let Entry::Occupied(mut others) = self.others.entry(*scored) else { continue };
            let before = others.get().len();
            others.get_mut().retain(|pair| pair.group != group);
            let after = others.get().len();
            if after < before {
                left += before - after;
                groups.insert(scored.group);
            }
            if after == 0 {
                others.remove();
            }
        }
        (left, groups)
    }

    /// Removes a pair that was scored. Returns the pairs that get its logit too.
    pub(super) fn take(&mut self, key: Key, pair: PairId) -> Vec<PairId> {
        self.scored.remove(&key);
        if self.others.is_empty() { Vec::new() } else { self.others.remove(&pair).unwrap_or_default() }
    }
}
