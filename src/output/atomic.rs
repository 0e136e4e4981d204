//! Replaces a file at once: the content is written beside it, and then takes its name.

#[cfg(unix)]
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Replaces a file, or creates it. A reader sees the old content or the new one, also after the power fails. A link stays, and
/// the file to which it leads is replaced.
///
/// # Errors
/// If the system can't create a file beside it, or can't write it.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let target = target(path);
    let mut builder = tempfile::Builder::new();
    builder.prefix(".rerank-");
    #[cfg(unix)]
    builder.permissions(permissions(&target));
    let mut temporary = builder.tempfile_in(folder(&target)).map_err(without_path)?;
    temporary.write_all(bytes)?;
    temporary.as_file().sync_all()?;
    temporary.persist(&target).map_err(|error| error.error)?;
    sync_folder(&target);
    Ok(())
}

/// Waits until the disk has the name of a file, which it has with the folder. Not every system can.
pub(super) fn sync_folder(path: &Path) {
    #[cfg(unix)]
    let _ = File::open(folder(path)).and_then(|folder| folder.sync_all());
}

/// The file to which a link leads.
pub(super) fn target(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// Checks that a file can be created beside this one. Nothing is left of the attempt.
///
/// # Errors
/// If the system can't create one.
pub fn check(path: &Path) -> io::Result<()> {
    tempfile::tempfile_in(folder(path)).map(drop).map_err(without_path)
}

/// The error without the name of the temporary file, which means nothing to users.
fn without_path(error: io::Error) -> io::Error {
    let text = error.to_string();
    let problem = text.split_once(" at path \"").map_or(text.as_str(), |(problem, _)| problem);
    io::Error::new(error.kind(), problem.to_owned())
}

/// The folder of a file.
pub(super) fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The permissions of the file that is there, or those that the user's files usually have.
#[cfg(unix)]
fn permissions(path: &Path) -> std::fs::Permissions {
    use std::os::unix::fs::PermissionsExt;
    let usual = std::fs::Permissions::from_mode(0o666);
    path.metadata().map_or(usual, |file| file.permissions())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_and_a_link_to_it_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("figures.json");
        replace(&path, b"one").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"one");
        #[cfg(unix)]
        {
            let link = directory.path().join("link");
            std::os::unix::fs::symlink("figures.json", &link).unwrap();
            replace(&link, b"two").unwrap();
            assert!(link.is_symlink());
            assert_eq!(std::fs::read(&path).unwrap(), b"two");
        }
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), if cfg!(unix) { 2 } else { 1 });
    }
}
