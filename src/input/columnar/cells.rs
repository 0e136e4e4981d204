//! Some columns of a file as lines of cells between tabs: the rows of a run or of qrels.

use std::io::Write;
use std::ops::Range;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_schema::{ArrowError, DataType, Schema};

use super::lines::Encode;
use super::selection::listed;
use crate::input::names::is_same_name;
use crate::slices::behind;

/// The columns that make a line.
pub(super) struct Cells {
    /// The indices that are read, ascending.
    columns: Vec<usize>,
    /// For each cell its name, and the place of its column among those that are read.
    cells: Vec<(String, Option<usize>)>,
    header: bool,
}

/// The column with one of these names, the preferred one first.
pub(super) fn position<S: AsRef<str>>(schema: &Schema, names: &[S]) -> Option<usize> {
    let find = |is_name: fn(&str, &str) -> bool| {
        names.iter().find_map(|name| schema.fields().iter().position(|column| is_name(name.as_ref(), column.name())))
    };
    find(|name, column| name == column).or_else(|| find(is_same_name))
}

impl Cells {
    /// Finds the columns. A cell is called by the first of its names.
    ///
    /// # Errors
    /// If a column has a type that makes no cell, as a sentence without a full stop.
    pub(super) fn new<S: AsRef<str>>(schema: &Schema, names: &[&[S]], header: bool) -> Result<Self, String> {
        let found: Vec<Option<usize>> = names.iter().map(|names| position(schema, names)).collect();
        let mut columns: Vec<usize> = found.iter().flatten().copied().collect();
        columns.sort_unstable();
        columns.dedup();
        for column in columns.iter().filter_map(|&index| schema.fields().get(index)) {
            if !is_cell(column.data_type()) {
                return Err(format!(
                    "the column `{}` has the type {}, and identifiers, ranks and scores are text or numbers, or lists of them; the \
                     columns are {}",
                    column.name(),
                    column.data_type(),
                    listed(schema)
                ));
            }
        }
        let place = |index: Option<usize>| columns.iter().position(|&column| Some(column) == index);
        let name = |names: &&[S]| names.first().map(|name| name.as_ref().to_owned()).unwrap_or_default();
        let cells = names.iter().zip(found).map(|(names, index)| (name(names), place(index))).collect();
        Ok(Self { columns, cells, header })
    }

    /// The indices of the columns that are read, ascending.
    pub(super) fn columns(&self) -> &[usize] {
        &self.columns
    }
}

impl Encode for Cells {
    fn begin(&mut self, text: &mut Vec<u8>) {
        if self.header {
            let names: Vec<&str> = self.cells.iter().map(|(name, _)| name.as_str()).collect();
            text.extend_from_slice(names.join("\t").as_bytes());
            text.push(b'\n');
        }
    }

    fn append(&mut self, batch: &RecordBatch, first: u64, text: &mut Vec<u8>) -> Result<(), String> {
        let columns = self.cells.iter().map(|(_, place)| {
            let column = place.and_then(|place| batch.columns().get(place));
            column.map(Values::new).transpose()
        });
        let columns: Vec<Option<Values>> =
            columns.collect::<Result<_, ArrowError>>().map_err(|error| error.to_string())?;
        for row in 0..batch.num_rows() {
            let cells = columns.iter().map(|column| column.as_ref().map_or(0..1, |column| column.range(row)));
            let cells: Vec<Range<usize>> = cells.collect();
            // A list makes a line of each of its values; beside it, a single value stands in each of them.
            let count = cells.iter().map(Range::len).find(|&length| length != 1).unwrap_or(1);
            let number = first + row as u64;
            if cells.iter().any(|cell| cell.len() != 1 && cell.len() != count) {
                return Err(format!("row {number}: its lists have different lengths"));
            }
            for at in 0..count {
                for (index, (column, cell)) in columns.iter().zip(&cells).enumerate() {
                    if index > 0 {
                        text.push(b'\t');
                    }
                    let place = if cell.len() == 1 { cell.start } else { cell.start + at };
                    let Some(column) = column else { continue };
                    column.append(place, text).map_err(|problem| format!("row {number}: {problem}"))?;
                }
                text.push(b'\n');
            }
        }
        Ok(())
    }
}

/// The values of a column: each row has one, or those of a list.
struct Values<'a> {
    formatter: ArrayFormatter<'a>,
    values: &'a dyn Array,
    /// Where the list of each row begins and the next one's, if the rows are lists.
    lists: Option<Vec<usize>>,
}

impl<'a> Values<'a> {
    fn new(column: &'a ArrayRef) -> Result<Self, ArrowError> {
        let (values, lists): (&ArrayRef, Option<Vec<usize>>) = match column.data_type() {
            DataType::List(_) => {
                let list = column.as_list::<i32>();
                (list.values(), Some(list.offsets().iter().map(|&offset| offset as usize).collect()))
            }
            DataType::LargeList(_) => {
                let list = column.as_list::<i64>();
                (list.values(), Some(list.offsets().iter().map(|&offset| offset as usize).collect()))
            }
            _ => (column, None),
        };
        Ok(Self { formatter: ArrayFormatter::try_new(values, &OPTIONS)?, values, lists })
    }

    /// The places of a row's values.
    fn range(&self, row: usize) -> Range<usize> {
        let Some(lists) = &self.lists else { return row..row + 1 };
        let at = |row: usize| lists.get(row).copied().unwrap_or_default();
        at(row)..at(row + 1)
    }

    /// Appends the value at a place; nothing for a null.
    fn append(&self, place: usize, text: &mut Vec<u8>) -> Result<(), String> {
        if self.values.is_null(place) {
            return Ok(());
        }
        let before = text.len();
        write!(text, "{}", self.formatter.value(place)).map_err(|error| error.to_string())?;
        match behind(text, before).iter().any(|byte| b"\t\n\r".contains(byte)) {
            true => Err("an identifier has a tab or a line break in it".to_owned()),
            false => Ok(()),
        }
    }
}

/// Nothing stands for a null.
const OPTIONS: FormatOptions<'static> = FormatOptions::new();

fn is_cell(data_type: &DataType) -> bool {
    match data_type {
        DataType::List(item) | DataType::LargeList(item) => is_value(item.data_type()),
        other => is_value(other),
    }
}

fn is_value(data_type: &DataType) -> bool {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null => true,
        DataType::Dictionary(_, values) => is_value(values),
        other => other.is_numeric(),
    }
}
