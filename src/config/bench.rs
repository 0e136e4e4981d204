//! Resolves the options of `rerank bench`.

use anyhow::{Result, ensure};

use super::model::{resolve_limits, resolve_precision, resolve_threads};
use super::resolve_verbosity;
use crate::bench::{Bench, Measured};
use crate::checkpoint::{AdapterChoice, ModelSource};
use crate::cli::BenchArguments;
use crate::engine::cpu::Instructions;

/// Resolves the options of `rerank bench`.
///
/// # Errors
/// If the model does not exist, or the processor lacks the forced instructions.
pub fn resolve_bench(arguments: &BenchArguments) -> Result<Bench> {
    let instructions = Instructions::from_environment().map_err(anyhow::Error::msg)?;
    let model = match arguments.named.as_ref().or(arguments.model.as_ref()) {
        Some(model) => Measured::Files(ModelSource::parse(model, "main", false)?),
        None => Measured::Random(arguments.shape),
    };
    ensure!(
        !matches!(model, Measured::Files(ModelSource::Fake)),
        "--model fake: it multiplies no matrices, so that there is nothing to measure; name a model's directory, or a --shape"
    );
    let adapter = match &model {
        Measured::Files(source) => AdapterChoice::parse(&arguments.adapter, source, false)?,
        Measured::Random(_) => {
            ensure!(
                arguments.adapter.is_empty(),
                "--adapter: random weights have no adapter; name a model with --model"
            );
            AdapterChoice::default()
        }
    };
    Ok(Bench {
        adapter,
        workloads: arguments.workload.clone(),
        pairs: arguments.pairs.map(|pairs| pairs as usize),
        model,
        device: arguments.device.clone(),
        gpu_memory: arguments.gpu_memory,
        instructions,
        precision: resolve_precision(arguments.dtype),
        limits: resolve_limits(&arguments.batch),
        threads: resolve_threads(arguments.threads)?,
        verbosity: resolve_verbosity(&arguments.verbosity),
        repetitions: arguments.repeat as usize,
    })
}
