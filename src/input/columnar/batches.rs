//! Batches of rows out of a file, whatever its format. The libraries panic on some damaged files; here that becomes an error.

use std::fs::File;
use std::io::{BufReader, Seek};
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_ipc::reader::{FileReader, FileReaderBuilder, StreamReader};
use arrow_schema::{ArrowError, Schema, SchemaRef};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::file::metadata::ParquetMetaData;

use super::Kind;
use super::data::Data;
use super::lengths::{self, OpenEnd, Stated};
use crate::column_types::in_days;
use crate::panics::guarded;

/// The bytes that a batch of rows of a Parquet file has, as its columns are on average.
const BATCH_BYTES: u64 = 4 << 20;

/// The most rows of a batch.
const MOST_ROWS: u64 = 4096;

/// A file whose schema is known and whose rows have not been read.
pub struct Rows {
    data: Data,
    schema: SchemaRef,
    kind: Kind,
    /// What the footer of a Parquet file has.
    footer: Option<ArrowReaderMetadata>,
    /// What an Arrow file states.
    stated: Stated,
}

/// Batches of rows, or the problem that ends them.
pub struct Batches {
    batches: Opened,
    /// Rows so far.
    rows: u64,
}

impl Rows {
    /// Reads the schema.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub fn open(data: Data, kind: Kind) -> Result<Self, String> {
        guarded(|| {
            let mut stated = Stated::default();
            if let Data::File(file) = &data {
                stated = lengths::check(file, kind)?;
                (&mut &*file).rewind().map_err(|error| error.to_string())?;
            }
            let again = || data.file().and_then(File::try_clone).map_err(|error| error.to_string());
            let (schema, footer) = match kind {
                Kind::Parquet => {
                    let footer = ArrowReaderMetadata::load(&data, ArrowReaderOptions::new()).map_err(problem)?;
                    let footer = with_dates_in_days(footer);
                    (Arc::clone(footer.schema()), Some(footer))
                }
                Kind::ArrowFile => {
                    (FileReader::try_new(BufReader::new(again()?), None).map_err(problem)?.schema(), None)
                }
                Kind::ArrowStream => {
                    (StreamReader::try_new(BufReader::new(again()?), None).map_err(problem)?.schema(), None)
                }
            };
            Ok(Self { data, schema, kind, footer, stated })
        })
        .unwrap_or_else(Err)
    }

    /// The names and types of the columns.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Where a stream ends that lacks the mark of its end.
    pub fn open_end(&self) -> Option<OpenEnd> {
        self.stated.open_end
    }

    /// The number of rows; none, if it is not stated.
    pub fn count(&self) -> Option<u64> {
        match &self.footer {
            Some(footer) => Some(rows_of(footer.metadata())),
            None => self.stated.rows,
        }
    }

    /// Reads these columns, by their indices in ascending order.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub fn read(self, columns: &[usize]) -> Result<Batches, String> {
        guarded(|| Ok(Batches { batches: self.batches(columns).map_err(problem)?, rows: 0 })).unwrap_or_else(Err)
    }

    fn batches(self, columns: &[usize]) -> Result<Opened, ArrowError> {
        let opened: Opened = match self.footer {
            Some(footer) => {
                let roots = columns.iter().copied();
                let mask = ProjectionMask::roots(footer.parquet_schema(), roots);
                let metadata = footer.metadata();
                check_plain(metadata, &mask)?;
                let rows = rows_of(metadata);
                let bytes: u64 = metadata
                    .row_groups()
                    .iter()
                    .flat_map(|group| group.columns().iter().enumerate())
                    .filter(|(leaf, _)| mask.leaf_included(*leaf))
                    .map(|(_, column)| u64::try_from(column.uncompressed_size()).unwrap_or(0))
                    .sum();
                let of_row = bytes.checked_div(rows).unwrap_or(0).max(1);
                let batch = (BATCH_BYTES / of_row).clamp(1, MOST_ROWS);
                let chunks: Vec<_> = metadata
                    .row_groups()
                    .iter()
                    .flat_map(|group| group.columns().iter().enumerate())
                    .filter(|(leaf, _)| mask.leaf_included(*leaf))
                    .map(|(_, column)| column.byte_range())
                    .map(|(start, bytes)| start..start.saturating_add(bytes))
                    .collect();
                let columns = chunks.len() / metadata.num_row_groups().max(1);
                let data = self.data.read_ahead(chunks, columns);
                let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(data, footer);
                let reader = builder.with_projection(mask).with_batch_size(batch as usize).build()?;
                Box::new(reader)
            }
            None if self.kind == Kind::ArrowFile => {
                let builder = FileReaderBuilder::new().with_projection(columns.to_vec());
                Box::new(builder.build(BufReader::new(self.data.into_file()?))?)
            }
            None => Box::new(StreamReader::try_new(BufReader::new(self.data.into_file()?), Some(columns.to_vec()))?),
        };
        Ok(opened)
    }
}

/// The rows of all row groups.
fn rows_of(metadata: &ParquetMetaData) -> u64 {
    metadata.row_groups().iter().map(|group| u64::try_from(group.num_rows()).unwrap_or(0)).fold(0, u64::saturating_add)
}

/// The footer with the dates that Parquet stores, which are in days: writers state that they had them in milliseconds.
fn with_dates_in_days(footer: ArrowReaderMetadata) -> ArrowReaderMetadata {
    let fields = footer.schema().fields().iter();
    let fields = fields.map(|field| field.as_ref().clone().with_data_type(in_days(field.data_type())));
    let schema = Schema::new_with_metadata(fields.collect::<Vec<_>>(), footer.schema().metadata().clone());
    if schema == **footer.schema() {
        return footer;
    }
    let options = ArrowReaderOptions::new().with_schema(Arc::new(schema));
    // A file that has the milliseconds is read as they are.
    ArrowReaderMetadata::try_new(Arc::clone(footer.metadata()), options).unwrap_or(footer)
}

/// Refuses encrypted columns among those that are read: a file of which some columns are encrypted has a schema that all can read.
fn check_plain(metadata: &ParquetMetaData, mask: &ProjectionMask) -> Result<(), ArrowError> {
    let chunks = metadata.row_groups().iter().flat_map(|group| group.columns().iter().enumerate());
    let mut encrypted = chunks.filter(|(leaf, chunk)| mask.leaf_included(*leaf) && chunk.crypto_metadata().is_some());
    match encrypted.next() {
        None => Ok(()),
        Some((_, chunk)) => Err(ArrowError::ParquetError(format!(
            "its column `{}` is encrypted: write the file again without encryption, or read it in Python and pipe JSONL",
            chunk.column_path().string()
        ))),
    }
}

/// The batches of an open file.
type Opened = Box<dyn Iterator<Item = Result<RecordBatch, ArrowError>> + Send>;

impl Batches {
    /// The next batch, which may be empty; none at the end.
    ///
    /// # Errors
    /// What is wrong with the file, and behind which row.
    pub fn next(&mut self) -> Result<Option<RecordBatch>, String> {
        let next = guarded(|| self.batches.next()).and_then(|next| next.transpose().map_err(problem));
        let batch = next.map_err(|problem| {
            format!(
                "what stands behind row {} can't be read ({problem}): the file is damaged or truncated; fetch or write it again",
                self.rows
            )
        })?;
        self.rows += batch.as_ref().map_or(0, |batch| batch.num_rows() as u64);
        Ok(batch)
    }
}

/// The kinds that the libraries put in front of their messages, which mean nothing to users.
const PREFIXES: [&str; 8] = [
    "Parquet error: ",
    "Parquet argument error: ",
    "Arrow: ",
    "EOF: ",
    "External: ",
    "Io error: ",
    "Ipc error: ",
    "Parser error: ",
];

/// An error of the libraries, on one line and without its kinds.
fn problem(error: impl std::fmt::Display) -> String {
    let text = error.to_string();
    let mut line = text.lines().next().unwrap_or_default();
    while let Some(rest) = PREFIXES.iter().find_map(|prefix| line.strip_prefix(prefix)) {
        line = rest;
    }
    line.to_owned()
}
