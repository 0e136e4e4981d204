//! What was seen before, and where, in a few bytes each.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Remembers on which line a key stood first. Only the hash of a key is kept: at 10 million keys the chance that two
/// of them are mistaken for each other is about 1 in 400,000.
#[derive(Debug, Default)]
pub struct Seen(HashMap<u64, Sight>);

/// Where a key stood.
#[derive(Clone, Copy, Debug)]
pub struct Sight {
    /// Its line.
    pub line: u64,
    /// Whether it did not stand there, but was generated for want of one.
    pub is_generated: bool,
}

impl Seen {
    /// Where the key stood before; where it did not, it is remembered.
    pub fn earlier(&mut self, key: &impl Hash, sight: Sight) -> Option<Sight> {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        match self.0.entry(hasher.finish()) {
            Entry::Occupied(first) => Some(*first.get()),
            Entry::Vacant(free) => {
                free.insert(sight);
                None
            }
        }
    }
}
