//! What the options of the output mean.

use std::path::Path;

use anyhow::{Result, bail, ensure};
use same_file::Handle;

use crate::cli::OutputArguments;
use crate::input::InputOptions;
use crate::output::{Layout, OutputFormat};

pub(super) fn resolve_layout(arguments: &OutputArguments, path: Option<&Path>) -> Result<Layout> {
    let extension = path.and_then(Path::extension).map(|extension| extension.to_string_lossy().to_lowercase());
    if let (Some(path), Some("gz" | "zst")) = (path, extension.as_deref()) {
        bail!("--output {}: output is not compressed here; pipe it through gzip or zstd", path.display());
    }
    let by_extension = || path.map_or(OutputFormat::Jsonl, OutputFormat::of);
    Ok(Layout { format: arguments.output_format.unwrap_or_else(by_extension), text: !arguments.no_text })
}

/// Refuses to write over what is read, or two things into one file. Files are told apart by what they are on disk, so that
/// links, and a redirected standard input, count.
pub(super) fn check_distinct(input: &InputOptions, output: Option<&Path>, stats: Option<&Path>) -> Result<()> {
    let stdin = input.path.is_none().then(Handle::stdin).and_then(Result::ok);
    let files = [&input.path, &input.queries, &input.collection].into_iter().flatten();
    let read: Vec<Handle> = files.filter_map(|path| Handle::from_path(path).ok()).chain(stdin).collect();
    for written in [output, stats].into_iter().flatten().filter(|path| path.is_file()) {
        let handle = Handle::from_path(written)?;
        ensure!(
            !read.contains(&handle),
            "{} is read and would be written over; give the output another name",
            written.display()
        );
    }
    if let (Some(output), Some(stats)) = (output, stats) {
        let same = output == stats || same_file::is_same_file(output, stats).unwrap_or(false);
        ensure!(!same, "--output and --stats name the same file, {}", stats.display());
    }
    Ok(())
}
