//! How the files of an input go with shards: which of them a worker reads, and that its parts are none of them.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use super::aside::{Role, is_beside_output, is_hidden_from, role};
use super::expand::is_pattern;
use super::shard::ShardOptions;
use crate::input::{InputFile, Selection};
use crate::shard::files_of;
use crate::store;

/// Refuses to write shards into a directory whose files are read: they would be inputs of the workers that start later.
///
/// # Errors
/// If it is such a directory.
pub(super) fn check_not_read(directory: &Path, names: &[PathBuf], files: &[PathBuf]) -> Result<()> {
    let identity = |path: &Path| if store::is_address(path) { Some(path.join("")) } else { path.canonicalize().ok() };
    let Some(directory) = identity(directory) else { return Ok(()) };
    let is_it = |path: &Path| identity(path).is_some_and(|path| path == directory);
    let several = if files.len() > 1 { files } else { &[] };
    let is_read = names.iter().any(|name| is_it(name)) || several.iter().map(|file| folder(file)).any(is_it);
    ensure!(
        !is_read,
        "--output {} has inputs in it, and the parts there would be inputs of workers that start later; name another directory",
        directory.display()
    );
    Ok(())
}

/// Refuses to write a file that would be an input of the next run with the same names: in a directory that is read, or under a name
/// that a pattern matches.
///
/// # Errors
/// If it is such a file.
pub(super) fn check_no_input((option, file): (&str, &Path), names: &[PathBuf]) -> Result<()> {
    let Some(name) = names.iter().find(|name| is_read_with(name, file)) else { return Ok(()) };
    let remedy = match name.is_dir() || store::is_address(name) {
        true => "write into another directory, or name the files that are read with a pattern that does not match it",
        false => "give it another name, or write into another directory",
    };
    bail!(
        "{option} {}: {} stands for all its files, so that the next run would read this one as an input; {remedy}",
        file.display(),
        name.display()
    )
}

/// Whether a file is among those for which a name of the input stands.
fn is_read_with(name: &Path, file: &Path) -> bool {
    if store::is_address(name) || store::is_address(file) {
        return store::is_prefix(name) && file.parent() == Some(name) && role(file) == Role::Data;
    }
    if name.is_dir() {
        let is_in =
            folder(file).canonicalize().is_ok_and(|folder| name.canonicalize().is_ok_and(|name| name == folder));
        return is_in && role(file) == Role::Data;
    }
    let Some(pattern) = name.to_str().filter(|text| is_pattern(text) && !name.exists()) else { return false };
    let options = glob::MatchOptions { require_literal_separator: true, ..glob::MatchOptions::default() };
    let is_match = glob::Pattern::new(pattern).is_ok_and(|pattern| pattern.matches_path_with(file, options));
    is_match && !is_hidden_from(pattern, file) && !is_beside_output(file)
}

/// The directory of a file.
fn folder(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Which files and which queries are read, where a shard may be ranked.
///
/// # Errors
/// If files can't be handed out.
pub(super) fn select(
    files: Vec<PathBuf>,
    shard: Option<&ShardOptions>,
    skips: bool,
) -> Result<(Vec<InputFile>, Selection)> {
    let all = |files: Vec<PathBuf>| files.into_iter().map(|path| InputFile { path, is_read: true }).collect();
    let Some(ShardOptions { shard, .. }) = shard else { return Ok((all(files), Selection::All)) };
    if files.is_empty() {
        return Ok((Vec::new(), Selection::Queries { shard: *shard, in_full: skips }));
    }
    let size = |path: &'_ PathBuf| -> Result<u64> {
        let is_pipe = !store::is_address(path)
            && !path.metadata().with_context(|| format!("cannot read {}", path.display()))?.is_file();
        ensure!(
            !is_pipe,
            "{} is no file on a disk, and several inputs are handed out to shards by their sizes: name one pipe, or files",
            path.display()
        );
        store::size_of(path)
    };
    let sizes = files.iter().map(size).collect::<Result<Vec<u64>>>()?;
    let sized: Vec<(&Path, u64)> = files.iter().map(PathBuf::as_path).zip(sizes).collect();
    let has = files_of(*shard, &sized);
    let files = files.into_iter().zip(has).map(|(path, is_read)| InputFile { path, is_read });
    Ok((files.collect(), Selection::Files))
}
