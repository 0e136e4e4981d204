//! A file that a run writes: opened and locked at the start, emptied with the first bytes.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Result, bail};
use same_file::Handle;

use super::is_full;
use crate::exit::UsageError;
use crate::writing::{self, Writing};

/// Files that this process created and has not written to yet. They are removed when the run ends, however it ends.
static UNUSED: Mutex<Vec<(PathBuf, Handle)>> = Mutex::new(Vec::new());

/// How often opening a file is tried while another program keeps removing it.
const ATTEMPTS: usize = 10;

/// What becomes of the content that a file has already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Existing {
    /// The file is refused, unless it is empty.
    #[default]
    Refuse,
    /// The first bytes that are written replace it.
    Overwrite,
    /// It is read back and continued.
    Resume,
}

/// Another run holds the lock of a file.
#[derive(Debug)]
struct Locked(PathBuf);

impl fmt::Display for Locked {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.0.display();
        write!(formatter, "{path} is being written by another run: wait for its end, or name another file")
    }
}

impl std::error::Error for Locked {}

/// A file that no other run can write to at the same time. An existing file keeps its content until the first bytes are
/// written, and a new one that gets none is removed, so that a run that never begins changes nothing.
pub struct OutputFile {
    file: File,
    path: PathBuf,
    is_regular: bool,
    is_begun: bool,
    existing: Existing,
    /// The bytes in front that stay.
    kept: u64,
}

impl OutputFile {
    /// Opens a file, or creates it.
    ///
    /// # Errors
    /// If it can't be written, another run writes to it, or it has content that is refused.
    pub fn open(path: &Path, existing: Existing) -> Result<Self> {
        for _ in 0..ATTEMPTS {
            let (file, is_new) = open(path, existing).map_err(|error| refused(path, error))?;
            let is_regular = file.metadata().is_ok_and(|file| file.is_file());
            if is_regular {
                match file.try_lock() {
                    Err(fs::TryLockError::WouldBlock) => {
                        return Err(Locked(path.to_owned()).into());
                    }
                    // Some file systems have no locks: there, the file is written without one.
                    Ok(()) | Err(fs::TryLockError::Error(_)) => {}
                }
                let handle = Handle::from_file(file.try_clone()?)?;
                // The other run may have removed it between opening and locking.
                if Handle::from_path(path).ok().as_ref() != Some(&handle) {
                    continue;
                }
                if is_new {
                    unused().push((path.to_owned(), handle));
                }
                if existing == Existing::Refuse && file.metadata()?.len() > 0 {
                    let problem = format!(
                        "{} exists already, and its content would be lost: add --resume to go on with the run that wrote it, \
                         --overwrite to replace it, or name another file",
                        path.display()
                    );
                    return Err(UsageError::new(problem).into());
                }
            }
            return Ok(Self { file, path: path.to_owned(), is_regular, is_begun: false, existing, kept: 0 });
        }
        bail!("cannot write to {}: another program keeps removing it", path.display())
    }

    /// Whether a file could not be opened because another run writes to it.
    pub fn is_locked(error: &anyhow::Error) -> bool {
        error.is::<Locked>()
    }

    /// The path as the user named it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it is a file on a disk, and no pipe or device.
    pub fn is_regular(&self) -> bool {
        self.is_regular
    }

    /// Whether something was written.
    pub fn is_begun(&self) -> bool {
        self.is_begun
    }

    /// The bytes that it has; 0 of a pipe or a device.
    ///
    /// # Errors
    /// If the system does not report them.
    pub fn size(&self) -> io::Result<u64> {
        if self.is_regular { self.file.metadata().map(|file| file.len()) } else { Ok(0) }
    }

    /// Another handle of the file, to read it.
    ///
    /// # Errors
    /// If the system has none.
    pub fn reader(&self) -> io::Result<File> {
        self.file.try_clone()
    }

    /// Keeps this many bytes in front when the first bytes are written.
    pub fn keep(&mut self, bytes: u64) {
        self.kept = bytes;
    }

    /// Removes what does not stay, before the first bytes are written.
    ///
    /// # Errors
    /// If the system can't, or another program has written the file or has put another one in its place.
    pub fn begin(&mut self) -> io::Result<()> {
        if self.is_begun {
            return Ok(());
        }
        if self.is_regular {
            self.check_name()?;
            if self.existing == Existing::Refuse && self.file.metadata()?.len() > 0 {
                return Err(io::Error::other("another program has written to it in the meantime"));
            }
        }
        unused().retain(|(path, _)| *path != self.path);
        self.is_begun = true;
        if self.is_regular {
            self.file.set_len(self.kept)?;
            self.file.seek(SeekFrom::Start(self.kept))?;
        }
        Ok(())
    }

    /// Writes all of these bytes; the first ones replace what was there and does not stay.
    ///
    /// # Errors
    /// If the system can't write them, and as [`OutputFile::begin`].
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.begin()?;
        let _writing = Writing::begin(self.is_regular);
        self.file.write_all(bytes)
    }

    /// Replaces the whole file at once, so that a reader sees the old content or the new one. A pipe or a device is written.
    ///
    /// # Errors
    /// As [`OutputFile::write`].
    pub fn replace(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.is_regular && !self.is_begun {
            match super::atomic::replace(&self.path, bytes) {
                Ok(()) => {
                    unused().retain(|(path, _)| *path != self.path);
                    self.is_begun = true;
                    return Ok(());
                }
                // What was there is worth more than an empty file.
                Err(error) if is_full(&error) => return Err(error),
                // Where no other file can be created beside it, the file itself can still be written.
                Err(_) => {}
            }
        }
        self.write(bytes)
    }

    /// Waits until the disk has what was written.
    ///
    /// # Errors
    /// If the disk could not store it.
    pub fn sync(&self) -> io::Result<()> {
        if !self.is_regular {
            return Ok(());
        }
        match self.file.sync_data() {
            // Some file systems have nothing to wait for.
            Err(error) if matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::InvalidInput) => Ok(()),
            synced => synced,
        }
    }

    /// Cuts the file off after this many bytes, to remove a part of a ranking. If that fails, the part stays: the error that
    /// led here is reported in any case.
    pub fn take_back(&mut self, bytes: u64) {
        if self.size().is_ok_and(|size| size > bytes) {
            let _ = self.file.set_len(bytes);
        }
    }

    /// Checks that the file is the one that has its name.
    ///
    /// # Errors
    /// If another program has removed, renamed or replaced it: what is written would be in no file, or in another one.
    pub fn check_name(&self) -> io::Result<()> {
        if !self.is_regular || Handle::from_path(&self.path).ok() == Some(Handle::from_file(self.file.try_clone()?)?) {
            return Ok(());
        }
        Err(io::Error::other("another program has removed, renamed or replaced it in the meantime"))
    }

    /// Checks that the file has what was written to it, and no more.
    ///
    /// # Errors
    /// As [`OutputFile::check_name`], and if another program has changed its size.
    pub fn check(&self, bytes: u64) -> io::Result<()> {
        self.check_name()?;
        match self.size()? {
            size if size == bytes || !self.is_regular => Ok(()),
            size => Err(io::Error::other(format!(
                "another program has written to it or cut it off: it had {bytes} bytes, and has {size}"
            ))),
        }
    }
}

impl Drop for OutputFile {
    fn drop(&mut self) {
        if !self.is_begun {
            let mut unused = unused();
            unused.iter().filter(|(path, _)| *path == self.path).for_each(remove);
            unused.retain(|(path, _)| *path != self.path);
        }
    }
}

/// Ends the program at once, with this status: behind the write at hand, and without the files that this process created and has
/// not written to.
pub fn exit_at_once(status: i32) -> ! {
    // No other thread writes to a file any more until the program has ended.
    let _writing = writing::hold();
    unused().drain(..).for_each(|file| remove(&file));
    std::process::exit(status)
}

/// Removes a file if it is still the one that this process created, and no other program has written to it.
fn remove((path, handle): &(PathBuf, Handle)) {
    let is_ours = Handle::from_path(path).is_ok_and(|there| there == *handle);
    if is_ours && handle.as_file().metadata().is_ok_and(|file| file.len() == 0) {
        // If the empty file can't be removed, it does no harm.
        let _ = fs::remove_file(path);
    }
}

fn unused() -> std::sync::MutexGuard<'static, Vec<(PathBuf, Handle)>> {
    UNUSED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Opens a file without emptying it, and returns whether it was created. A named pipe is opened only once, because its reader
/// would take a second opening for another writer.
fn open(path: &Path, existing: Existing) -> io::Result<(File, bool)> {
    let mut options = File::options();
    options.write(true).read(existing == Existing::Resume);
    // If another program cuts the file off or adds to it, that is seen by its size, and nothing is written over.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_APPEND);
    match options.open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        existing => return existing.map(|file| (file, false)),
    }
    match options.clone().create_new(true).open(path) {
        // The path is a link to a file that does not exist yet, or another program has created the file just now.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            Ok((options.create(true).truncate(false).open(path)?, false))
        }
        made => Ok((made?, true)),
    }
}

fn refused(path: &Path, error: io::Error) -> anyhow::Error {
    let problem = format!("cannot write to {}", path.display());
    match error.kind() {
        ErrorKind::NotFound => UsageError::new(format!("{problem}: there is no such directory")).into(),
        ErrorKind::NotADirectory => {
            UsageError::new(format!("{problem}: a part of the path is a file, and not a directory")).into()
        }
        ErrorKind::IsADirectory => UsageError::new(format!("{problem}: it is a directory; name a file in it")).into(),
        _ => anyhow::Error::new(error).context(problem),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_one_writer_at_a_time() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("new");
        let first = OutputFile::open(&path, Existing::Refuse).unwrap();
        let message = OutputFile::open(&path, Existing::Refuse).err().unwrap().to_string();
        assert!(message.contains("another run"), "{message}");
        assert!(path.exists(), "the file of the first run stays");
        drop(first);
        assert!(!path.exists());
        OutputFile::open(&path, Existing::Refuse).unwrap().write(b"x").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"x");
    }

    #[test]
    fn what_another_program_wrote_in_the_meantime_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("new");
        let mut written = OutputFile::open(&path, Existing::Refuse).unwrap();
        std::fs::write(&path, "another's").unwrap();
        assert!(written.write(b"x").unwrap_err().to_string().contains("has written"));
        drop(written);
        let mut replaced = OutputFile::open(&path, Existing::Overwrite).unwrap();
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "third").unwrap();
        assert!(replaced.write(b"x").unwrap_err().to_string().contains("replaced"));
        assert_eq!(std::fs::read(&path).unwrap(), b"third");
    }

    #[test]
    fn a_file_that_another_program_wrote_or_created_is_never_removed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("new");
        let written = OutputFile::open(&path, Existing::Refuse).unwrap();
        std::fs::write(&path, "another's").unwrap();
        drop(written);
        assert_eq!(std::fs::read(&path).unwrap(), b"another's");
        std::fs::remove_file(&path).unwrap();
        let replaced = OutputFile::open(&path, Existing::Refuse).unwrap();
        let other = directory.path().join("other");
        std::fs::write(&other, "").unwrap();
        std::fs::rename(&other, &path).unwrap();
        drop(replaced);
        assert!(path.exists());
    }
}
