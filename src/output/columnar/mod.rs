//! Parquet: a row for each candidate. A ranking without results has no rows.
//!
//! The input's columns that are carried keep their types, if they have any. Beside them, the first rows determine the columns: a field
//! that they carry has a column of its own, of the type that its values have in common, or else of JSON texts. What comes up later, or
//! does not fit, stands as a JSON object in the column `other_fields`, so that nothing is lost. Memory holds the rows that wait to become a batch, and a row group, compressed.

mod columns;
mod exact;
mod kind;
pub(crate) mod other_fields;
mod row;

use std::sync::Arc;

use anyhow::{Context, Result};
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::arrow::{ArrowWriter, add_encoded_arrow_schema_to_metadata};
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use self::columns::Columns;
use self::row::Row;
use super::left_out::LeftOut;
use super::query_fields::QueryFields;
use crate::column_types::ColumnTypes;
use crate::record::Ranking;

/// Rows and bytes after which the waiting rows become a batch.
const BATCH_ROWS: usize = 8192;
const BATCH_BYTES: usize = 16 << 20;

/// The most rows of a row group, and the bytes with which one ends.
const GROUP_ROWS: usize = 1 << 20;
const GROUP_BYTES: usize = 128 << 20;

/// Makes a file of rankings.
pub(super) struct ParquetFormatter {
    text: bool,
    types: ColumnTypes,
    waiting: Vec<Row>,
    waiting_bytes: usize,
    left_out: LeftOut,
    file: Option<(Columns, ArrowWriter<Vec<u8>>)>,
}

impl ParquetFormatter {
    /// A file without rows. The types of carried columns are known when the first rows come.
    pub(super) fn new(text: bool, types: ColumnTypes) -> Self {
        Self { text, types, waiting: Vec::new(), waiting_bytes: 0, left_out: LeftOut::default(), file: None }
    }

    /// Adds a ranking. Appends the bytes of the file that are complete, if there are any.
    pub(super) fn format(&mut self, ranking: &Ranking, buffer: &mut Vec<u8>) -> Result<()> {
        let of_query = QueryFields::of(ranking);
        of_query.taken.iter().for_each(|name| self.left_out.add_of_query(name));
        for (rank, result) in (1..).zip(&ranking.results) {
            let row = Row::new((&ranking.query, &of_query), rank, result, self.text)?;
            self.waiting_bytes += row.bytes();
            self.waiting.push(row);
            if self.waiting.len() == BATCH_ROWS || self.waiting_bytes >= BATCH_BYTES {
                self.write(buffer)?;
            }
        }
        Ok(())
    }

    /// The names of fields whose column has another field.
    pub(super) fn left_out(&self) -> Vec<&str> {
        self.left_out.names()
    }

    /// Appends the rest of the file.
    pub(super) fn finish(&mut self, buffer: &mut Vec<u8>) -> Result<()> {
        self.write(buffer)?;
        if let Some((_, writer)) = self.file.take() {
            buffer.append(&mut writer.into_inner().context("the Parquet file can't be completed")?);
        }
        Ok(())
    }

    /// Writes the waiting rows as a batch.
    fn write(&mut self, buffer: &mut Vec<u8>) -> Result<()> {
        let rows = std::mem::take(&mut self.waiting);
        self.waiting_bytes = 0;
        if self.file.is_none() {
            let columns = Columns::of(&rows, self.text, self.types.get());
            let writer = begin(&columns).context("the Parquet file can't be begun")?;
            self.file = Some((columns, writer));
        }
        let Some((columns, writer)) = &mut self.file else { return Ok(()) };
        if !rows.is_empty() {
            writer.write(&columns.batch(&rows)?).context("rows can't be written as Parquet")?;
        }
        buffer.append(writer.inner_mut());
        Ok(())
    }
}

/// Begins a file with these columns.
fn begin(columns: &Columns) -> parquet::errors::Result<ArrowWriter<Vec<u8>>> {
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_created_by(concat!("rerank ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_max_row_group_row_count(Some(GROUP_ROWS))
        .set_max_row_group_bytes(Some(GROUP_BYTES))
        .build();
    // Readers make the stated types of the arrays: dictionaries, and times with the name of their zone.
    add_encoded_arrow_schema_to_metadata(columns.stated(), &mut properties);
    let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
    ArrowWriter::try_new_with_options(Vec::new(), Arc::clone(columns.schema()), options)
}

#[cfg(test)]
mod tests;
