//! Units of work, of which equal ones are scored once.

use std::collections::hash_map::Entry;

use ahash::AHashMap;

use crate::batch::PairId;
use crate::recipe::Prompt;

/// A prompt that needs a logit.
#[derive(Clone, Debug)]
pub struct Unit {
    pub(super) prompt: Prompt,
    pub(super) key: Key,
}

impl Unit {
    /// The unit of a prompt.
    pub fn new(prompt: Prompt) -> Self {
        let key = Key::of(&prompt);
        Self { prompt, key }
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

/// A hash of all that a prompt's logit depends on. With 128 bits, two of 10¹² different prompts have one key with a probability
/// of less than 10⁻¹⁴.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key([u8; 16]);

impl Key {
    fn of(prompt: &Prompt) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(bytemuck::cast_slice(&prompt.token_ids));
        // Without a second type, all tokens are of the first.
        let first = prompt.second_type.unwrap_or(prompt.token_ids.len());
        hasher.update(&first.to_le_bytes());
        let hash = hasher.finalize();
        let (key, _) = hash.as_bytes().split_at(16);
        Self(key.try_into().unwrap_or_default())
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

    /// Removes a pair that was scored. Returns the pairs that get its logit too.
    pub(super) fn take(&mut self, key: Key, pair: PairId) -> Vec<PairId> {
        self.scored.remove(&key);
        if self.others.is_empty() { Vec::new() } else { self.others.remove(&pair).unwrap_or_default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompts_are_equal_if_tokens_and_types_are() {
        let prompt = |token_ids: &[u32], second_type| Prompt { second_type, ..Prompt::whole(token_ids.to_vec()) };
        let keys = [
            prompt(&[1, 2, 3], None),
            prompt(&[1, 2], None),
            prompt(&[1, 2, 3], Some(1)),
            prompt(&[1, 2, 3], Some(2)),
            prompt(&[], None),
        ]
        .map(|prompt| Key::of(&prompt));
        for (index, key) in keys.iter().enumerate() {
            assert!(keys[..index].iter().all(|earlier| earlier != key));
        }
        // A second type that no token has makes no difference.
        assert_eq!(Key::of(&prompt(&[1, 2, 3], Some(3))), keys[0]);
        let cut = Prompt { truncated: true, ..prompt(&[1, 2], None) };
        assert_eq!(Key::of(&cut), keys[1]);
    }
}
