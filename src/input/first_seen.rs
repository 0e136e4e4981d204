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
    /// The number of the file, where an input has several.
    pub file: usize,
    /// The line.
    pub line: u64,
    /// Whether the key was generated for a record on this line that has none.
    pub is_generated: bool,
}

/// An occurrence in eight bytes: a run keeps one for each query. No file has 2⁴¹ lines, and no input 2²² files.
#[derive(Clone, Copy, Debug)]
struct PackedOccurrence(u64);

/// The bits of a line's number.
const LINE_BITS: u32 = 41;

impl PackedOccurrence {
    fn of(Occurrence { file, line, is_generated }: Occurrence) -> Self {
        Self((file as u64) << (LINE_BITS + 1) | line << 1 | u64::from(is_generated))
    }

    fn unpack(self) -> Occurrence {
        let line = self.0 >> 1 & ((1 << LINE_BITS) - 1);
        Occurrence { file: (self.0 >> (LINE_BITS + 1)) as usize, line, is_generated: self.0 & 1 == 1 }
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
