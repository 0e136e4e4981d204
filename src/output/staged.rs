//! An output that is written beside its name and takes that when it is whole, for outputs that can't be read before.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::atomic::{folder, sync_folder, target};
use super::file::{Existing, OutputFile};
use crate::exit::UsageError;

/// A file that takes its name when it is whole. Until then it is `.NAME.tmp`, locked, and removed unless it is finished: what a
/// run leaves that was killed is replaced by the next run of the same output.
pub(super) struct Staged {
    path: PathBuf,
    /// The file that has the name, locked, if there is one.
    name: Option<OutputFile>,
    /// None when it has its name.
    file: Option<OutputFile>,
    written: u64,
}

impl Staged {
    /// Whether a path can be that of such a file: there is a file on a disk, or nothing.
    pub(super) fn fits(path: &Path) -> bool {
        path.is_file() || !path.exists()
    }

    /// Locks the name, if a file has it, and creates another file beside it.
    ///
    /// # Errors
    /// As [`OutputFile::open`], and if no file can be created beside it.
    pub(super) fn open(path: &Path, existing: Existing) -> Result<Self> {
        let shown = path.display();
        if existing == Existing::Refuse && path.metadata().is_ok_and(|file| file.len() > 0) {
            let problem = format!(
                "{shown} exists already, and its content would be lost: add --overwrite to replace it, or name another file"
            );
            return Err(UsageError::new(problem).into());
        }
        // A link that leads nowhere leads to a file from now on.
        let has_name = path.exists() || path.is_symlink();
        let name = has_name.then(|| OutputFile::open(path, existing)).transpose()?;
        let beside = beside(path);
        let file =
            OutputFile::open(&beside, Existing::Overwrite).map_err(|error| match OutputFile::is_locked(&error) {
                true => {
                    anyhow::anyhow!("{shown} is being written by another run: wait for its end, or name another file")
                }
                false => error.context(format!("cannot write {shown}: no file can be created beside it")),
            })?;
        if name.is_some() {
            let permissions = target(path).metadata().map(|file| file.permissions());
            permissions
                .and_then(|permissions| fs::set_permissions(&beside, permissions))
                .with_context(|| format!("cannot give {} the permissions of {shown}", beside.display()))?;
        }
        Ok(Self { path: path.to_owned(), name, file: Some(file), written: 0 })
    }

    /// The path as the user named it.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes all of these bytes.
    ///
    /// # Errors
    /// If the system can't write them.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        file.write(bytes)?;
        self.written += bytes.len() as u64;
        Ok(())
    }

    /// Takes the name, in place of what has it.
    ///
    /// # Errors
    /// If the disk could not store the file, or another program has changed it or taken the name.
    pub(super) fn finish(mut self) -> io::Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        file.begin()?;
        file.sync()?;
        file.check(self.written)?;
        match &self.name {
            Some(name) => name.check_name()?,
            None if self.path.exists() => {
                return Err(io::Error::other(
                    "another program has made it in the meantime, and nothing is written over",
                ));
            }
            None => {}
        }
        let target = target(&self.path);
        fs::rename(file.path(), &target)?;
        self.file = None;
        // The new name is on the disk when the folder is.
        sync_folder(&target);
        Ok(())
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // The lock is held while it is removed: no other run has begun a file of this name.
        if let Some(file) = self.file.take()
            && file.is_begun()
            && file.check_name().is_ok()
        {
            let _ = fs::remove_file(file.path());
        }
    }
}

/// The file beside an output in which it is written.
fn beside(path: &Path) -> PathBuf {
    let target = target(path);
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    folder(&target).join(format!(".{name}.tmp"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_run_replaces_what_a_killed_one_has_left_and_waits_for_one_that_lives() {
        let directory = tempfile::tempdir().unwrap();
        let (path, left) = (directory.path().join("out"), directory.path().join(".out.tmp"));
        fs::write(&left, "what a killed run has left, longer than what comes").unwrap();
        let mut staged = Staged::open(&path, Existing::Refuse).unwrap();
        staged.write(b"whole").unwrap();
        let message = Staged::open(&path, Existing::Refuse).err().unwrap().to_string();
        assert!(message.contains("out is being written by another run"), "{message}");
        assert!(!path.exists());
        staged.finish().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"whole");
        let mut broken_off = Staged::open(&path, Existing::Overwrite).unwrap();
        broken_off.write(b"x").unwrap();
        drop(broken_off);
        drop(Staged::open(&path, Existing::Overwrite).unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"whole");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        let message = Staged::open(&path, Existing::Refuse).err().unwrap().to_string();
        assert!(message.contains("add --overwrite") && !message.contains("--resume"), "{message}");
    }

    #[test]
    fn what_another_program_has_made_in_the_meantime_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out");
        let mut staged = Staged::open(&path, Existing::Overwrite).unwrap();
        staged.write(b"x").unwrap();
        fs::write(&path, "another's").unwrap();
        assert!(staged.finish().unwrap_err().to_string().contains("in the meantime"));
        assert_eq!(fs::read(&path).unwrap(), b"another's");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_and_permissions_are_kept() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let (path, link) = (directory.path().join("out"), directory.path().join("link"));
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        std::os::unix::fs::symlink("out", &link).unwrap();
        let mut staged = Staged::open(&link, Existing::Overwrite).unwrap();
        staged.write(b"new").unwrap();
        staged.finish().unwrap();
        assert!(link.is_symlink());
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
}
