//! What the rows of a file of columns are: pairs, queries with lists of candidates, or the rows of a run.

use anyhow::Result;

use super::columnar::{Encodings, Kind, Selection, Table};
use super::detect::InputFormat;
use super::names::{Field, Names, is_same_name, lists_of_ids};
use super::source::Source;
use super::{InputOptions, columnar};
use crate::column_types::Column;
use crate::exit::UsageError;

/// The columns of a TREC run that have no meaning.
const OF_TREC: [&str; 3] = ["q0", "iter", "tag"];

/// The lines that rows become, and their format.
pub struct Prepared {
    /// The lines.
    pub source: Source,
    /// JSONL; or that of the file, if its rows are those of a run.
    pub format: InputFormat,
    /// What the user should know of columns that are left out or change their types.
    pub notes: Vec<String>,
}

/// Chooses the columns that are read, and what their rows become.
///
/// # Errors
/// If the options do not fit the file, or a column that is needed is missing or has a type that can't be used.
pub fn prepare(table: Table, options: &InputOptions) -> Result<Prepared> {
    let own = if table.kind() == Kind::Parquet { InputFormat::Parquet } else { InputFormat::Arrow };
    if options.format.is_some_and(|format| format != own) {
        let problem = format!("{} is {} file: leave --input-format out", table.name(), table.kind().name());
        return Err(UsageError::new(problem).into());
    }
    check_named(&table, options)?;
    let names = Names::new(&options.columns);
    if !is_run(&table, options, &names) {
        let names = if options.collection.is_some() { names.of_ids(&options.columns) } else { names };
        let note_on_types = columnar::keep_types(&table, options);
        let encodings = Encodings::new(table.schema(), options);
        let selection =
            Selection::new(&table, &names, encodings, options.known_fields_only)?.carrying(options.carrying);
        let notes: Vec<String> = selection.note.iter().cloned().chain(note_on_types).collect();
        return Ok(Prepared { source: table.records(&selection)?, format: InputFormat::Jsonl, notes });
    }
    let ids = ids(&names);
    for (names, what) in [(names.of(Field::QueryId), "queries"), (ids.as_slice(), "documents")] {
        if !table.has(names) {
            let listed = names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            return Err(UsageError::new(format!(
                "{} is read as a run and has no column with the identifiers of {what} ({listed}): name it with --columns; its columns \
                 are {}",
                table.name(),
                columnar::listed(table.schema())
            ))
            .into());
        }
    }
    let cells = [names.of(Field::QueryId), ids.as_slice(), names.of(Field::Rank), names.of(Field::Score)];
    Ok(Prepared { source: table.cells(&cells, false)?, format: own, notes: Vec::new() })
}

/// Refuses a name in `--columns` that no column has, nor a field in one.
fn check_named(table: &Table, options: &InputOptions) -> Result<(), UsageError> {
    let schema = table.schema();
    let is_missing =
        |(_, name): &(Field, &str)| !schema.flattened_fields().iter().any(|column| is_same_name(name, column.name()));
    match options.columns.iter().find(is_missing) {
        None => Ok(()),
        Some((field, name)) => Err(UsageError::new(format!(
            "{}: --columns {}={name} names no column; the columns are {}",
            table.name(),
            field.name(),
            columnar::listed(schema)
        ))),
    }
}

/// Whether the rows are those of a run: a query and a document by their identifiers, and perhaps a rank and a score. Where files of texts
/// are named, rows that have more are read like those of other formats, which obeys or carries it.
fn is_run(table: &Table, options: &InputOptions, names: &Names) -> bool {
    let has = |field| table.has(names.of(field));
    if has(Field::Query) || has(Field::Text) || has(Field::Candidates) {
        return false;
    }
    let is_asked = options.queries.is_some() || options.collection.is_some();
    let is_of_run = |column: &Column| {
        let is_named = |field: &Field| names.is_of(*field, column.name());
        let is_known = [Field::QueryId, Field::Id, Field::Rank, Field::Score].iter().any(is_named)
            || OF_TREC.iter().any(|name| is_same_name(name, column.name()));
        is_known && !column.data_type().is_nested()
    };
    match is_asked {
        true => table.schema().fields().iter().all(|column| is_of_run(column)),
        false => has(Field::QueryId) && table.has(&ids(names)),
    }
}

/// The names of a column with identifiers of documents, one or a list of them in each row.
fn ids(names: &Names) -> Vec<String> {
    names.of(Field::Id).iter().cloned().chain(lists_of_ids().map(str::to_owned)).collect()
}
