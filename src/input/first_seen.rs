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
pub struct FirstSeen(AHashMap<u64, PackedOccurrence>);

/// Where a key stands.
#[derive(Clone, Copy, Debug)]
pub struct Occurrence {
    /// The line.
    pub line: u64,
    /// Whether the key was generated for a record on this line that has none.
    pub is_generated: bool,
}

/// An occurrence in eight bytes: a run keeps one for each query. No file has 2⁶³ lines.
#[derive(Clone, Copy, Debug)]
struct PackedOccurrence(u64);

impl PackedOccurrence {
    fn of(Occurrence { line, is_generated }: Occurrence) -> Self {
        Self(line << 1 | u64::from(is_generated))
    }

    fn unpack(self) -> Occurrence {
        Occurrence { line: self.0 >> 1, is_generated: self.0 & 1 == 1 }
    }
}

impl FirstSeen {
    /// Returns where the key stood first. If it is new, its occurrence is remembered, and none is returned.
    pub fn earlier(&mut self, key: &impl Hash, occurrence: Occurrence) -> Option<Occurrence> {
        match self.0.entry(hash(key)) {
            Entry::Occupied(first) => Some(first.get().unpack()),
            Entry::Vacant(free) => {
                free.insert(PackedOccurrence::of(occurrence));
                None
            }
        }
    }
}
