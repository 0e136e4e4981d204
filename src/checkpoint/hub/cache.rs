//! A model's place in the cache, laid out as the Python client does, so that both find each other's downloads.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use crate::checkpoint::files::names_in;
use anyhow::{Context, Result};
use hf_hub::{Cache, CacheRepo, Repo, RepoType};

/// What to do where the cache can't be written, in a message.
pub(super) const ELSEWHERE: &str = "HF_HOME or HF_HUB_CACHE names another folder";

/// One revision of one model.
pub(super) struct Place {
    repo: CacheRepo,
    /// `models--owner--name`
    folder: PathBuf,
    locks: PathBuf,
    revision: String,
}

impl Place {
    pub(super) fn new(cache: &Cache, id: &str, revision: &str) -> Self {
        let repo = Repo::with_revision(id.to_owned(), RepoType::Model, revision.to_owned());
        let name = repo.folder_name();
        Self {
            folder: cache.path().join(&name),
            locks: cache.path().join(".locks").join(&name),
            revision: revision.to_owned(),
            repo: cache.repo(repo),
        }
    }

    /// A file's path. A commit is found under its own name too, as when its branch was downloaded.
    pub(super) fn find(&self, file: &str) -> Option<PathBuf> {
        let of_commit = || Some(self.repo.pointer_path(&self.revision).join(file)).filter(|path| path.is_file());
        self.repo.get(file).filter(|path| path.is_file()).or_else(of_commit)
    }

    /// The commit that the revision stood for when a file of it was last downloaded.
    pub(super) fn commit(&self) -> Option<String> {
        fs::read_to_string(self.reference()).ok().filter(|commit| is_plain(commit))
    }

    /// The names of the files that were downloaded at the commit that the revision stands for.
    pub(super) fn names(&self) -> Vec<String> {
        let commit = self.commit().unwrap_or_else(|| self.revision.clone());
        names_in(&self.repo.pointer_path(&commit))
    }

    /// Whether the model was found not to have a file, at the commit whose other files are here.
    pub(super) fn lacks(&self, file: &str) -> bool {
        self.absence(file).is_some_and(|mark| mark.is_file())
    }

    /// Keeps in mind that the model does not have a file, unless no file of its commit is here yet. A cache that can't be written
    /// only costs the same question again.
    pub(super) fn note_absence(&self, file: &str) -> bool {
        let Some(mark) = self.absence(file) else { return false };
        if mark.parent().is_some_and(|folder| fs::create_dir_all(folder).is_ok()) {
            let _ = fs::write(mark, "");
        }
        true
    }

    /// The empty file which the Python client, too, leaves for a file that a commit does not have.
    fn absence(&self, file: &str) -> Option<PathBuf> {
        let named = || Some(self.revision.clone()).filter(|commit| self.repo.pointer_path(commit).is_dir());
        Some(self.folder.join(".no_exist").join(self.commit().or_else(named)?).join(file))
    }

    fn reference(&self) -> PathBuf {
        self.folder.join("refs").join(&self.revision)
    }

    /// The path of a file's content.
    pub(super) fn content(&self, etag: &str) -> PathBuf {
        self.folder.join("blobs").join(etag)
    }

    /// Makes the folders, and takes the lock on a file's content. It is the system's: it ends with the process.
    ///
    /// # Errors
    /// If the cache can't be written.
    pub(super) fn lock(&self, etag: &str, on_wait: impl FnOnce()) -> Result<File> {
        for folder in [&self.folder.join("blobs"), &self.locks] {
            fs::create_dir_all(folder)
                .with_context(|| format!("cannot write to the cache of models, {} ({ELSEWHERE})", folder.display()))?;
        }
        let path = self.locks.join(format!("{etag}.lock"));
        let failed = || format!("cannot lock {} ({ELSEWHERE})", path.display());
        let file = File::options().write(true).create(true).truncate(false).open(&path).with_context(failed)?;
        if let Err(TryLockError::WouldBlock) = file.try_lock() {
            on_wait();
            file.lock().with_context(failed)?;
        }
        // If the file system has no locks, two downloads at the same time are not excluded, as with the Python client.
        Ok(file)
    }

    /// Makes a file, whose content is there, findable under its name.
    ///
    /// # Errors
    /// If the cache can't be written.
    pub(super) fn publish(&self, file: &str, commit: &str, etag: &str) -> Result<PathBuf> {
        let path = self.repo.pointer_path(commit).join(file);
        let failed = || format!("cannot write {}", path.display());
        let folder = path.parent().unwrap_or(&self.folder);
        fs::create_dir_all(folder).with_context(failed)?;
        if !path.is_file() {
            let up = "../".repeat(2 + file.split('/').count() - 1);
            let target = format!("{up}blobs/{etag}");
            replace(&path, |new| link(Path::new(&target), &self.content(etag), new)).with_context(failed)?;
        }
        let reference = self.reference();
        if self.commit().as_deref() != Some(commit) && self.revision != commit {
            let failed = || format!("cannot write {}", reference.display());
            fs::create_dir_all(reference.parent().unwrap_or(&self.folder)).with_context(failed)?;
            replace(&reference, |new| fs::write(new, commit)).with_context(failed)?;
        }
        Ok(path)
    }
}

/// Makes a file beside its place and moves it there, so that nobody ever reads half of it.
fn replace(path: &Path, make: impl FnOnce(&Path) -> std::io::Result<()>) -> std::io::Result<()> {
    let mut new = path.as_os_str().to_owned();
    new.push(format!(".{}.new", std::process::id()));
    let new = PathBuf::from(new);
    let _ = fs::remove_file(&new);
    make(&new)?;
    fs::rename(&new, path)
}

#[cfg(unix)]
fn link(target: &Path, _content: &Path, new: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(target, new)
}

/// Links need a privilege there.
#[cfg(not(unix))]
fn link(_target: &Path, content: &Path, new: &Path) -> std::io::Result<()> {
    fs::copy(content, new).map(drop)
}

/// Whether a name that a server gives can be that of a file, in the folder that it is meant for.
pub(super) fn is_plain(name: &str) -> bool {
    let usual = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=200).contains(&name.len()) && !name.starts_with('.') && name.bytes().all(usual)
}
