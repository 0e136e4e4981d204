//! Refuses outputs that would overwrite a file that is read. Files are compared by their identity on disk, so that links and
//! redirected standard input and output are recognised.

use std::fs::Metadata;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use same_file::Handle;

/// The files that a run reads and writes.
pub(super) struct Files {
    /// `None` is standard input, unless there are several inputs.
    pub(super) input: Option<PathBuf>,
    /// Several inputs.
    pub(super) inputs: Vec<PathBuf>,
    /// Everything else that is read.
    pub(super) others: Vec<PathBuf>,
    /// `None` is standard output, or nothing.
    pub(super) output: Option<PathBuf>,
    /// Everything else that is written, and the option that names it.
    pub(super) others_written: Vec<(&'static str, PathBuf)>,
    pub(super) is_dry_run: bool,
}

/// Refuses an output that is also read, and two outputs in one file.
pub(super) fn check_distinct(files: &Files) -> Result<()> {
    let Files { input, inputs, others, output, others_written, is_dry_run } = files;
    let stdin = || Handle::stdin().ok().filter(is_regular).filter(|_| inputs.is_empty());
    let input = input.as_deref().map_or_else(stdin, regular);
    let named = inputs.iter().chain(others).filter_map(|path| regular(path));
    let read: Vec<Handle> = input.into_iter().chain(named).collect();
    let pipes = check_pipes(files)?;
    let written: Vec<(&str, &Path)> = output
        .iter()
        .map(|path| ("--output", path.as_path()))
        .chain(others_written.iter().map(|(name, path)| (*name, path.as_path())))
        .collect();
    for (_, written) in &written {
        ensure!(
            regular(written).is_none_or(|handle| !read.contains(&handle))
                && pipe(written).is_none_or(|pipe| !pipes.contains(&pipe)),
            "{} is read and would be written over; give the output another name",
            written.display()
        );
    }
    for (index, (name, path)) in written.iter().enumerate() {
        for (earlier, other) in &written[..index] {
            let same = place(other) == place(path) || regular(other).is_some_and(|other| Some(other) == regular(path));
            ensure!(!same, "{earlier} and {name} name the same file, {}", path.display());
        }
    }
    let Some(stdout) = Handle::stdout().ok().filter(is_regular).filter(|_| output.is_none()) else { return Ok(()) };
    ensure!(
        *is_dry_run || !read.contains(&stdout),
        "standard output is a file that is read, and would be written over; send it to another file"
    );
    for (name, path) in others_written {
        ensure!(
            regular(path).as_ref() != Some(&stdout),
            "{name} and standard output are the same file; give {name} another name"
        );
    }
    Ok(())
}

/// Returns the pipes that are read, and refuses to read one twice, as its content is gone after the first time.
fn check_pipes(files: &Files) -> Result<Vec<PipeNumber>> {
    let mut pipes = Vec::new();
    let stdin = || Handle::stdin().ok().and_then(|stdin| number(&stdin.as_file().metadata().ok()?));
    pipes.extend(files.input.as_deref().map_or_else(stdin, pipe).filter(|_| files.inputs.is_empty()));
    for path in files.inputs.iter().chain(&files.others) {
        let Some(number) = pipe(path) else { continue };
        ensure!(
            !pipes.contains(&number),
            "{} is a pipe that is read already, and can be read only once; name a file, or another pipe",
            path.display()
        );
        pipes.push(number);
    }
    Ok(pipes)
}

/// The identity of a pipe: its device, and its number there.
type PipeNumber = (u64, u64);

/// The pipe of this name. It is not opened, which would make another reader or writer of it.
fn pipe(path: &Path) -> Option<PipeNumber> {
    number(&std::fs::metadata(path).ok()?)
}

#[cfg(unix)]
fn number(metadata: &Metadata) -> Option<PipeNumber> {
    use std::os::unix::fs::{FileTypeExt, MetadataExt};
    metadata.file_type().is_fifo().then(|| (metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
fn number(_: &Metadata) -> Option<PipeNumber> {
    None
}

/// The path at which a file is, or will be: two names of a file that does not exist yet have the same one.
fn place(path: &Path) -> PathBuf {
    let target =
        std::fs::read_link(path).map_or_else(|_| path.to_owned(), |target| path.with_file_name("").join(target));
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    target.file_name().map_or_else(|| folder.clone(), |name| folder.join(name))
}

/// The identity of a regular file. Other files are not opened: opening a named pipe would take its content away from the
/// reader.
fn regular(path: &Path) -> Option<Handle> {
    path.is_file().then(|| Handle::from_path(path).ok()).flatten()
}

fn is_regular(handle: &Handle) -> bool {
    handle.as_file().metadata().is_ok_and(|file| file.is_file())
}
