//! Resolves the options of `rerank merge`.

use anyhow::{Result, ensure};

use super::output::{is_stdout, layout_of, note_on_name};
use crate::cli::MergeArguments;
use crate::output::Existing;
use crate::shard::MergeOptions;
use crate::store;

/// Resolves the options.
///
/// # Errors
/// A sentence with the remedy for options that contradict each other.
pub fn resolve_merge(arguments: &MergeArguments) -> Result<MergeOptions> {
    let MergeArguments { directory, output, output_format, tag, overwrite, quiet: _ } = arguments;
    let directory = &store::directory(directory, "merge")?;
    store::check_local(output, "--output")?;
    ensure!(
        !is_stdout(output),
        "merge writes a file as a whole or not at all, and no standard output; name a file with --output"
    );
    ensure!(
        store::is_address(directory) || directory.is_dir(),
        "{} is no directory: name the one that workers with --shard wrote to",
        directory.display()
    );
    let layout = layout_of((*output_format, tag.as_deref()), true, Some(output))?;
    let existing = if *overwrite { Existing::Overwrite } else { Existing::Refuse };
    let note = note_on_name(*output_format, Some(output));
    Ok(MergeOptions { directory: directory.clone(), output: output.clone(), existing, layout, note })
}
