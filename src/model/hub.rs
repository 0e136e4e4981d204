//! The Hugging Face hub, through hf-hub: cache first, then the network. Obeys `HF_HOME`, `HF_HUB_CACHE`, `HF_ENDPOINT`,
//! `HF_TOKEN` and `HF_HUB_OFFLINE`, as the Python client does.

use std::cell::OnceCell;
use std::env;
use std::path::PathBuf;

use anyhow::{Context, Error, Result, anyhow, bail};
use hf_hub::api::sync::{ApiBuilder, ApiError, ApiRepo};
use hf_hub::{Cache, CacheRepo, Repo, RepoType};

/// How downloads are shown on standard error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Downloads {
    /// A bar for each file.
    Bar,
    /// A line for each file.
    Lines,
    /// Not at all.
    Silent,
}

/// One revision of one repository.
pub struct Hub {
    id: String,
    name: String,
    revision: String,
    cache: CacheRepo,
    /// None while offline.
    api: Option<ApiRepo>,
    listing: OnceCell<Vec<String>>,
    downloads: Downloads,
}

impl Hub {
    /// Sets up the client; asks nothing yet.
    pub(super) fn open(id: &str, revision: &str, offline: bool, downloads: Downloads) -> Result<Self> {
        let cache = match variable("HF_HUB_CACHE") {
            Some(path) => Cache::new(PathBuf::from(path)),
            None => Cache::from_env(),
        };
        let repo = Repo::with_revision(id.to_owned(), RepoType::Model, revision.to_owned());
        let offline = offline
            || variable("HF_HUB_OFFLINE")
                .is_some_and(|value| !["0", "false", "no", "off"].contains(&&*value.to_lowercase()));
        let api = if offline {
            None
        } else {
            let token = variable("HF_TOKEN").or_else(|| Cache::from_env().token());
            let mut builder = ApiBuilder::from_cache(cache.clone())
                .with_token(token)
                .with_progress(downloads == Downloads::Bar)
                .with_retries(3);
            if let Some(endpoint) = variable("HF_ENDPOINT") {
                builder = builder.with_endpoint(endpoint.trim_end_matches('/').to_owned());
            }
            Some(builder.build().context("cannot set up the client for the Hugging Face hub")?.repo(repo.clone()))
        };
        let name = if revision == "main" { id.to_owned() } else { format!("{id} at {revision}") };
        Ok(Self {
            id: id.to_owned(),
            name,
            revision: revision.to_owned(),
            cache: cache.repo(repo),
            api,
            listing: OnceCell::new(),
            downloads,
        })
    }

    /// A file's path in the cache. A commit is found under its own name too, as when its branch was downloaded.
    pub(super) fn cached(&self, file: &str) -> Option<PathBuf> {
        let of_commit = || Some(self.cache.pointer_path(&self.revision).join(file)).filter(|path| path.is_file());
        self.cache.get(file).or_else(of_commit)
    }

    /// Whether the repository on the hub has a file; no, while offline.
    pub(super) fn lists(&self, file: &str) -> Result<bool> {
        let Some(api) = &self.api else { return Ok(false) };
        if self.listing.get().is_none() {
            let info = api.info().map_err(|error| self.unreachable("the list of files", &error))?;
            let _ = self.listing.set(info.siblings.into_iter().map(|sibling| sibling.rfilename).collect());
        }
        Ok(self.listing.get().is_some_and(|listing| listing.iter().any(|name| name == file)))
    }

    /// A file's path in the cache, downloaded if need be.
    pub(super) fn get(&self, file: &str) -> Result<PathBuf> {
        if let Some(path) = self.cached(file) {
            return Ok(path);
        }
        match &self.api {
            Some(api) => {
                if self.downloads == Downloads::Lines {
                    eprintln!("downloading {file} of {}", self.name);
                }
                api.download(file).map_err(|error| self.unreachable(file, &error))
            }
            None => bail!(
                "{file} of {} has not been downloaded yet, and the run is offline; run once without --offline, or name \
                 a local directory with --model",
                self.name
            ),
        }
    }

    /// The client's errors repeat their causes in their own text: the causes are not added again.
    fn unreachable(&self, what: &str, error: &ApiError) -> Error {
        anyhow!(
            "cannot get {what} of model {} from the Hugging Face hub ({error}); check the id, the revision, the network \
             and, for gated models, HF_TOKEN, or name a local directory with --model (there is no directory {})",
            self.name,
            self.id
        )
    }
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}
