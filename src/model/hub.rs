//! The Hugging Face hub, through hf-hub: cache first, then the network. Obeys `HF_HOME`, `HF_HUB_CACHE`, `HF_ENDPOINT`,
//! `HF_TOKEN` and `HF_HUB_OFFLINE`, as the Python client does.

use std::cell::OnceCell;
use std::env;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use hf_hub::api::sync::{ApiBuilder, ApiRepo};
use hf_hub::{Cache, CacheRepo, Repo, RepoType};

/// One revision of one repository.
pub struct Hub {
    name: String,
    cache: CacheRepo,
    /// None while offline.
    api: Option<ApiRepo>,
    listing: OnceCell<Vec<String>>,
}

impl Hub {
    /// Sets up the client; asks nothing yet.
    pub(super) fn open(id: &str, revision: &str, offline: bool, progress: bool) -> Result<Self> {
        let cache = match variable("HF_HUB_CACHE") {
            Some(path) => Cache::new(PathBuf::from(path)),
            None => Cache::from_env(),
        };
        let repo = Repo::with_revision(id.to_owned(), RepoType::Model, revision.to_owned());
        let offline = offline || variable("HF_HUB_OFFLINE").is_some_and(|value| !matches!(&*value, "0" | "false"));
        let api = if offline {
            None
        } else {
            let token = variable("HF_TOKEN").or_else(|| Cache::from_env().token());
            let mut builder =
                ApiBuilder::from_cache(cache.clone()).with_token(token).with_progress(progress).with_retries(3);
            if let Some(endpoint) = variable("HF_ENDPOINT") {
                builder = builder.with_endpoint(endpoint.trim_end_matches('/').to_owned());
            }
            Some(builder.build().context("cannot set up the client for the Hugging Face hub")?.repo(repo.clone()))
        };
        let name = if revision == "main" { id.to_owned() } else { format!("{id} at {revision}") };
        Ok(Self { name, cache: cache.repo(repo), api, listing: OnceCell::new() })
    }

    /// Whether the repository has a file; what is in the cache is not asked for.
    pub(super) fn has(&self, file: &str) -> Result<bool> {
        if self.cache.get(file).is_some() {
            return Ok(true);
        }
        let Some(api) = &self.api else { return Ok(false) };
        if self.listing.get().is_none() {
            let info = api.info().with_context(|| self.unreachable("its list of files"))?;
            let _ = self.listing.set(info.siblings.into_iter().map(|sibling| sibling.rfilename).collect());
        }
        Ok(self.listing.get().is_some_and(|listing| listing.iter().any(|name| name == file)))
    }

    /// A file's path in the cache, downloaded if need be.
    pub(super) fn get(&self, file: &str) -> Result<PathBuf> {
        if let Some(path) = self.cache.get(file) {
            return Ok(path);
        }
        match &self.api {
            Some(api) => api.download(file).with_context(|| self.unreachable(file)),
            None => bail!(
                "{file} of {} has not been downloaded yet, and the run is offline; run once without --offline, or name \
                 a local directory with --model",
                self.name
            ),
        }
    }

    fn unreachable(&self, what: &str) -> String {
        format!(
            "cannot get {what} of model {} from the Hugging Face hub; check the id, the network and, for gated models, \
             HF_TOKEN, or name a local directory with --model",
            self.name
        )
    }
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}
