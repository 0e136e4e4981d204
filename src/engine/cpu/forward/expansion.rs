//! Weights that rest as the checkpoint has them are packed for one step of a pass at a time: memory holds the checkpoint and
//! about one layer, and the work is shared by all tokens of a batch.

use std::sync::Mutex;
use std::time::Instant;

use anyhow::Result;

use super::pass::with_workspace;
use super::projection::Projection;
use super::workspace::Workspace;
use crate::checkpoint::Weights;
use crate::engine::Kind;
use crate::engine::cpu::Buffer;

/// Memory in which weights are packed for the time that they are needed.
pub(super) type Free = Vec<Buffer<u8>>;

/// Packs the weights of one step after the other.
pub(super) struct Expansion<'a> {
    pub(super) weights: &'a Weights,
    pub(super) free: &'a mut Free,
    /// Where the time is counted.
    pub(super) workspaces: &'a Mutex<Vec<Workspace>>,
}

impl Expansion<'_> {
    /// Packs the weights of a step, as far as they rest.
    ///
    /// # Errors
    /// If they can't be read.
    pub(super) fn of(&mut self, projections: &mut [&mut Projection]) -> Result<()> {
        if !projections.iter().any(|projection| projection.rests()) {
            return Ok(());
        }
        let start = Instant::now();
        for projection in projections {
            projection.expand(self.weights, self.free)?;
        }
        let nanoseconds = start.elapsed().as_nanos() as u64 * rayon::current_num_threads() as u64;
        with_workspace(self.workspaces, |workspace| workspace.profile.add_time(Kind::Expansion, nanoseconds));
        Ok(())
    }

    /// Takes the memory back, in the order in which the next step asks for it: layers are alike.
    pub(super) fn end(&mut self, projections: &mut [&mut Projection]) {
        projections.iter_mut().rev().for_each(|projection| projection.rest(self.free));
    }
}
