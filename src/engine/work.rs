//! What a batch asks of a device, counted from shapes alone: what measured time is held against.

use crate::engine::profile::{KINDS, Kind};

/// Multiplications and additions, and bytes to and from the device's memory, by kind of work.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Work {
    /// In the order of [`KINDS`]; a multiply-add counts as two. Those of norms and activations are not counted.
    pub operations: [f64; KINDS.len()],
    /// In the same order: every input read once, every result written once. 0 where that is not known.
    pub bytes: [f64; KINDS.len()],
}

impl Work {
    /// Counts operations.
    pub fn operate(&mut self, kind: Kind, operations: f64) {
        self.operations[kind as usize] += operations;
    }

    /// Counts bytes.
    pub fn transfer(&mut self, kind: Kind, bytes: f64) {
        self.bytes[kind as usize] += bytes;
    }

    /// Operations of all kinds.
    pub fn all_operations(&self) -> f64 {
        self.operations.iter().sum()
    }

    /// Adds another's.
    pub fn add(&mut self, other: &Self) {
        for (own, other) in [(&mut self.operations, &other.operations), (&mut self.bytes, &other.bytes)] {
            own.iter_mut().zip(other).for_each(|(own, other)| *own += other);
        }
    }
}
