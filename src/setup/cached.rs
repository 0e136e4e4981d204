//! The cache of scores that a session uses.

use std::sync::Arc;

use anyhow::Result;

use super::Setup;
use crate::cache::{self, ScoreCache};
use crate::config::CacheChoice;
use crate::progress::Reporter;

impl Setup {
    /// Opens the cache that the user names, if one is named.
    ///
    /// # Errors
    /// If its directory can't be read or written, or the model's files can't be read any more.
    pub fn open_cache(
        &self,
        choice: Option<&CacheChoice>,
        reporter: &Arc<Reporter>,
    ) -> Result<Option<Arc<ScoreCache>>> {
        let Some(CacheChoice { directory, .. }) = choice else { return Ok(None) };
        let reporter = Arc::clone(reporter);
        let cache = ScoreCache::of_model(directory, &self.identity()?, move |warning| reporter.warning(warning))?;
        Ok(Some(Arc::new(cache)))
    }
}

/// Writes the scores that are not written yet, and removes the oldest ones if the cache is larger than the user wants.
///
/// # Errors
/// If scores can't be written or removed.
pub fn finish_cache(choice: Option<&CacheChoice>, cache: Option<&ScoreCache>, reporter: &Reporter) -> Result<()> {
    let (Some(cache), Some(CacheChoice { directory, limit })) = (cache, choice) else { return Ok(()) };
    cache.damage().iter().for_each(|damage| reporter.warning(damage));
    cache.finish()?;
    if let Some(limit) = limit {
        cache::prune(directory, *limit)?;
    }
    Ok(())
}
