//! Where the queries of a part stand in the input, in the order in which the part has them.

use std::sync::{Arc, Mutex, PoisonError};

/// Positions in the input, which several threads of a run add. A run without shards keeps none.
#[derive(Clone, Debug, Default)]
pub struct Positions(Option<Arc<Mutex<Vec<u64>>>>);

impl Positions {
    /// A list that keeps what is added.
    pub fn kept() -> Self {
        Self(Some(Arc::default()))
    }

    /// Adds the position of the next query that the part has.
    pub fn push(&self, position: u64) {
        if let Some(positions) = &self.0 {
            positions.lock().unwrap_or_else(PoisonError::into_inner).push(position);
        }
    }

    /// Takes what was added.
    pub(super) fn take(&self) -> Vec<u64> {
        let take = |positions: &Arc<Mutex<Vec<u64>>>| {
            std::mem::take(&mut *positions.lock().unwrap_or_else(PoisonError::into_inner))
        };
        self.0.as_ref().map(take).unwrap_or_default()
    }
}
