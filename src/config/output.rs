//! Resolves the options of the output.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use crate::cli::{InputArguments, OnError, OutputArguments};
use crate::column_types::ColumnTypes;
use crate::output::{Compression, Destination, Existing, Layout, OutputFormat, extension};
use crate::resume::Sidecar;
use crate::store;

/// Names of standard output. It is never opened by name, which would empty a file that it is redirected to.
const STDOUT: [&str; 4] = ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"];

/// The tag of a TREC run, if the user names none.
const TAG: &str = "rerank";

/// The output's path, and where it goes if that is an address; without a path, it is standard output.
pub(super) fn resolve_output(arguments: &OutputArguments) -> Result<(Option<PathBuf>, Option<Destination>)> {
    let path = arguments.output.as_deref().filter(|path| !is_stdout(path));
    let path = path.map(|path| store::written(path, "--output")).transpose()?;
    if let Some(prefix) = path.as_deref().filter(|path| store::is_prefix(path)) {
        bail!(
            "--output {}: it is a prefix of objects; name an object, or rank in parts with --shard",
            prefix.display()
        );
    }
    let destination = resolve_destination(arguments, path.as_deref())?;
    Ok((path, destination))
}

/// Where an output goes that is an object in a store.
pub(super) fn resolve_destination(arguments: &OutputArguments, path: Option<&Path>) -> Result<Option<Destination>> {
    let address = path.filter(|path| store::is_address(path));
    ensure!(
        address.is_some() || arguments.staging.is_none(),
        "--staging is for outputs in a store, and --output is none: leave it out"
    );
    address.map(|address| Destination::new(address.to_owned(), arguments.staging.as_deref())).transpose()
}

pub(super) fn resolve_stats(arguments: &OutputArguments) -> Result<Option<PathBuf>> {
    if let Some(path) = &arguments.stats {
        store::check_local(path, "--stats")?;
        ensure!(
            !is_stdout(path),
            "--stats needs a file: standard output is for rankings, and standard error for people"
        );
        let compressed = matches!(extension(path).as_deref(), Some("gz" | "zst" | "xz" | "bz2"));
        ensure!(!compressed, "--stats {}: the figures are not compressed; name it .json", path.display());
    }
    Ok(arguments.stats.clone())
}

/// What becomes of an output that exists. `path` is none for standard output.
pub(super) fn resolve_existing(arguments: &OutputArguments, path: Option<&Path>, is_dry_run: bool) -> Result<Existing> {
    match (arguments.resume, arguments.overwrite) {
        (true, _) => {
            let path = path.context(
                "--resume: what went to standard output can't be read back; name a file with --output, or leave --resume out",
            )?;
            let is_special = path.metadata().is_ok_and(|file| !file.is_file() && !file.is_dir());
            ensure!(
                !is_special,
                "--resume: {} is no file on a disk, and can't be read back; leave it out",
                path.display()
            );
            ensure!(!is_dry_run, "--resume and --dry-run: the cost is that of the whole input; leave one of them out");
            Ok(Existing::Resume)
        }
        (_, true) => Ok(Existing::Overwrite),
        _ => Ok(Existing::Refuse),
    }
}

pub(super) fn resolve_errors(arguments: &InputArguments) -> Result<Option<PathBuf>> {
    if let Some(path) = &arguments.errors {
        store::check_local(path, "--errors")?;
        ensure!(
            arguments.on_error == OnError::Skip,
            "--errors is for the records that are left out, and none is without --on-error skip: add that, or leave --errors out"
        );
        ensure!(!is_stdout(path), "--errors needs a file: standard output is for rankings");
        let compressed = matches!(extension(path).as_deref(), Some("gz" | "zst" | "xz" | "bz2"));
        ensure!(!compressed, "--errors {}: the file is not compressed; name it .jsonl", path.display());
    }
    Ok(arguments.errors.clone())
}

/// All files that are written beside the output, with the options that name them.
pub(super) fn others_written(
    output: Option<&Path>,
    stats: Option<&PathBuf>,
    errors: Option<&PathBuf>,
) -> Vec<(&'static str, PathBuf)> {
    let files = [
        ("the record of the run in --output", output.map(Sidecar::path)),
        ("--stats", stats.cloned()),
        ("--errors", errors.cloned()),
    ];
    files.into_iter().filter_map(|(name, path)| Some((name, path?))).collect()
}

pub(super) fn resolve_layout(arguments: &OutputArguments, path: Option<&Path>) -> Result<Layout> {
    let layout = layout_of((arguments.output_format, arguments.tag.as_deref()), !arguments.no_text, path)?;
    ensure!(
        layout.format != OutputFormat::Parquet || !arguments.resume,
        "--resume: a Parquet file that was broken off can't be continued, and appears under its name only when it is whole; write \
         JSONL, resume that, and convert it at the end, or start anew with --overwrite"
    );
    Ok(layout)
}

/// What an output looks like, by its options and its name.
pub(super) fn layout_of(
    (format, tag): (Option<OutputFormat>, Option<&str>),
    text: bool,
    path: Option<&Path>,
) -> Result<Layout> {
    let (compression, name) = match path {
        Some(path) => Compression::of(path)?,
        None => (Compression::None, Path::new("")),
    };
    let format = match format {
        Some(format) => format,
        None => {
            check_name(name)?;
            OutputFormat::of(name)
        }
    };
    if format == OutputFormat::Parquet {
        check_parquet(compression, path)?;
    }
    ensure!(
        tag.is_none() || format == OutputFormat::Trec,
        "--tag is the last column of a TREC run: leave it out, or add --output-format trec"
    );
    let types = ColumnTypes::default();
    Ok(Layout { format, compression, text, tag: tag.unwrap_or(TAG).to_owned(), types })
}

/// The note that JSONL is written to a file whose extension names another format, unless the user chose JSONL.
pub(super) fn note_on_name(format: Option<OutputFormat>, path: Option<&Path>) -> Option<String> {
    let path = path.filter(|_| format.is_none())?;
    let (_, name) = Compression::of(path).ok()?;
    if OutputFormat::of(name) != OutputFormat::Jsonl {
        return None;
    }
    let how = match extension(name)?.as_str() {
        "jsonl" | "ndjson" | "jsonlines" | "ldjson" => return None,
        "json" => "which is no JSON list (`jq -s .` makes it one); name it .jsonl, or add --output-format jsonl",
        _ => "as its extension is no format's; name it .jsonl, .csv, .tsv, .trec or .parquet, or add --output-format",
    };
    Some(format!("{} is written as JSONL, an object for each query on a line of its own, {how}", path.display()))
}

/// Refuses the extensions of formats that are not written.
fn check_name(name: &Path) -> Result<()> {
    if let Some(format @ ("feather" | "arrow" | "xlsx" | "xls" | "ods" | "avro" | "db" | "sqlite")) =
        extension(name).as_deref()
    {
        bail!(
            "--output {}: .{format} files are not written; name it .jsonl, .csv, .tsv, .trec or .parquet",
            name.display()
        );
    }
    Ok(())
}

/// Refuses what has no meaning for a Parquet file.
fn check_parquet(compression: Compression, path: Option<&Path>) -> Result<()> {
    ensure!(
        cfg!(feature = "parquet"),
        "this build of rerank writes no Parquet: build it with the feature `parquet`, or write JSONL"
    );
    ensure!(
        compression == Compression::None,
        "--output {}: Parquet is compressed inside its file: leave the second extension out",
        path.unwrap_or(Path::new("-")).display()
    );
    Ok(())
}

pub(super) fn is_stdout(path: &Path) -> bool {
    STDOUT.iter().any(|name| path.as_os_str() == *name)
}
