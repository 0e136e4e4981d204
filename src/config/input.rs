//! Resolves the options of the input.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail, ensure};

use super::beir;
use super::expand::{Expanded, expand};
use super::files::{check_not_read, select};
use super::shard::ShardOptions;
use crate::checkpoint::ModelSource;
use crate::cli::{COMMANDS, InputArguments, OnError};
use crate::column_types::{Carrying, ColumnTypes};
use crate::input::{Columns, InputFormat, InputOptions, SharedTexts, TableOptions};
use crate::store;

/// How similar a name is to that of a command, at least, if that is suggested; 1 stands for the same name.
const SIMILAR: f64 = 0.8;

/// What is read, and what users should know of what is left out.
///
/// # Errors
/// A sentence with the remedy for options that contradict each other or name something that can't be read.
pub(super) fn resolve_input(
    arguments: &InputArguments,
    shard: Option<&ShardOptions>,
) -> Result<(InputOptions, Vec<String>)> {
    let named = arguments.files.iter().chain(&arguments.input);
    let named = named.map(|path| store::public(path)).collect::<Result<Vec<PathBuf>>>()?;
    named.iter().try_for_each(|path| check_no_model(path))?;
    let Expanded { mut files, notes } = expand(&named)?;
    if let Some(directory) = shard.and_then(|shard| shard.address.as_deref().or(shard.directory.as_deref())) {
        check_not_read(directory, &named, &files)?;
    }
    let path = if files.len() == 1 { files.pop() } else { None }.filter(|path| path.as_os_str() != "-");
    ensure!(
        !named.is_empty() || !std::io::stdin().is_terminal(),
        "there is no input: name a file, or pipe candidates into rerank (see --help)"
    );
    let [queries, collection] = match &arguments.beir {
        Some(folder) if store::is_address(folder) => {
            bail!("--beir is a local directory; name objects with --queries and --collection")
        }
        Some(folder) => [beir::texts(folder, "queries")?, beir::texts(folder, "corpus")?].map(Some),
        None => [named_file(&arguments.queries)?, named_file(&arguments.collection)?],
    };
    if files.len() > 1 {
        check_several(arguments.group, files.len(), [&queries, &collection])?;
    }
    for path in files.iter().chain([&path, &queries, &collection].into_iter().flatten()) {
        // The files are not opened here: opening a named pipe would take its content away from the reader.
        let is_of_beir =
            arguments.beir.is_some() && [&queries, &collection].iter().any(|text| text.as_ref() == Some(path));
        if !is_of_beir {
            check_file(path)?;
        }
    }
    let skips = arguments.on_error == OnError::Skip;
    let (files, selection) = select(files, shard, skips)?;
    let options = InputOptions {
        path,
        files,
        selection,
        format: arguments.input_format,
        columns: resolve_columns(arguments)?,
        tables: TableOptions { delimiter: arguments.delimiter, quotes: arguments.quotes },
        group: arguments.group,
        queries,
        collection,
        texts: SharedTexts::default(),
        known_fields_only: false,
        carrying: Carrying::AsJson,
        types: ColumnTypes::default(),
    };
    Ok((options, notes))
}

/// The names of the input's columns.
fn resolve_columns(arguments: &InputArguments) -> Result<Columns> {
    ensure!(
        arguments.columns.as_ref().is_none_or(|columns| !columns.is_empty() || !columns.in_order().is_empty()),
        "--columns names no field; name some, as in text=passage, or leave it out"
    );
    let columns = arguments.columns.clone().unwrap_or_default();
    let (no_header, in_order) = (arguments.no_header, columns.in_order());
    ensure!(
        !no_header || !in_order.is_empty(),
        "--no-header needs the names of all columns in their order, as in --columns query_id,id,query,text"
    );
    ensure!(
        no_header || in_order.is_empty(),
        "--columns {}: a name is of the form FIELD=NAME, as in text=passage; names in the order of the columns are for a \
         table without a header, with --no-header",
        in_order.join(",")
    );
    Ok(columns)
}

/// Refuses what does not fit several inputs.
fn check_several(group: bool, files: usize, texts: [&Option<PathBuf>; 2]) -> Result<()> {
    ensure!(
        !group,
        "--group gathers the rows of one file, and {files} are read: concatenate them (cat … | rerank --group), or leave it out"
    );
    let mut texts = texts.into_iter().flatten();
    match texts.find(|path| path.exists() && !path.is_file() && !path.is_dir()) {
        Some(path) => {
            bail!("{} is no file on a disk, and is read once for each of {files} inputs: name a file", path.display())
        }
        None => Ok(()),
    }
}

/// A file that an option names, if it is given.
pub(super) fn named_file(path: &Option<PathBuf>) -> Result<Option<PathBuf>> {
    path.as_deref().map(|path| store::public(path).map(or_stdin)).transpose()
}

/// Refuses a file that is not there, and a directory. An object in a store is asked for when it is opened.
pub(super) fn check_file(path: &Path) -> Result<()> {
    let shown = path.display();
    if store::is_address(path) {
        ensure!(!store::is_prefix(path) || store::is_web(path), "{shown} is a prefix of objects: name an object");
        return Ok(());
    }
    ensure!(path.exists(), "there is no file {shown}");
    ensure!(!path.is_dir(), "{shown} is a directory: name a file");
    Ok(())
}

/// Refuses what is a model's name where an input's is expected.
fn check_no_model(path: &Path) -> Result<()> {
    let shown = path.display();
    let is_model = ["config.json", "modules.json"].iter().any(|name| path.join(name).is_file());
    ensure!(!is_model, "{shown} is a model's directory, and no input; name it with --model {shown}");
    if store::is_address(path) || path.exists() || path.as_os_str() == "-" || InputFormat::of_name(path).is_some() {
        return Ok(());
    }
    let id = path.to_str().and_then(|text| ModelSource::parse(text, "main", true).ok());
    ensure!(
        !matches!(id, Some(ModelSource::Hub { .. } | ModelSource::Fake)),
        "there is no file {shown}; if it is a model, name it with --model {shown}"
    );
    let similarity = |command: &&str| path.to_str().map_or(0., |name| strsim::jaro_winkler(command, name));
    let near = COMMANDS.iter().copied().max_by(|one, other| similarity(one).total_cmp(&similarity(other)));
    if let Some(command) = near.filter(|command| similarity(command) >= SIMILAR) {
        bail!("there is no file {shown}; did you mean the command, `rerank {command}`?");
    }
    Ok(())
}

/// `-` is standard input, under the name by which it can be opened like any file.
pub(super) fn or_stdin(path: PathBuf) -> PathBuf {
    if path.as_os_str() == "-" { PathBuf::from("/dev/stdin") } else { path }
}
