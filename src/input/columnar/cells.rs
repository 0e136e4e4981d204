//! Some columns of a file as lines of cells between tabs: the rows of a run or of qrels.

use std::io::Write;
use std::ops::Range;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, GenericListArray, OffsetSizeTrait, RecordBatch};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_schema::{ArrowError, DataType, Fields, Schema};

use super::lines::Encode;
use super::selection::listed;
use crate::input::findings::Findings;
use crate::input::names::is_same_name;
use crate::slices::behind;

/// The columns that make a line.
pub(super) struct Cells {
    /// The indices that are read, ascending.
    columns: Vec<usize>,
    /// For each cell its name, and the place of its column among those that are read.
    cells: Vec<(String, Option<usize>)>,
    header: bool,
    /// The lines so far.
    lines: u64,
    /// Where the rows of the lines are found.
    findings: Findings,
}

/// The column with one of these names, the preferred one first.
pub(super) fn position<S: AsRef<str>>(columns: &Fields, names: &[S]) -> Option<usize> {
    let find = |is_name: fn(&str, &str) -> bool| {
        names.iter().find_map(|name| columns.iter().position(|column| is_name(name.as_ref(), column.name())))
    };
    find(|name, column| name == column).or_else(|| find(is_same_name))
}

impl Cells {
    /// Finds the columns. A cell is called by the first of its names. Which rows make which lines is added to the findings.
    ///
    /// # Errors
    /// If a column has a type that makes no cell, as a sentence without a full stop.
    pub(super) fn new<S: AsRef<str>>(
        schema: &Schema,
        names: &[&[S]],
        header: bool,
        findings: Findings,
    ) -> Result<Self, String> {
        let found: Vec<Option<usize>> = names.iter().map(|names| position(schema.fields(), names)).collect();
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
        Ok(Self { columns, cells, header, lines: 0, findings })
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
            self.lines += 1;
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
            let number = first + row as u64;
            let count = self.lines(&columns, &cells).map_err(|problem| format!("row {number}: {problem}"))?;
            if count > 0 {
                self.findings.place_row(number, self.lines + 1, count as u64);
            }
            self.lines += count as u64;
            for at in 0..count {
                for (index, (column, cell)) in columns.iter().zip(&cells).enumerate() {
                    if index > 0 {
                        text.push(b'\t');
                    }
                    let Some(column) = column else { continue };
                    let place = if column.lists.is_some() { cell.start + at } else { cell.start };
                    column.append(place, text).map_err(|problem| format!("row {number}: {problem}"))?;
                }
                text.push(b'\n');
            }
        }
        Ok(())
    }
}

impl Cells {
    /// How many lines a row makes: one for each of the values in its lists, beside which a column without lists has one value for all.
    fn lines(&self, columns: &[Option<Values>], cells: &[Range<usize>]) -> Result<usize, String> {
        let is_list = |column: &Option<Values>| column.as_ref().is_some_and(|column| column.lists.is_some());
        let rows = columns.iter().zip(cells).zip(&self.cells).filter(|((column, _), _)| is_list(column));
        let mut lists = rows.map(|((_, cell), (name, _))| (name, cell.len()));
        let Some((first, count)) = lists.next() else { return Ok(1) };
        match lists.find(|(_, length)| *length != count) {
            None => Ok(count),
            Some((other, length)) => {
                Err(format!("its lists have different lengths: {first} has {count} values, and {other} {length}"))
            }
        }
    }
}

/// The values of a column: each row has one, or those of a list.
struct Values<'a> {
    formatter: ArrayFormatter<'a>,
    values: &'a dyn Array,
    /// The places of each row's list, if the rows are lists.
    lists: Option<Vec<Range<usize>>>,
}

impl<'a> Values<'a> {
    fn new(column: &'a ArrayRef) -> Result<Self, ArrowError> {
        let (values, lists) = match column.data_type() {
            DataType::List(_) => (column.as_list::<i32>().values(), Some(places(column.as_list::<i32>()))),
            DataType::LargeList(_) => (column.as_list::<i64>().values(), Some(places(column.as_list::<i64>()))),
            _ => (column, None),
        };
        Ok(Self { formatter: ArrayFormatter::try_new(values, &OPTIONS)?, values, lists })
    }

    /// The places of a row's values.
    fn range(&self, row: usize) -> Range<usize> {
        let Some(lists) = &self.lists else { return row..row + 1 };
        lists.get(row).cloned().unwrap_or_default()
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

/// The places of each row's values. A row that is null has none, whatever its offsets hide.
fn places<O: OffsetSizeTrait>(lists: &GenericListArray<O>) -> Vec<Range<usize>> {
    let ends = lists.offsets().windows(2).enumerate();
    let places = ends.map(|(row, ends)| match ends {
        [start, end] if lists.is_valid(row) => start.as_usize()..end.as_usize(),
        _ => 0..0,
    });
    places.collect()
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::types::Int64Type;
    use arrow_array::{BooleanArray, Int64Array, ListArray, StringArray};
    use arrow_schema::Field;

    use super::*;

    /// Rows with a query, a list of identifiers and a list of scores, of so many values each.
    fn lines(ids: [usize; 2], scores: [usize; 2], is_valid: [bool; 2]) -> Result<String, String> {
        let nulls = BooleanArray::from(is_valid.map(|is_valid| is_valid.then_some(true)).to_vec());
        let list = |lengths: [usize; 2], values: ArrayRef| {
            let zeros = lengths.map(|length| Some(vec![Some(0); length]));
            let offsets = ListArray::from_iter_primitive::<Int64Type, _, _>(zeros).offsets().clone();
            let item = Arc::new(Field::new("item", values.data_type().clone(), true));
            Arc::new(ListArray::new(item, offsets, values, nulls.nulls().cloned())) as ArrayRef
        };
        let batch = RecordBatch::try_from_iter([
            ("query-id", Arc::new(StringArray::from(vec!["q1", "q2"])) as ArrayRef),
            ("ids", list(ids, Arc::new(StringArray::from(vec!["a", "b", "c"])))),
            ("scores", list(scores, Arc::new(Int64Array::from(vec![1, 2, 3])))),
        ]);
        let batch = batch.unwrap();
        let mut cells =
            Cells::new(&batch.schema(), &[&["query-id"], &["ids"], &["scores"]], false, Findings::default()).unwrap();
        let mut text = Vec::new();
        cells.append(&batch, 1, &mut text).map(|()| String::from_utf8(text).unwrap())
    }

    #[test]
    fn a_list_makes_a_line_of_each_value() {
        assert_eq!(lines([2, 1], [2, 1], [true, true]).unwrap(), "q1\ta\t1\nq1\tb\t2\nq2\tc\t3\n");
    }

    #[test]
    fn what_a_null_hides_makes_no_line() {
        assert_eq!(lines([2, 1], [2, 1], [false, true]).unwrap(), "q2\tc\t3\n");
    }

    #[test]
    fn lists_of_a_row_have_one_length_also_where_that_is_one() {
        for (ids, scores) in [([2, 1], [1, 1]), ([1, 1], [0, 1]), ([1, 2], [1, 1])] {
            let problem = lines(ids, scores, [true, true]).unwrap_err();
            assert!(problem.contains("its lists have different lengths: ids has"), "{problem}");
        }
    }
}
