//! Stage 1, read: a file or standard input becomes a stream of [`Group`]s.
//!
//! ```text
//! source ─ bytes ─► lines | elements ─► json ─┐
//!                   (csv crate) ──────► table ─┼─ Entry ─► grouping ─ Event ─► the caller
//!                   lines ────────────► trec ──┘
//!                      queries, collection ─┘
//! ```
//!
//! `detect` chooses the road, `names` knows what the field calls things. Memory is one query and a few bytes of every
//! earlier one, to find an id that comes back.

mod assembly;
mod candidate;
mod collection;
mod detect;
mod document;
mod elements;
mod entry;
mod grouping;
mod header;
mod json;
mod lines;
mod names;
mod notes;
mod position;
mod queries;
mod seen;
mod source;
mod table;
mod tally;
mod trec;
mod values;

use std::path::PathBuf;

use anyhow::{Context, Result, anyhow, bail};

pub use self::detect::InputFormat;
pub use self::names::{Columns, Field};
pub use self::position::Position;

use self::collection::Collection;
use self::elements::Elements;
use self::entry::Entry;
use self::grouping::Grouping;
use self::json::{Records, Values};
use self::lines::Lines;
use self::queries::Queries;
use self::source::Source;
use crate::record::{BadRecord, Group};

/// The longest record in bytes: a line, a JSON value, a table's row. A longer one is refused before it is held.
pub const MAX_RECORD_BYTES: usize = 64 << 20;

/// What to read.
#[derive(Clone, Debug, Default)]
pub struct InputOptions {
    /// The file; `None` is standard input. `.gz` and `.zst` are told by their content.
    pub path: Option<PathBuf>,
    /// The format; `None` is told by the name, else by the first line.
    pub format: Option<InputFormat>,
    /// The input's own names for the fields.
    pub columns: Columns,
    /// The queries of a TREC run: JSONL or `id<TAB>text`.
    pub queries: Option<PathBuf>,
    /// The documents of a TREC run: JSONL or `id<TAB>text[<TAB>title]`.
    pub collection: Option<PathBuf>,
}

/// What the input tells next.
#[derive(Clone, Debug)]
pub enum Event {
    /// A query with its usable candidates. What was wrong with the others was told before.
    Group(Group),
    /// A candidate, a query or a record that can be left out.
    Bad(BadRecord),
    /// How something in the file was understood, for the user to know; a sentence that names the place.
    Note(String),
}

/// The events of an input, in its order. An error ends them: nothing behind it can be read.
pub struct Events {
    position: Option<Position>,
    grouping: Grouping,
}

impl Events {
    /// How far the file has been read; `None` for a pipe.
    pub fn position(&self) -> Option<Position> {
        self.position.clone()
    }
}

impl Iterator for Events {
    type Item = Result<Event>;

    fn next(&mut self) -> Option<Result<Event>> {
        self.grouping.next()
    }
}

/// Opens an input and reads as much as tells its format; of a table the header, of a TREC run the queries and the
/// collection's index.
///
/// # Errors
/// A file that is missing, unreadable, empty or truncated; a format that can't be told; options that don't fit the
/// format; a column that is missing.
pub fn open(options: &InputOptions) -> Result<Events> {
    read(Source::open(options.path.as_deref())?, options, MAX_RECORD_BYTES)
}

fn read(mut source: Source, options: &InputOptions, limit: usize) -> Result<Events> {
    let first_line = source.peek_line(limit)?;
    let name = source.name.clone();
    if first_line.trim_ascii().is_empty() {
        bail!("{name} is empty: it holds no queries");
    }
    let format = format(options, &first_line).ok_or_else(|| {
        anyhow!("the format of {name} can't be told: say --input-format jsonl, json, csv, tsv or trec")
    })?;
    if format != InputFormat::Trec && (options.queries.is_some() || options.collection.is_some()) {
        bail!(
            "--queries and --collection belong to a TREC run, {name} is none: leave them out or say --input-format trec"
        );
    }
    let position = source.position.clone();
    let entries: Box<dyn Iterator<Item = Result<Entry>> + Send> = match format {
        InputFormat::Jsonl => Box::new(Records::new(Values::Lines(Lines::new(source, limit)), &options.columns, limit)),
        InputFormat::Json => {
            Box::new(Records::new(Values::Elements(Elements::new(source, limit)), &options.columns, limit))
        }
        InputFormat::Csv => Box::new(table::Rows::open(source, b',', &options.columns, limit)?),
        InputFormat::Tsv => Box::new(table::Rows::open(source, b'\t', &options.columns, limit)?),
        InputFormat::Trec => Box::new(run(source, options, limit)?),
    };
    Ok(Events { position, grouping: Grouping::new(name, entries) })
}

fn format(options: &InputOptions, first_line: &[u8]) -> Option<InputFormat> {
    let by_name = || options.path.as_deref().and_then(InputFormat::of_name);
    let format = options.format.or_else(by_name).or_else(|| InputFormat::of_content(first_line))?;
    // rank_llm publishes lists under names that end in .jsonl.
    let is_list = format == InputFormat::Jsonl && first_line.trim_ascii_start().starts_with(b"[");
    Some(if is_list { InputFormat::Json } else { format })
}

fn run(source: Source, options: &InputOptions, limit: usize) -> Result<trec::Run> {
    let needed =
        || format!("{} is a TREC run, which holds no text: --queries and --collection are needed", source.name);
    if !options.columns.is_empty() {
        bail!("--columns does not apply to {}: a TREC run has no column names", source.name);
    }
    let queries = Queries::open(options.queries.as_deref().with_context(needed)?, limit)?;
    let collection = Collection::open(options.collection.as_deref().with_context(needed)?, limit)?;
    Ok(trec::Run { lines: Lines::new(source, limit), limit, queries, collection })
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
