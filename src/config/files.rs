//! The files of an input: those that are named, those of a directory, those that a pattern matches.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use super::shard::ShardOptions;
use crate::input::{InputFile, Selection};
use crate::shard::files_of;
use crate::store;

/// The endings of files that stand beside an output, which are no inputs.
const BESIDE_OUTPUTS: [&str; 3] = [".run.json", ".done.json", ".tmp"];

/// All files of these names, in their order.
///
/// # Errors
/// If a directory or a pattern has no file, a file is named twice, or standard input is one of several.
pub(super) fn expand(names: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for name in names {
        if store::is_address(name) {
            files.extend(of_address(name)?);
        } else if name.is_dir() {
            files.extend(of_directory(name)?);
        } else if !name.exists() && name.to_str().is_some_and(|name| name.contains(['*', '?', '['])) {
            files.extend(of_pattern(name)?);
        } else {
            files.push(name.clone());
        }
    }
    if files.len() > 1 {
        check_several(&files)?;
    }
    Ok(files)
}

/// The files of a directory, by their names. Hidden files are left out, as are those that `rerank` and Spark write beside their
/// outputs.
fn of_directory(directory: &Path) -> Result<Vec<PathBuf>> {
    let failed = || format!("cannot read the directory {}", directory.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).with_context(failed)? {
        let path = entry.with_context(failed)?.path();
        if !is_hidden(&path) && !path.is_dir() {
            files.push(path);
        }
    }
    files.sort();
    ensure!(
        !files.is_empty(),
        "{} is a directory without a file (hidden ones and directories in it are left out): name a file",
        directory.display()
    );
    Ok(files)
}

/// Whether a file of a directory is no input.
fn is_hidden(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with(['.', '_']) || BESIDE_OUTPUTS.iter().any(|ending| name.ends_with(ending))
}

/// The objects of an address: itself, those under a prefix as a directory has files, or those that a pattern matches.
fn of_address(address: &Path) -> Result<Vec<PathBuf>> {
    let is_pattern = address.to_str().is_some_and(|address| address.contains(['*', '?', '[']));
    let listed = match (store::is_prefix(address), is_pattern && !store::is_web(address)) {
        (true, _) => store::list(address)?,
        (false, true) => return Ok(store::matching(address)?.into_iter().map(|object| object.path).collect()),
        (false, false) => return Ok(vec![address.to_owned()]),
    };
    let files: Vec<PathBuf> = listed.into_iter().map(|object| object.path).filter(|path| !is_hidden(path)).collect();
    ensure!(
        !files.is_empty(),
        "{} has no objects (hidden ones and those of deeper prefixes are left out): name an object, or another prefix",
        address.display()
    );
    Ok(files)
}

/// The files that a pattern matches, by their names.
fn of_pattern(pattern: &Path) -> Result<Vec<PathBuf>> {
    let shown = pattern.display();
    let matches =
        glob::glob(&pattern.to_string_lossy()).with_context(|| format!("{shown} is no file and no pattern"))?;
    let files: Vec<PathBuf> = matches.collect::<Result<_, _>>().with_context(|| format!("cannot read {shown}"))?;
    let files: Vec<PathBuf> = files.into_iter().filter(|file| !file.is_dir()).collect();
    ensure!(!files.is_empty(), "there is no file {shown}, and none that this pattern matches");
    Ok(files)
}

fn check_several(files: &[PathBuf]) -> Result<()> {
    ensure!(
        files.iter().all(|file| file.as_os_str() != "-"),
        "`-` is standard input, which is an input of its own; name files, or pipe all of them (cat … | rerank)"
    );
    let mut known = std::collections::HashMap::new();
    for file in files {
        let place = file.canonicalize().unwrap_or_else(|_| file.clone());
        if let Some(earlier) = known.insert(place, file) {
            bail!("{} and {} are one file, which is read once; name it once", earlier.display(), file.display());
        }
    }
    Ok(())
}

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
