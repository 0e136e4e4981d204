//! Expands the names of inputs: a directory, a prefix of objects or a pattern stands for its files. What is left out is named, unless
//! nobody expects it to be read.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use super::aside::{Role, is_beside_output, is_hidden_from, role};
use crate::store::{self, Listing};

/// The files that are read, and what users should know of those that are not.
#[derive(Debug, Default)]
pub(super) struct Expanded {
    /// The files, in their order.
    pub(super) files: Vec<PathBuf>,
    /// What is left out.
    pub(super) notes: Vec<String>,
}

/// All files of these names, in their order.
///
/// # Errors
/// If a directory or a pattern has no file, or something that is neither read nor expected to be left out; if a file is named
/// twice, or standard input is one of several.
pub(super) fn expand(names: &[PathBuf]) -> Result<Expanded> {
    let mut all = Expanded::default();
    for name in names {
        if store::is_address(name) {
            all.add_address(name)?;
        } else if name.is_dir() {
            all.add_directory(name)?;
        } else if !name.exists() && name.to_str().is_some_and(is_pattern) {
            all.files.extend(of_pattern(name)?);
        } else {
            all.files.push(name.clone());
        }
    }
    if all.files.len() > 1 {
        check_several(&all.files)?;
    }
    Ok(all)
}

/// Whether a name that is no file stands for those that it matches.
pub(super) fn is_pattern(name: &str) -> bool {
    name.contains(['*', '?', '['])
}

impl Expanded {
    /// The files of a directory, by their names.
    fn add_directory(&mut self, directory: &Path) -> Result<()> {
        let failed = || format!("cannot read the directory {}", directory.display());
        let entries = fs::read_dir(directory).with_context(failed)?.map(|entry| Ok(entry?.path()));
        let mut paths = entries.collect::<std::io::Result<Vec<PathBuf>>>().with_context(failed)?;
        paths.sort();
        let data = self.without_asides(paths);
        if let Some(inner) = data.iter().find(|path| path.is_dir()) {
            bail!(has_directory(directory, inner, &data));
        }
        data.iter().try_for_each(|path| check_readable(path))?;
        ensure!(
            !data.is_empty(),
            "{} is a directory without a file (hidden ones, names that begin with `_` and records of runs are left out): name a file",
            directory.display()
        );
        self.files.extend(data);
        Ok(())
    }

    /// The objects of an address: itself, those under a prefix as a directory has files, or those that a pattern matches.
    fn add_address(&mut self, address: &Path) -> Result<()> {
        if store::is_prefix(address) {
            return self.add_prefix(address);
        }
        if store::is_web(address) || !address.to_str().is_some_and(is_pattern) {
            self.files.push(address.to_owned());
            return Ok(());
        }
        let matching = store::matching(address)?.into_iter().map(|object| object.path);
        let files: Vec<PathBuf> = matching.filter(|path| path == address || !is_beside_output(path)).collect();
        ensure!(!files.is_empty(), "{} matches only records of runs: name objects that are read", address.display());
        self.files.extend(files);
        Ok(())
    }

    fn add_prefix(&mut self, prefix: &Path) -> Result<()> {
        let Listing { objects, prefixes } = store::list(prefix)?;
        let files = self.without_asides(objects.into_iter().map(|object| object.path).collect());
        if let Some(inner) = self.without_asides(prefixes).first() {
            bail!(has_directory(prefix, inner, &files));
        }
        ensure!(
            !files.is_empty(),
            "{} has no objects (hidden ones, names that begin with `_` and records of runs are left out): name an object, or \
             another prefix",
            prefix.display()
        );
        self.files.extend(files);
        Ok(())
    }

    /// Those paths that are data; a note names others that somebody may take for data.
    fn without_asides(&mut self, paths: Vec<PathBuf>) -> Vec<PathBuf> {
        let doubtful: Vec<&PathBuf> = paths.iter().filter(|path| role(path) == Role::Doubtful).collect();
        if let Some((first, others)) = doubtful.split_first() {
            let others = match others.len() {
                0 => String::new(),
                count => format!(" and {count} more such name{} beside it", if count == 1 { "" } else { "s" }),
            };
            self.notes.push(format!(
                "{}{others}: left out, as the name begins with `_`; to read it, name it itself or with a pattern",
                first.display()
            ));
        }
        paths.into_iter().filter(|path| role(path) == Role::Data).collect()
    }
}

/// The message for a directory that has another one, or a prefix that has a deeper one, beside these files.
fn has_directory(outer: &Path, inner: &Path, files: &[PathBuf]) -> String {
    let (shown, outer) = (outer.display(), outer.to_string_lossy());
    let outer = outer.trim_end_matches('/');
    let pattern = pattern_of(files.iter().find(|file| !file.is_dir()).or(first_file(inner).as_ref()));
    format!(
        "{shown} has a directory in it, {}, whose files would be left out; name the files that are read with a pattern \
         ('{outer}/*/{pattern}', or '{outer}/{pattern}' for those of no directory in it), or name that directory",
        inner.display()
    )
}

/// A file of a directory.
fn first_file(directory: &Path) -> Option<PathBuf> {
    let mut files = fs::read_dir(directory).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    files.find(|file| file.is_file() && role(file) == Role::Data)
}

/// A pattern that matches files of this kind.
fn pattern_of(file: Option<&PathBuf>) -> String {
    match file.and_then(|file| file.extension()) {
        Some(ending) => format!("*.{}", ending.display()),
        None => "*".to_owned(),
    }
}

/// Refuses what may never end or never begin, where nobody has named it. A file that isn't there is reported when all are known.
fn check_readable(path: &Path) -> Result<()> {
    let is_special = path.metadata().is_ok_and(|file| !file.is_file() && !file.is_dir());
    ensure!(
        !is_special,
        "{} is no file on a disk, but a pipe, a socket or a device, which could be waited for without an end; remove it, or name \
         the files that are read",
        path.display()
    );
    Ok(())
}

/// The files that a pattern matches, by their names: those to which a shell would expand it, without records of runs.
fn of_pattern(pattern: &Path) -> Result<Vec<PathBuf>> {
    let (shown, text) = (pattern.display(), pattern.to_string_lossy());
    let matches = glob::glob(&text).with_context(|| format!("{shown} is no file and no pattern"))?;
    let found: Vec<PathBuf> = matches.collect::<Result<_, _>>().with_context(|| format!("cannot read {shown}"))?;
    let found = found.into_iter().filter(|path| !is_hidden_from(&text, path) && !is_beside_output(path));
    let (directories, files): (Vec<PathBuf>, Vec<PathBuf>) = found.partition(|path| path.is_dir());
    let entered: HashSet<&Path> = files.iter().flat_map(|file| file.ancestors()).collect();
    // `..` has no name of its own, and is matched by `.*`.
    let is_asked = |directory: &Path| directory.file_name().is_some() && role(directory) != Role::Aside;
    let unread = directories.iter().find(|directory| is_asked(directory) && !entered.contains(directory.as_path()));
    if let Some(directory) = unread {
        bail!(
            "{shown} matches {}{}, whose files would be left out; name files with a pattern, as in '{}/{}'",
            if files.is_empty() { "only directories, as " } else { "the directory " },
            directory.display(),
            text.trim_end_matches('/'),
            pattern_of(first_file(directory).as_ref())
        );
    }
    files.iter().try_for_each(|path| check_readable(path))?;
    ensure!(!files.is_empty(), "there is no file {shown}, and none that this pattern matches");
    Ok(files)
}

fn check_several(files: &[PathBuf]) -> Result<()> {
    ensure!(
        files.iter().all(|file| file.as_os_str() != "-"),
        "`-` is standard input, which is an input of its own; name files, or pipe all of them (cat … | rerank)"
    );
    let mut known = HashMap::new();
    for file in files {
        let place = file.canonicalize().unwrap_or_else(|_| file.clone());
        if let Some(earlier) = known.insert(place, file) {
            bail!("{} and {} are one file, which is read once; name it once", earlier.display(), file.display());
        }
    }
    Ok(())
}
