//! Resolves the options of the model, of batches and of threads.

use anyhow::{Context, Result};

use super::recipe::resolve_recipe;
use super::{CacheChoice, ModelChoice};
use crate::batch::LimitsChoice;
use crate::checkpoint::{AdapterChoice, ModelSource};
use crate::cli::{BatchArguments, CacheArguments, DtypeChoice, ModelArguments, RecipeArguments};
use crate::engine::cpu::Instructions;
use crate::precision::Precision;

impl ModelChoice {
    /// Resolves the options that all commands have which score: those of the model, whose source is resolved already, and others.
    pub(super) fn resolve(
        (source, adapter, model): (ModelSource, AdapterChoice, &ModelArguments),
        recipe: &RecipeArguments,
        batch: &BatchArguments,
        cache: &CacheArguments,
        threads: Option<u64>,
    ) -> Result<Self> {
        Ok(Self {
            source,
            adapter,
            device: model.device.clone(),
            gpu_memory: model.gpu_memory,
            instructions: Instructions::from_environment().map_err(anyhow::Error::msg)?,
            precision: resolve_precision(model.dtype),
            recipe: resolve_recipe(recipe, model.max_length)?,
            limits: resolve_limits(batch),
            hash_weights: cache.hash_weights,
            threads: resolve_threads(threads)?,
        })
    }
}

impl CacheChoice {
    pub(super) fn resolve(cache: &CacheArguments) -> Option<Self> {
        cache.cache.clone().map(|directory| Self { directory, limit: cache.cache_limit })
    }
}

pub(super) fn resolve_precision(choice: DtypeChoice) -> Option<Precision> {
    match choice {
        DtypeChoice::Auto => None,
        DtypeChoice::F32 => Some(Precision::F32),
        DtypeChoice::Bf16 => Some(Precision::Bf16),
        DtypeChoice::F16 => Some(Precision::F16),
        DtypeChoice::Int8 => Some(Precision::Int8),
        DtypeChoice::Int16 => Some(Precision::Int16),
        DtypeChoice::Fp8 => Some(Precision::Fp8),
    }
}

pub(super) fn resolve_limits(arguments: &BatchArguments) -> LimitsChoice {
    LimitsChoice {
        pairs: arguments.batch_size.map(|pairs| pairs as usize),
        tokens: arguments.max_batch_tokens.map(|tokens| tokens as usize),
        share_prefixes: !arguments.no_prefix_sharing,
    }
}

/// The most threads that `--threads` accepts.
const MOST_THREADS: usize = 1024;

/// The number that `--threads` gives, or else that in rayon's own variable, in which 0 stands for all cores, or else that of
/// all cores.
pub(super) fn resolve_threads(option: Option<u64>) -> Result<usize> {
    const VARIABLE: &str = "RAYON_NUM_THREADS";
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    if let Some(threads) = option {
        return Ok(threads as usize);
    }
    match std::env::var_os(VARIABLE).unwrap_or_default().to_string_lossy().trim() {
        "" | "0" => Ok(cores()),
        value => {
            let threads = value.parse().ok().filter(|threads| (1..=MOST_THREADS).contains(threads));
            threads.with_context(|| {
                format!("{VARIABLE}={value}: a whole number from 1 to {MOST_THREADS} is expected, or 0 for all cores")
            })
        }
    }
}
