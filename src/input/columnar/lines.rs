//! Lines of text that are made of batches of rows while they are read.

use std::io::{self, BufRead, Read};
use std::sync::Arc;

use arrow_array::{Array, RecordBatch, StructArray};
use arrow_json::EncoderOptions;
use arrow_json::writer::make_encoder;
use arrow_schema::{ArrowError, DataType, Field as Column, FieldRef};
use indicatif::BinaryBytes;

use super::batches::Batches;
use super::counter::RowCounter;
use super::selection::Selection;
use super::values::{Encoding, Lost};
use crate::column_types::Carrying;
use crate::input::MAX_RECORD_BYTES;
use crate::input::findings::Findings;
use crate::panics::guarded;
use crate::slices::behind;

/// The rows that become text at once, so that the text of a large batch is not held as a whole.
const ROWS: usize = 1024;

/// How rows become lines.
pub(super) trait Encode: Send {
    /// Appends the lines in front of all rows.
    fn begin(&mut self, _text: &mut Vec<u8>) {}

    /// Appends a line, or several, for each row of a batch. `first` is the number of its first row, counted from 1.
    ///
    /// # Errors
    /// If a row can't become a line, as a sentence without a full stop.
    fn append(&mut self, batch: &RecordBatch, first: u64, text: &mut Vec<u8>) -> Result<(), String>;
}

/// Reads batches as text.
pub(super) struct Lines<E> {
    batches: Batches,
    encode: E,
    /// The batch at hand, and how many of its rows became text.
    batch: Option<(RecordBatch, usize)>,
    /// The number of rows in front of the batch at hand.
    rows: u64,
    text: Vec<u8>,
    /// The rows in front of the text, and its own.
    text_rows: (u64, u64),
    /// The bytes of the text that were consumed.
    consumed: usize,
    counter: RowCounter,
}

impl<E: Encode> Lines<E> {
    /// The lines of these batches, whose rows are counted.
    pub(super) fn new(batches: Batches, mut encode: E, counter: RowCounter) -> Self {
        let mut text = Vec::new();
        encode.begin(&mut text);
        Self { batches, encode, batch: None, rows: 0, text, text_rows: (0, 0), consumed: 0, counter }
    }

    /// Makes the text of further rows; without an effect at the end.
    fn fill(&mut self) -> Result<(), String> {
        self.text.clear();
        self.consumed = 0;
        while self.text.is_empty() {
            let (batch, taken) = match self.batch.take() {
                Some(at_hand) => at_hand,
                None => match self.batches.next()? {
                    Some(batch) => (batch, 0),
                    None => {
                        self.counter.finish();
                        return Ok(());
                    }
                },
            };
            let count = ROWS.min(batch.num_rows() - taken);
            let (part, first) = (batch.slice(taken, count), self.rows + taken as u64 + 1);
            self.text_rows = (first - 1, count as u64);
            guarded(|| self.encode.append(&part, first, &mut self.text)).unwrap_or_else(Err)?;
            if taken + count < batch.num_rows() {
                self.batch = Some((batch, taken + count));
            } else {
                self.rows += batch.num_rows() as u64;
            }
        }
        Ok(())
    }
}

impl<E: Encode> BufRead for Lines<E> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.consumed == self.text.len() {
            self.fill().map_err(io::Error::other)?;
        }
        Ok(behind(&self.text, self.consumed))
    }

    fn consume(&mut self, count: usize) {
        self.consumed += count;
        let (before, rows) = self.text_rows;
        let consumed = (rows * self.consumed as u64).checked_div(self.text.len() as u64);
        self.counter.reach(before + consumed.unwrap_or_default());
    }
}

impl<E: Encode> Read for Lines<E> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(buffer)?;
        self.consume(read);
        Ok(read)
    }
}

/// Rows as JSON objects.
pub(super) struct Records {
    options: EncoderOptions,
    /// What the library wants to know of a row.
    row: FieldRef,
    /// The file's name in messages.
    name: Arc<str>,
    /// The first column of which a number was lost.
    lost: Lost,
    carrying: Carrying,
    findings: Findings,
}

impl Records {
    /// Rows of the columns that are selected. What is found in them is added to the findings.
    pub(super) fn new(name: Arc<str>, selection: &Selection, findings: Findings) -> Self {
        let lost = Lost::default();
        let encodings = selection.encodings.clone();
        let encoding = if encodings.is_empty() { Encoding::Json } else { Encoding::Rows(encodings, lost.clone()) };
        let row = Arc::new(Column::new("row", DataType::Null, false));
        Self { options: encoding.options(), row, name, lost, carrying: selection.carrying, findings }
    }

    /// Reports the first number that was lost.
    fn report(&self, row: u64) {
        if let Some(column) = self.lost.take() {
            let (why, remedy) = match self.carrying {
                Carrying::AsColumns => (
                    "and its type is not kept",
                    "a column that has one type in all files, which are Parquet or Arrow, keeps it",
                ),
                Carrying::AsJson | Carrying::AsJsonOfTypes => {
                    ("which JSON lacks", "a single run that writes Parquet keeps it (--output FILE.parquet)")
                }
            };
            self.findings.note(format!(
                "{}:{row}: the carried column `{column}` has a NaN or an infinite number, {why}: null stands in its place from here \
                 on; {remedy}",
                self.name
            ));
        }
    }

    /// The message for a row that is longer than a record may be: the column with the most of it, and what helps.
    fn too_long(&self, row: &StructArray) -> Result<String, ArrowError> {
        let (mut longest, mut text) = ((0, ""), Vec::new());
        for (field, values) in row.fields().iter().zip(row.columns()) {
            text.clear();
            let mut encoder = make_encoder(field, values, &self.options)?;
            if !encoder.is_null(0) {
                encoder.encode(0, &mut text);
            }
            longest = longest.max((text.len(), field.name()));
        }
        let (bytes, column) = longest;
        Ok(format!(
            "the row is longer than {} MiB as JSON, and its column `{column}` has {} of that: shorten its text or split its list \
             into more rows where the file is written, or leave the column out if it is only carried",
            MAX_RECORD_BYTES >> 20,
            BinaryBytes(bytes as u64)
        ))
    }
}

impl Encode for Records {
    fn append(&mut self, batch: &RecordBatch, first: u64, text: &mut Vec<u8>) -> Result<(), String> {
        let rows = StructArray::from(batch.clone());
        let mut encoder = make_encoder(&self.row, &rows, &self.options).map_err(|error| error.to_string())?;
        for row in 0..rows.len() {
            let start = text.len();
            encoder.encode(row, text);
            if text.len() - start > MAX_RECORD_BYTES {
                let problem = self.too_long(&rows.slice(row, 1)).map_err(|error| error.to_string())?;
                self.findings.too_long(first + row as u64, problem);
            }
            text.push(b'\n');
            self.report(first + row as u64);
        }
        Ok(())
    }
}
