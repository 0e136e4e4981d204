//! The cache of scores that a run uses.

use std::sync::Arc;

use anyhow::{Context, Result};

use super::setup::Setup;
use crate::cache::{self, Identity, ScoreCache};
use crate::checkpoint::ModelSource;
use crate::config::{CacheChoice, Config};
use crate::progress::Reporter;

/// Opens the cache that the user names.
///
/// # Errors
/// If its directory can't be read or written, or the model's files can't be read any more.
pub(super) fn open(config: &Config, setup: &Setup, reporter: &Arc<Reporter>) -> Result<Option<Arc<ScoreCache>>> {
    let Some(CacheChoice { directory, .. }) = &config.cache else { return Ok(None) };
    let reporter = Arc::clone(reporter);
    let cache = ScoreCache::of_model(directory, &identity(config, setup)?, move |warning| reporter.warning(warning))?;
    Ok(Some(Arc::new(cache)))
}

/// What the scores of this run depend on besides the pairs.
fn identity(config: &Config, setup: &Setup) -> Result<Identity> {
    let facts = setup.facts(config);
    let (model, version) = (config.model.to_string(), env!("CARGO_PKG_VERSION").to_owned());
    // The fake model counts words, on any machine alike.
    if config.model == ModelSource::Fake {
        return Ok(Identity { model, version, ..Identity::default() });
    }
    Ok(Identity {
        model,
        fingerprint: facts
            .reranker
            .fingerprint(config.hash_weights)?
            .context("scores of a model without weights can't be kept")?,
        answers: setup.reranker.recipe().answers.map_or_else(String::new, |answers| format!("{answers:?}")),
        version,
        gpu: facts.gpus,
        dtype: facts.dtype.to_owned(),
        kernels: facts.kernels,
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
