//! What was seen before, and where, in a few bytes each.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Remembers on which line a key stood first. Only the hash of a key is kept: at 10 million keys the chance that two
/// of them are mistaken for each other is about 1 in 400,000.
#[derive(Debug, Default)]
pub struct Seen(HashMap<u64, u64>);

impl Seen {
    /// The line on which the key stood before; where it did not, it is remembered.
    pub fn earlier(&mut self, key: &impl Hash, line: u64) -> Option<u64> {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        match self.0.entry(hasher.finish()) {
            Entry::Occupied(first) => Some(*first.get()),
            Entry::Vacant(free) => {
                free.insert(line);
                None
            }
        }
    }
}
