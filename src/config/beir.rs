//! The files of a directory in BEIR's layout: text, or Parquet as the Hugging Face hub exports it.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail, ensure};

use crate::input::parquet_files;

/// The extensions of compressed text.
const PACKED: [&str; 5] = ["", ".gz", ".zst", ".xz", ".bz2"];

/// Directories in which exports have judgements: the configuration of mteb's datasets is called `default`, and its folder `data`
/// where it is the only one.
const FOLDERS_OF_QRELS: [&str; 3] = ["qrels", "default", "data"];

/// The file of the texts of `queries` or the `corpus`, or the directory of its parts.
///
/// # Errors
/// If there is none, or there are two, or a part is missing.
pub(super) fn texts(folder: &Path, name: &str) -> Result<PathBuf> {
    let text = PACKED.iter().map(|packed| folder.join(format!("{name}.jsonl{packed}"))).find(|path| path.is_file());
    let parquet = Some(folder.join(format!("{name}.parquet"))).filter(|path| path.is_file());
    let parts = parts(&folder.join(name), |_| true)?;
    let found: Vec<PathBuf> = text.into_iter().chain(parquet).chain(parts).collect();
    let shown = folder.display();
    match found.as_slice() {
        [only] => Ok(only.clone()),
        [] => bail!(
            "--beir {shown}: there is neither {shown}/{name}.jsonl nor {shown}/{name}.parquet nor a Parquet file in {shown}/{name}; a \
             directory of BEIR has queries and corpus in one of these forms"
        ),
        several => bail!("--beir {shown}: {}; remove one of them, or use --queries and --collection", both(several)),
    }
}

/// The judgements; none, if the directory has none.
///
/// # Errors
/// If there are two, or they stand in several files.
pub(super) fn qrels(folder: &Path) -> Result<Option<PathBuf>> {
    let mut found: Vec<PathBuf> =
        ["qrels/test.tsv"].iter().map(|name| folder.join(name)).filter(|path| path.is_file()).collect();
    for name in FOLDERS_OF_QRELS {
        found.extend(parts(&folder.join(name), |name| name.starts_with("test-") || name == "test.parquet")?);
    }
    let shown = folder.display();
    match found.as_slice() {
        [] => Ok(None),
        [only] if only.is_dir() => bail!(
            "--beir {shown}: the judgements stand in several files in {}; write them as one, and name that with --qrels",
            only.display()
        ),
        [only] => Ok(Some(only.clone())),
        several => bail!("--beir {shown}: {}; name one with --qrels", both(several)),
    }
}

fn both(found: &[PathBuf]) -> String {
    let names: Vec<String> = found.iter().map(|path| path.display().to_string()).collect();
    format!("there are both {}", names.join(" and "))
}

/// The Parquet file of a directory with such a name, or the directory itself, if it has the parts of one; none, if it has no such
/// file.
fn parts(directory: &Path, is_meant: impl Fn(&str) -> bool) -> Result<Option<PathBuf>> {
    let name_of = |path: &PathBuf| path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
    let files: Vec<PathBuf> = parquet_files(directory)?.into_iter().filter(|path| is_meant(&name_of(path))).collect();
    let names: Vec<String> = files.iter().map(name_of).collect();
    let shown = directory.display();
    let found: Vec<(&str, u32, u32)> = names.iter().filter_map(|name| part(name)).collect();
    match (files.as_slice(), found.as_slice()) {
        ([], _) => return Ok(None),
        ([only], []) => return Ok(Some(only.clone())),
        _ => {}
    }
    let &(stem, _, count) = found.first().unwrap_or(&("", 0, 0));
    let are_of_one = found.len() == files.len() && found.iter().all(|part| (part.0, part.2) == (stem, count));
    ensure!(
        are_of_one,
        "{shown} has several Parquet files, which are not parts of one ({}): name what is meant with --queries, --collection and \
         --qrels",
        names.join(", ")
    );
    if let Some(missing) = (0..count).find(|index| found.iter().all(|part| part.1 != *index)) {
        bail!("{shown} has {} of {count} parts: {stem}-{missing:05}-of-{count:05}.parquet is missing", found.len());
    }
    Ok(Some(match files.as_slice() {
        [only] => only.clone(),
        _ => directory.to_owned(),
    }))
}

/// What a name such as `corpus-00000-of-00002.parquet` consists of.
fn part(name: &str) -> Option<(&str, u32, u32)> {
    let (rest, count) = name.strip_suffix(".parquet")?.rsplit_once("-of-")?;
    let (stem, index) = rest.rsplit_once('-')?;
    Some((stem, index.parse().ok()?, count.parse().ok()?))
}
