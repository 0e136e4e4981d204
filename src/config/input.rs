//! What the options of the input mean.

use std::io::IsTerminal;

use anyhow::{Result, ensure};

use crate::cli::InputArguments;
use crate::input::InputOptions;

pub(super) fn resolve_input(arguments: &InputArguments) -> Result<InputOptions> {
    let path = arguments.input.clone().filter(|path| path.as_os_str() != "-");
    ensure!(
        arguments.input.is_some() || !std::io::stdin().is_terminal(),
        "there is no input: name a file with --input, or pipe candidates into rerank (see --help)"
    );
    for path in [&path, &arguments.queries, &arguments.collection].into_iter().flatten() {
        ensure!(path.exists(), "there is no file {}", path.display());
    }
    Ok(InputOptions {
        path,
        format: arguments.input_format,
        columns: arguments.columns.clone().unwrap_or_default(),
        queries: arguments.queries.clone(),
        collection: arguments.collection.clone(),
    })
}
