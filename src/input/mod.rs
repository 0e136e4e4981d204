//! Stage 1, read: a file or standard input becomes a stream of [`Group`]s.
//!
//! ```text
//! source ─ bytes ─► lines | elements ─► json ───┐
//!                   rows ─────────────► table ──┼─ Entry ─► looked_up ─► grouping ─ Event ─► the caller
//!                   lines ────────────► trec ───┤               │
//!                   one JSON object ──► scores ─┘      queries, collection
//! ```
//!
//! Files of columns (Parquet, Arrow) become lines first: `columnar`.
//!
//! `detect` determines the format, and `names` has the names that fields have in the files of common tools. Memory holds one
//! query, and a few bytes of every earlier one, to find an id that comes back.

// What stands in files can end nothing but the record or the run that it is in: no panic.
#![cfg_attr(
    not(test),
    warn(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::string_slice,
        clippy::get_unwrap,
        clippy::panic,
        clippy::unreachable,
        clippy::todo,
        clippy::unimplemented
    )
)]

mod adjacent;
mod assembly;
mod candidate;
mod candidates;
mod collection;
#[cfg(feature = "parquet")]
mod columnar;
#[cfg(feature = "parquet")]
mod columns;
mod compression;
mod content;
mod detect;
mod dialect;
mod document;
mod elements;
mod entry;
mod findings;
mod first_seen;
mod foreign;
mod gather;
mod grouping;
mod header;
mod json;
mod lines;
mod looked_up;
mod missing;
mod mixed_ids;
mod names;
mod notes;
mod open_file;
mod original_ranks;
mod parts;
mod position;
mod queries;
mod row;
mod run_line;
mod scores;
mod selection;
mod several;
mod skim;
mod source;
mod syntax;
mod table;
mod table_reader;
mod text_table;
mod texts;
mod trec;
mod values;
mod whole;
mod without_texts;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Result, anyhow, bail};

pub use self::detect::InputFormat;
pub(crate) use self::detect::name_without_extensions;
pub(crate) use self::dialect::Dialect;
pub use self::dialect::{Delimiter, Quotes, TableOptions};
pub(crate) use self::entry::{rank, score, too_long, utf_8, utf_8_of};
pub(crate) use self::first_seen::hash;
pub(crate) use self::lines::Lines;
pub(crate) use self::names::is_same_name;
pub use self::names::{Columns, Field, IDS_OF_TEXTS, Names};
pub(crate) use self::parts::parquet_files;
pub use self::position::Position;
pub(crate) use self::run_line::RunFormat;
pub(crate) use self::scores::{ScoreSink, read_scores};
pub use self::selection::Selection;
pub use self::several::InputFile;
pub(crate) use self::source::{Opened, Source, read_error};
pub(crate) use self::syntax::not_json;
pub(crate) use self::table_reader::TableReader;
pub use self::table_reader::WRITTEN_COLUMNS;
#[cfg(feature = "parquet")]
pub(crate) use self::values::Object;
pub use self::whole::{Whole, WholeInput};

pub(crate) use self::collection::Collection;
use self::entry::Entries;
use self::gather::Regrouped;
use self::grouping::Grouping;
use self::json::{Records, Values};
use self::looked_up::LookedUp;
use self::open_file::OpenFile;
pub(crate) use self::queries::Queries;
use self::several::OpenInput;
use self::source::Empty;
use self::texts::Elsewhere;
pub use self::texts::SharedTexts;
use crate::column_types::{Carrying, ColumnTypes};
use crate::exit::UsageError;
use crate::record::{BadRecord, Group};
use crate::store;

/// The longest record in bytes: a line, a JSON value, a table's row. A longer one is refused before it is held.
pub const MAX_RECORD_BYTES: usize = 64 << 20;

/// What to read.
#[derive(Clone, Debug, Default)]
pub struct InputOptions {
    /// The file; `None` is standard input. Compressed ones are recognised by their content.
    pub path: Option<PathBuf>,
    /// The files, where there are several; they are read one after the other as one input, and there is no `path` then.
    pub files: Vec<InputFile>,
    /// The queries that are read.
    pub selection: Selection,
    /// The format; `None` determines it by the name, or else by the first line.
    pub format: Option<InputFormat>,
    /// The input's own names for the fields.
    pub columns: Columns,
    /// How the cells of tables are written, as far as the options determine it.
    pub tables: TableOptions,
    /// Whether rows of one query are gathered wherever they stand, in memory.
    pub group: bool,
    /// The texts of queries that are ids alone, as in a run: JSONL or a table.
    pub queries: Option<PathBuf>,
    /// The texts of candidates that are ids alone, as in a run: JSONL or a table.
    pub collection: Option<PathBuf>,
    /// These files, which all files of the input share.
    pub texts: SharedTexts,
    /// Whether fields that are not known are left out where they need not be read: columns of Parquet and Arrow files.
    pub known_fields_only: bool,
    /// What becomes of carried columns of Parquet and Arrow files.
    pub carrying: Carrying,
    /// Their types, if they are kept; known when the input is opened.
    pub types: ColumnTypes,
}

impl InputOptions {
    /// Whether the input is a file on a disk or an object in a store, or several, and no pipe or standard input.
    pub fn is_stored(&self) -> bool {
        let is_stored = |path: &Path| store::is_address(path) || path.is_file();
        match self.files.as_slice() {
            [] => self.path.as_deref().is_some_and(is_stored),
            files => files.iter().all(|file| is_stored(&file.path)),
        }
    }
}

/// The next thing that is read from the input.
#[derive(Clone, Debug)]
pub enum Event {
    /// A query with its usable candidates. The others were reported before.
    Group(Group),
    /// A candidate, a query or a record that can be left out.
    Bad(BadRecord),
    /// How something in the file was interpreted, reported to the user; a sentence that names the place.
    Note(String),
}

/// What is read where the output has queries.
#[derive(Debug)]
pub enum Skimmed {
    /// The next of these queries, which stands here in the input ([`crate::record::Query::position`]).
    Finished(u64),
    /// Something else; this may also be the next of these queries, read as any other.
    Event(Event),
}

/// The events of an input, in its order. An error is the last one: nothing after it can be read.
pub struct Events {
    position: Option<Position>,
    grouping: Grouping,
    whole: Whole,
}

impl Events {
    /// The next event, where the output has queries: these are the hashes of the ones that come next, in their order. Of such a
    /// query, no more is read than what identifies it, as far as the format allows that. It must be known that all its records
    /// can be used.
    ///
    /// Returns none at the end.
    pub fn skim(&mut self, finished: &[u64]) -> Option<Result<Skimmed>> {
        self.grouping.skim(finished)
    }

    /// How far the file has been read; `None` for a pipe.
    pub fn position(&self) -> Option<Position> {
        self.position.clone()
    }

    /// What the whole input has, for when it is read.
    pub fn whole(&self) -> Whole {
        self.whole.clone()
    }
}

impl Iterator for Events {
    type Item = Result<Event>;

    fn next(&mut self) -> Option<Result<Event>> {
        self.grouping.next()
    }
}

/// Opens an input and reads as much as determines its format; of a table the header, of a run its lines, and the queries and the
/// collection's index where they are named.
///
/// # Errors
/// A file that is missing, unreadable, empty or truncated; a format that can't be recognised; options that don't fit
/// the format; a column that is missing.
pub fn open(options: &InputOptions) -> Result<Events> {
    if !options.files.is_empty() {
        let input = OpenInput::several(options);
        let position = Some(input.position());
        #[cfg_attr(not(feature = "parquet"), allow(unused_mut))]
        let mut grouping = Grouping::new(input, options.selection);
        #[cfg(feature = "parquet")]
        columnar::keep_types_of_all(options).into_iter().for_each(|note| grouping.note(note));
        return Ok(Events { position, grouping, whole: Whole::default() });
    }
    Ok(read_opened(Opened::open(options.path.as_deref())?, options)?.events(options))
}

/// As [`open`], of a stream that the caller has: its name stands in messages, and the path of the options is not opened.
///
/// # Errors
/// As [`open`].
pub fn open_stream(name: &str, stream: Box<dyn Read + Send>, options: &InputOptions) -> Result<Events> {
    Ok(read_opened(Opened::of_stream(name.into(), stream)?, options)?.events(options))
}

fn read_opened(opened: Opened, options: &InputOptions) -> Result<OpenFile> {
    match opened {
        Opened::Text(source) => read(source, options, MAX_RECORD_BYTES),
        #[cfg(feature = "parquet")]
        Opened::Columns(table) => {
            let columns::Prepared { source, format, notes } = columns::prepare(table, options)?;
            Ok(OpenFile { notes, ..records(source, format, options, MAX_RECORD_BYTES)? })
        }
    }
}

fn read(mut source: Source, options: &InputOptions, limit: usize) -> Result<OpenFile> {
    let first_line = source.peek_line(limit)?;
    let name = source.name.clone();
    if first_line.trim_ascii().is_empty() {
        bail!(Empty(name));
    }
    let format = format(options, &first_line).ok_or_else(|| unknown_format(&name, &first_line, options))?;
    if format.is_columnar() {
        return Err(UsageError::new(no_columns(&name)).into());
    }
    let is_run = options.format.is_none() && format.is_json() && scores::are_in(&mut source, &first_line)?;
    let format = if is_run { InputFormat::Scores } else { format };
    records(source, format, options, limit)
}

/// The records of a source in a format that is known. Rows of a run in a file of columns have that file's format, all other rows of
/// such files are JSONL.
fn records(source: Source, format: InputFormat, options: &InputOptions, limit: usize) -> Result<OpenFile> {
    let name = source.name.clone();
    let whole = Whole::of(options.selection);
    let source = Source { reader: whole.reader(source.reader), ..source };
    check(format, options, &name).map_err(|problem| UsageError::new(problem.to_string()))?;
    texts::check_run(format, options, &name)?;
    let (mut position, mut unit) = (source.position.clone(), source.findings.unit());
    // A run is read as a whole, which a mistyped name of a file of texts should not wait for.
    let has_texts = Elsewhere::of(options).any();
    let notes = if has_texts { options.texts.open(options, format.is_table(), limit)? } else { Vec::new() };
    let mut entries: Box<dyn Entries> = match format {
        InputFormat::Jsonl | InputFormat::Json => {
            let records = Records::new(Values::of(format, source, limit), &options.columns, limit);
            Box::new(if options.collection.is_some() { records.of_ids(&options.columns) } else { records })
        }
        InputFormat::Csv => Box::new(table::Rows::open(source, Dialect::CSV, options, limit)?),
        InputFormat::Tsv => Box::new(table::Rows::open(source, Dialect::TSV, options, limit)?),
        InputFormat::Scores => {
            let run = scores::ScoredRun::open(source)?;
            (position, unit) = (Some(run.position()), "query");
            Box::new(run)
        }
        InputFormat::Trec
        | InputFormat::Msmarco
        | InputFormat::Tevatron
        | InputFormat::Parquet
        | InputFormat::Arrow => {
            let run = texts::open_run(source, format, options, limit)?;
            position = run.position().or(position);
            Box::new(run)
        }
    };
    if options.group && !format.is_run() {
        // The file is read as a whole first, so its position does not show how many of its queries are done.
        position = None;
        entries = Box::new(Regrouped::new(name.to_string(), entries));
    }
    if has_texts {
        entries = Box::new(LookedUp::new(Arc::clone(&name), entries, options.texts.clone(), notes));
    }
    Ok(OpenFile { name, unit, position, entries, notes: Vec::new(), whole })
}

fn format(options: &InputOptions, first_line: &[u8]) -> Option<InputFormat> {
    let by_name = options.path.as_deref().and_then(InputFormat::of_name).filter(|format| !format.is_columnar());
    let by_delimiter = options.tables.delimiter.map(|delimiter| match delimiter {
        Delimiter(b'\t') => InputFormat::Tsv,
        _ => InputFormat::Csv,
    });
    let by_content = || InputFormat::of_content(first_line);
    let format = options.format.or(by_name).or(by_delimiter.filter(|_| by_content().is_none_or(InputFormat::is_table)));
    let format = format.or_else(by_content)?;
    let is_explicit = options.format.is_some() || !options.columns.in_order().is_empty();
    match format {
        // rank_llm publishes lists under names that end in .jsonl.
        InputFormat::Jsonl if first_line.trim_ascii_start().starts_with(b"[") => Some(InputFormat::Json),
        // Runs are often called .tsv: their lines are no header of a table.
        InputFormat::Tsv if !is_explicit => InputFormat::of_run(first_line).or(Some(format)),
        format => Some(format),
    }
}

/// The message that a file holds no columns though its format was named as one that does.
fn no_columns(name: &str) -> String {
    match cfg!(feature = "parquet") {
        true => format!("{name} is neither a Parquet nor an Arrow file: leave --input-format out"),
        false => {
            format!("{name}: this build of rerank reads neither Parquet nor Arrow: build it with the feature `parquet`")
        }
    }
}

fn unknown_format(name: &str, first_line: &[u8], options: &InputOptions) -> anyhow::Error {
    if let Some(delimiter) = table::suggested_delimiter(first_line, options) {
        return anyhow!("{name} is a table whose columns stand between {0}: use --delimiter {0}", delimiter.typed());
    }
    anyhow!(
        "the format of {name} can't be recognised: use --input-format jsonl, json, csv, tsv, trec, msmarco, tevatron or scores"
    )
}

/// Refuses options that have no meaning for an input of this format.
fn check(format: InputFormat, options: &InputOptions, name: &str) -> Result<()> {
    let TableOptions { delimiter, quotes } = options.tables;
    if !format.is_table() && !options.columns.in_order().is_empty() {
        bail!("--no-header belongs to CSV and TSV, {name} is neither: leave it out or use --input-format tsv");
    }
    let may_be_of_texts = format.is_run() || Elsewhere::of(options).any();
    if !format.is_table() && !may_be_of_texts && (delimiter.is_some() || quotes.is_some()) {
        bail!("--delimiter and --quotes belong to tables, {name} is none: leave them out or use --input-format csv");
    }
    Ok(())
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
