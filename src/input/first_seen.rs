//! The lines on which keys stand first, in a few bytes each.

use std::collections::hash_map::Entry;
use std::hash::{DefaultHasher, Hash, Hasher};

use ahash::AHashMap;

/// The hash by which keys are compared.
pub fn hash(key: &(impl Hash + ?Sized)) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

/// Remembers on which line a key stood first. Only the hash of a key is kept: at 10 million keys the chance that two
/// of them are mistaken for each other is about 1 in 400,000.
#[derive(Debug, Default)]
pub struct FirstSeen(AHashMap<u64, Occurrence>);

/// Where a key stands.
#[derive(Clone, Copy, Debug)]
pub struct Occurrence {
    /// The line.
    pub line: u64,
    /// Whether the key was generated for a record on this line that has none.
    pub is_generated: bool,
}

impl FirstSeen {
    /// Returns where the key stood first. If it is new, its occurrence is remembered, and none is returned.
    pub fn earlier(&mut self, key: &impl Hash, occurrence: Occurrence) -> Option<Occurrence> {
        match self.0.entry(hash(key)) {
            Entry::Occupied(first) => Some(*first.get()),
            Entry::Vacant(free) => {
                free.insert(occurrence);
                None
            }
        }
    }
}
