//! What of a description the engines can compute, a file for each engine. Whatever else is described is refused by the name of
//! what the engine lacks, before weights are read.

mod candle;
mod cpu;
mod gpu;

use anyhow::{Result, bail};

use crate::model::{Architecture, HeadStep, NormKind};

/// Refuses a description that the engine of the processor, or that of GPUs, can't compute.
///
/// # Errors
/// A sentence that names what the engine lacks.
pub fn check(architecture: &Architecture, on_gpu: bool) -> Result<()> {
    let support = Support { architecture, on_gpu };
    support.check_norms()?;
    if architecture.sees_distances() {
        return support.check_candle();
    }
    if on_gpu { support.check_gpu() } else { support.check_cpu() }
}

struct Support<'a> {
    architecture: &'a Architecture,
    on_gpu: bool,
}

impl Support<'_> {
    /// Norms are computed as their kinds are defined.
    fn check_norms(&self) -> Result<()> {
        let Architecture { embedding, layers, final_norm, head, .. } = self.architecture;
        let of_layers = layers.iter().flat_map(|layer| {
            let of_heads = layer.attention.query_key_norms.iter().flatten();
            of_heads.chain(&layer.attention_norm).chain([&layer.mlp_norm])
        });
        let of_head = head.steps.iter().filter_map(|step| match step {
            HeadStep::Norm(norm) => Some(norm),
            HeadStep::Dense(..) => None,
        });
        let mut norms = of_layers.chain(of_head).chain(&embedding.norm).chain(final_norm);
        let is_other = norms.any(|norm| norm.kind == NormKind::Rms && norm.bias.is_some());
        self.lacks(is_other, "RMSNorms with biases")
    }

    fn lacks(&self, lacks: bool, what: &str) -> Result<()> {
        if !lacks {
            return Ok(());
        }
        let family = self.architecture.family;
        let is_elsewhere = self.on_gpu && check(self.architecture, false).is_ok();
        let place = if is_elsewhere { " on a GPU yet; use --device cpu" } else { " yet" };
        bail!("{what} of {family} models can't be computed{place}")
    }
}
