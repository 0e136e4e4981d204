//! What of a description the engines can compute, a file for each engine. Whatever else is described is refused by the name of
//! what the engine lacks, before weights are read.

mod cpu;
mod gpu;

use anyhow::{Result, ensure};

use crate::model::Architecture;

/// Refuses a description that the engine of the processor, or that of GPUs, can't compute.
///
/// # Errors
/// A sentence that names what the engine lacks.
pub fn check(architecture: &Architecture, on_gpu: bool) -> Result<()> {
    let support = Support { architecture, on_gpu };
    if on_gpu { support.check_gpu() } else { support.check_cpu() }
}

struct Support<'a> {
    architecture: &'a Architecture,
    on_gpu: bool,
}

impl Support<'_> {
    fn lacks(&self, lacks: bool, what: &str) -> Result<()> {
        let family = self.architecture.family;
        let place = if self.on_gpu { " on a GPU yet; use --device cpu" } else { " yet" };
        ensure!(!lacks, "{what} of {family} models can't be computed{place}");
        Ok(())
    }
}
