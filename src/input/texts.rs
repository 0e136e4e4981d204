//! The texts of queries and documents that stand in files of their own (`--queries`, `--collection`).

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Result;

use super::collection::Collection;
use super::detect::InputFormat;
use super::dialect::TableOptions;
use super::lines::Lines;
use super::queries::Queries;
use super::run_line::RunFormat;
use super::source::Source;
use super::{InputOptions, trec};
use crate::exit::UsageError;

/// Which texts stand in other files than the input.
#[derive(Clone, Copy, Debug, Default)]
pub struct Elsewhere {
    /// Those of queries.
    pub queries: bool,
    /// Those of documents.
    pub documents: bool,
}

impl Elsewhere {
    /// The texts for which the options name a file.
    pub fn of(options: &InputOptions) -> Self {
        Self { queries: options.queries.is_some(), documents: options.collection.is_some() }
    }

    /// Whether any do.
    pub fn any(self) -> bool {
        self.queries || self.documents
    }
}

/// The files of texts that the options name.
pub struct Texts {
    /// The queries' texts.
    pub queries: Option<Queries>,
    /// The documents' texts.
    pub collection: Option<Collection>,
    /// Whether there has been a candidate, or a record that was passed over.
    pub has_candidate: bool,
}

/// The files of texts of a run, which all files of its input share: a large collection is indexed once.
#[derive(Clone, Default)]
pub struct SharedTexts(Arc<Mutex<Option<Texts>>>);

impl SharedTexts {
    /// Reads the queries and indexes the collection, if no file of the input has done so. Returns what the user should know of how they
    /// were understood. The options on tables apply to the input as well, if `input_is_table`.
    ///
    /// # Errors
    /// As [`Queries::open`] and [`Collection::open`], and where options on tables apply to no file.
    pub(super) fn open(&self, options: &InputOptions, input_is_table: bool, limit: usize) -> Result<Vec<String>> {
        let (mut opened, tables, mut notes) = (self.lock(), options.tables, Vec::new());
        let Texts { queries, collection, .. } = match &mut *opened {
            Some(texts) => texts,
            none => {
                let queries = options.queries.as_deref().map(|path| Queries::open(path, tables, limit));
                let mut queries = queries.transpose()?;
                let collection = options.collection.as_deref().map(|path| Collection::open(path, tables, limit));
                let mut collection = collection.transpose()?;
                notes.extend(queries.as_mut().map(Queries::take_notes).unwrap_or_default());
                notes.extend(collection.as_mut().map(Collection::take_notes).unwrap_or_default());
                none.insert(Texts { queries, collection, has_candidate: false })
            }
        };
        let is_table = input_is_table
            || queries.as_ref().is_some_and(Queries::is_table)
            || collection.as_ref().is_some_and(Collection::is_table);
        if tables != TableOptions::default() && !is_table {
            let problem =
                "--delimiter and --quotes belong to tables, and no file that is read here is one: leave them out";
            return Err(UsageError::new(problem).into());
        }
        Ok(notes)
    }

    /// The files, once they are open.
    pub(super) fn lock(&self) -> MutexGuard<'_, Option<Texts>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for SharedTexts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SharedTexts")
    }
}

/// Refuses options that do not fit a run: its fields have no names, unless they are columns, and its texts stand in other files.
pub fn check_run(format: InputFormat, options: &InputOptions, name: &str) -> Result<(), UsageError> {
    let kind = match format {
        InputFormat::Msmarco => "run of MS MARCO",
        InputFormat::Tevatron => "run of Tevatron",
        InputFormat::Scores => "run in JSON",
        InputFormat::Parquet | InputFormat::Arrow => "run in columns",
        InputFormat::Trec => "TREC run",
        InputFormat::Jsonl | InputFormat::Json | InputFormat::Csv | InputFormat::Tsv => return Ok(()),
    };
    if !options.columns.is_empty() && !format.is_columnar() {
        return Err(UsageError::new(format!("--columns does not apply to {name}: a {kind} has no column names")));
    }
    let needed = match Elsewhere::of(options) {
        Elsewhere { queries: true, documents: true } => return Ok(()),
        Elsewhere { queries: true, documents: false } => "--collection is needed, too",
        Elsewhere { queries: false, documents: true } => "--queries is needed, too",
        _ => "--queries and --collection are needed",
    };
    Err(UsageError::new(format!("{name} is a {kind}, which holds no text: {needed}")))
}

/// Opens a run, whose texts are still to be looked up.
///
/// # Errors
/// If it can't be read.
pub fn open_run(source: Source, format: InputFormat, options: &InputOptions, limit: usize) -> Result<trec::Run> {
    let format = match format {
        InputFormat::Msmarco => RunFormat::Msmarco,
        InputFormat::Tevatron => RunFormat::Tevatron,
        InputFormat::Parquet | InputFormat::Arrow => RunFormat::Columns,
        _ => RunFormat::Trec,
    };
    let most_bytes = if options.group { usize::MAX } else { trec::MAX_GATHERED_BYTES };
    trec::Run::open(Lines::new(source, limit), format, limit, most_bytes)
}
