//! The cache of scores that a run uses.

use std::sync::Arc;

use anyhow::{Context, Result};

use crate::cache::{self, Identity, ScoreCache};
use crate::checkpoint::ModelSource;
use crate::config::{CacheChoice, Config};
use crate::progress::Reporter;
use crate::resume::RunFacts;

/// Opens the cache that the user names.
///
/// # Errors
/// If its directory can't be read or written, or the model's files can't be read any more.
pub(super) fn open(facts: &RunFacts<'_>, reporter: &Arc<Reporter>) -> Result<Option<Arc<ScoreCache>>> {
    let Some(CacheChoice { directory, .. }) = &facts.config.cache else { return Ok(None) };
    let reporter = Arc::clone(reporter);
    let cache = ScoreCache::of_model(directory, &identity(facts)?, move |warning| reporter.warning(warning))?;
    Ok(Some(Arc::new(cache)))
}

/// What the scores of this run depend on besides the pairs.
fn identity(facts: &RunFacts<'_>) -> Result<Identity> {
    let RunFacts { config, reranker, dtype, kernels, gpus, .. } = facts;
    let (model, version) = (config.model.to_string(), env!("CARGO_PKG_VERSION").to_owned());
    // The fake model counts words, on any machine alike.
    if config.model == ModelSource::Fake {
        return Ok(Identity { model, version, ..Identity::default() });
    }
    let fingerprint = facts.fingerprint()?.context("scores of a model without weights can't be kept")?;
    Ok(Identity {
        model,
        fingerprint: fingerprint.to_owned(),
        answers: reranker.recipe().answers.map_or_else(String::new, |answers| format!("{answers:?}")),
        version,
        gpu: gpus.clone(),
        dtype: (*dtype).to_owned(),
        kernels: kernels.clone(),
    })
}

/// Writes the scores that are not written yet, and removes the oldest ones if the cache is larger than the user wants.
///
/// # Errors
/// If scores can't be written or removed.
pub(super) fn finish(config: &Config, cache: Option<&ScoreCache>, reporter: &Reporter) -> Result<()> {
    let (Some(cache), Some(CacheChoice { directory, limit })) = (cache, &config.cache) else { return Ok(()) };
    cache.damage().iter().for_each(|damage| reporter.warning(damage));
    cache.finish()?;
    if let Some(limit) = limit {
        cache::prune(directory, *limit)?;
    }
    Ok(())
}
