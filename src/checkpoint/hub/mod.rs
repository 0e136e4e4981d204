//! The Hugging Face hub: cache first, then the network. Obeys `HF_HOME`, `HF_HUB_CACHE`, `XDG_CACHE_HOME`, `HF_ENDPOINT`,
//! `HF_TOKEN`, `HF_HUB_OFFLINE`, `HF_HUB_ETAG_TIMEOUT` and `HF_HUB_DOWNLOAD_TIMEOUT`, as the Python client does.
//!
//! hf-hub has the cache's layout. Its own client has no limits on silence and does not wait for a lock, so requests are made
//! here, with ureq.

mod beginning;
mod cache;
mod client;
mod download;
mod failure;
mod patience;
mod progress;

use std::cell::{OnceCell, RefCell};
use std::env;
use std::path::PathBuf;

use anyhow::{Context, Error, Result, anyhow, bail};
use hf_hub::Cache;
use serde_json::Value;

pub(super) use self::beginning::Beginning;
use self::cache::Place;
use self::client::{Client, checked_token, encoded};
use self::failure::Asked;
pub use self::progress::Downloads;

const ENDPOINT: &str = "https://huggingface.co";
/// A list of a model's files is far smaller.
const MOST_LISTING: u64 = 64 << 20;

/// One revision of one repository.
pub struct Hub {
    id: String,
    name: String,
    revision: String,
    place: Place,
    /// The client; none while offline.
    client: Option<Client>,
    listing: OnceCell<Vec<String>>,
    /// Files that the model lacks, which the cache can't have in mind before it has one of its files.
    absent: RefCell<Vec<String>>,
    /// Files that were taken for absent, offline, without knowing it.
    unknown: RefCell<Vec<String>>,
    downloads: Downloads,
}

impl Hub {
    /// Sets up the client, without a request yet.
    pub(super) fn open(id: &str, revision: &str, offline: bool, downloads: Downloads) -> Result<Self> {
        let cache = cache();
        let offline = offline
            || variable("HF_HUB_OFFLINE")
                .is_some_and(|value| !["0", "false", "no", "off"].contains(&&*value.to_lowercase()));
        let client = if offline {
            None
        } else {
            let token = checked_token(variable("HF_TOKEN").or_else(|| home().token()))?;
            Some(Client::new(&variable("HF_ENDPOINT").unwrap_or_else(|| ENDPOINT.to_owned()), token)?)
        };
        let name = if revision == "main" { id.to_owned() } else { format!("{id} at {revision}") };
        Ok(Self {
            id: id.to_owned(),
            name,
            revision: revision.to_owned(),
            place: Place::new(&cache, id, revision),
            client,
            listing: OnceCell::new(),
            absent: RefCell::default(),
            unknown: RefCell::default(),
            downloads,
        })
    }

    /// `owner/name`, and the revision where it is not the usual one.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// `owner/name`
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Whether only files that were downloaded before may be used.
    pub(super) fn is_offline(&self) -> bool {
        self.client.is_none()
    }

    /// The names of the files in the cache.
    pub(super) fn cached_names(&self) -> Vec<String> {
        self.place.names()
    }

    /// The names of all files, or of those in the cache while offline.
    pub(super) fn all_names(&self) -> Result<Vec<String>> {
        match self.client {
            Some(_) => Ok(self.names()?.to_vec()),
            None => Ok(self.place.names()),
        }
    }

    /// Where the cache keeps what was downloaded of the model.
    pub(super) fn folder(&self) -> PathBuf {
        cache_directory(&self.id)
    }

    /// A file's path in the cache.
    pub(super) fn cached(&self, file: &str) -> Option<PathBuf> {
        self.place.find(file)
    }

    /// A file's path in the cache, downloaded if need be, where the model has it. The hub is asked once for each commit: a
    /// model whose files are all here needs no network. Offline, what is not in the cache is taken for absent, and noted if
    /// that is not known.
    pub(super) fn optional(&self, file: &str) -> Result<Option<PathBuf>> {
        if let Some(path) = self.cached(file) {
            return Ok(Some(path));
        }
        if self.place.lacks(file) {
            return Ok(None);
        }
        if self.names()?.iter().any(|name| name == file) {
            return self.get(file).map(Some);
        }
        match self.client {
            Some(_) => {
                self.absent.borrow_mut().push(file.to_owned());
                self.note_absences();
            }
            None => self.unknown.borrow_mut().push(file.to_owned()),
        }
        Ok(None)
    }

    /// Has the cache keep in mind which files the model lacks, as soon as it can.
    fn note_absences(&self) {
        self.absent.borrow_mut().retain(|file| !self.place.note_absence(file));
    }

    /// The warning of files that were taken for absent, offline, though the model may have them: another recipe, or another
    /// tokenizer, would give other scores without a word.
    pub(super) fn unknown(&self) -> Option<String> {
        let mut unknown = self.unknown.borrow().clone();
        unknown.sort_unstable();
        unknown.dedup();
        // The Python client leaves no marks of what a model lacks where it downloads all of it. Then this file is there, too,
        // which every repository has and nobody downloads by its name.
        if unknown.is_empty() || self.cached(".gitattributes").is_some() {
            return None;
        }
        Some(format!(
            "{}: the run is offline, and whether the model has these files is not known, as they have not been downloaded: \
             {}. They are taken for absent; if it has one, other scores may be right. One run that is not offline settles it",
            self.name,
            unknown.join(", ")
        ))
    }

    /// The names of the repository's files; none while offline.
    pub(super) fn names(&self) -> Result<&[String]> {
        let Some(client) = &self.client else { return Ok(&[]) };
        if self.listing.get().is_none() {
            let _ = self.listing.set(self.list(client)?);
        }
        Ok(self.listing.get().map_or(&[], Vec::as_slice))
    }

    /// A file's path in the cache, downloaded if need be.
    pub(super) fn get(&self, file: &str) -> Result<PathBuf> {
        if let Some(path) = self.cached(file) {
            return Ok(path);
        }
        match &self.client {
            Some(client) => {
                let path = download::download(self, client, file).map_err(|error| self.no_directory(&error))?;
                self.note_absences();
                Ok(path)
            }
            None => bail!(
                "{file} of {} has not been downloaded yet, and the run is offline; run once without --offline, or name \
                 a local directory with --model",
                self.name
            ),
        }
    }

    fn list(&self, client: &Client) -> Result<Vec<String>> {
        let revision = encoded(&self.revision);
        let address = format!("{}/api/models/{}/revision/{revision}", client.endpoint, self.id);
        let asked = Asked {
            id: &self.id,
            revision: &self.revision,
            file: None,
            endpoint: &client.name,
            with_token: client.has_token(),
        };
        let what = format!("the list of files of model {}", self.name);
        let text = client
            .persist(
                &what,
                |message| self.report(message),
                || client.get(&address, None, &asked).and_then(|answer| client.text(answer, MOST_LISTING)),
            )
            .map_err(|error| self.no_directory(&error))?;
        let listing: Option<Value> = serde_json::from_str(&text).ok();
        let siblings = listing.as_ref().and_then(|listing| listing["siblings"].as_array()).with_context(|| {
            format!("cannot get {what} from {}: the answer is no such list; is it a model hub?", client.name)
        })?;
        Ok(siblings.iter().filter_map(|sibling| sibling["rfilename"].as_str()).map(str::to_owned).collect())
    }

    /// A mistyped path looks like an id.
    fn no_directory(&self, error: &Error) -> Error {
        anyhow!("{error:#} (there is no local directory {})", self.id)
    }
}

/// The cache that the environment names, by the rules of the Python client.
fn cache() -> Cache {
    let named = ["HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"].iter().find_map(|name| folder(name));
    named.map_or_else(home, Cache::new)
}

/// The cache that belongs to the folder in which the token is, too.
fn home() -> Cache {
    let home = folder("HF_HOME").or_else(|| Some(folder("XDG_CACHE_HOME")?.join("huggingface")));
    home.map_or_else(Cache::default, |home| Cache::new(home.join("hub")))
}

/// A folder that a variable names; no shell has replaced a `~` in quotes or in a file of variables.
fn folder(name: &str) -> Option<PathBuf> {
    let path = variable(name)?;
    let in_home = path.strip_prefix("~/").and_then(|rest| Some(PathBuf::from(variable("HOME")?).join(rest)));
    Some(in_home.unwrap_or_else(|| PathBuf::from(path)))
}

/// The cache's directory for a model.
pub(super) fn cache_directory(id: &str) -> PathBuf {
    let repo = hf_hub::Repo::new(id.to_owned(), hf_hub::RepoType::Model);
    cache().path().join(repo.folder_name())
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}
