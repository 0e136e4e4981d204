//! Resolves the options of a session: a loaded model that many callers use, of the service and of other programs.

use anyhow::{Result, ensure};

use super::recipe::note_on_fake;
use super::{CacheChoice, ModelChoice};
use crate::checkpoint::{AdapterChoice, ModelSource};
use crate::cli::{BatchArguments, CacheArguments, ModelArguments, RecipeArguments};

/// The configuration of a session.
#[derive(Clone, Debug)]
pub struct SessionConfig {
    /// The model, and how it computes.
    pub model: ModelChoice,
    /// Where scores are kept.
    pub cache: Option<CacheChoice>,
    /// What the user should know of how the options were understood.
    pub notes: Vec<String>,
}

/// Resolves the options of a session.
///
/// # Errors
/// A sentence with the remedy for options that contradict each other or name something that isn't there.
pub fn resolve_session(
    model: &ModelArguments,
    recipe: &RecipeArguments,
    batch: &BatchArguments,
    cache: &CacheArguments,
    threads: Option<u64>,
) -> Result<SessionConfig> {
    ensure!(
        !cache.hash_weights || cache.cache.is_some(),
        "--hash-weights: nothing is kept that would need it; name a cache with --cache, or leave it out"
    );
    let source = ModelSource::parse(&model.model, &model.revision, model.offline)?;
    let adapter = AdapterChoice::parse(&model.adapter, &source, model.offline)?;
    let unread = (source == ModelSource::Fake).then(|| note_on_fake(recipe)).flatten();
    Ok(SessionConfig {
        model: ModelChoice::resolve((source, adapter, model), recipe, batch, cache, threads)?,
        cache: CacheChoice::resolve(cache),
        notes: unread.into_iter().collect(),
    })
}
