//! What is read is never written over. Files are told apart by what they are on disk, so that links, and redirected
//! standard input and output, count.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use same_file::Handle;

/// What a run reads and writes.
pub(super) struct Files {
    /// `None` is standard input.
    pub(super) input: Option<PathBuf>,
    /// Everything else that is read.
    pub(super) others: Vec<PathBuf>,
    /// `None` is standard output, or nothing.
    pub(super) output: Option<PathBuf>,
    pub(super) stats: Option<PathBuf>,
    pub(super) is_dry_run: bool,
}

/// Refuses to write over what is read, or two things into one file.
pub(super) fn check_distinct(files: &Files) -> Result<()> {
    let Files { input, others, output, stats, is_dry_run } = files;
    let stdin = || Handle::stdin().ok().filter(is_regular);
    let input = input.as_deref().map_or_else(stdin, regular);
    let read: Vec<Handle> = input.into_iter().chain(others.iter().filter_map(|path| regular(path))).collect();
    for written in [output, stats].into_iter().flatten() {
        ensure!(
            regular(written).is_none_or(|handle| !read.contains(&handle)),
            "{} is read and would be written over; give the output another name",
            written.display()
        );
    }
    // Two names of one file that is not there yet are the same name.
    if let (Some(output), Some(stats)) = (output, stats) {
        let same = output == stats || regular(output).is_some_and(|output| Some(output) == regular(stats));
        ensure!(!same, "--output and --stats name the same file, {}", stats.display());
    }
    let Some(stdout) = Handle::stdout().ok().filter(is_regular).filter(|_| output.is_none()) else { return Ok(()) };
    ensure!(
        *is_dry_run || !read.contains(&stdout),
        "standard output is a file that is read, and would be written over; send it to another file"
    );
    ensure!(
        stats.as_deref().and_then(regular) != Some(stdout),
        "--stats and standard output are the same file; give --stats another name"
    );
    Ok(())
}

/// The file behind a name. Others, as pipes with a name, are not opened: what they hold goes to whoever opens them first.
fn regular(path: &Path) -> Option<Handle> {
    path.is_file().then(|| Handle::from_path(path).ok()).flatten()
}

fn is_regular(handle: &Handle) -> bool {
    handle.as_file().metadata().is_ok_and(|file| file.is_file())
}
