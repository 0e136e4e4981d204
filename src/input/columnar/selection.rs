//! Which columns of a file are read.

use arrow_schema::{DataType, Field as Column, Fields, Schema};

use super::Table;
use super::carried::members;
use super::encodings::Encodings;
use super::values::ColumnEncoding;
use crate::column_types::Carrying;
use crate::exit::UsageError;
use crate::fusion::OF_RERANKER;
use crate::input::candidates::LABELLED_LISTS;
use crate::input::names::{Field, IDS_OF_TEXTS, Names, is_same_name};

/// The columns that are read, and what the user should know of the others.
#[derive(Debug)]
pub struct Selection {
    /// Their indices, ascending.
    pub(super) columns: Vec<usize>,
    /// How those are written that have their own ways.
    pub(super) encodings: Encodings,
    /// What becomes of those that are carried.
    pub(super) carrying: Carrying,
    /// A sentence on columns that can't be carried.
    pub note: Option<String>,
}

impl Selection {
    /// The columns of a file that have one of these names or are carried to the output, in the ways of `encodings`; with
    /// `known_only` none is carried, and the others are not read.
    ///
    /// # Errors
    /// If a column with one of the names has a type that can't be used.
    pub fn new(table: &Table, names: &Names, encodings: Encodings, known_only: bool) -> Result<Self, UsageError> {
        let (mut columns, mut left_out) = (Vec::new(), Vec::new());
        for (index, column) in table.schema().fields().iter().enumerate() {
            let name = column.name();
            match unusable(column) {
                Some(_) if encodings.of(name) == Some(ColumnEncoding::Exact) => columns.push(index),
                Some((path, what)) if names.is_known(name) => {
                    return Err(UsageError::new(format!(
                        "{}: the column `{path}` holds {what}, and text or numbers are needed: cast it where the file is written, \
                         as in `cast({name} as varchar)`, or name another column with --columns",
                        table.name()
                    )));
                }
                Some((_, what)) if !known_only => left_out.push(format!("`{name}` ({what})")),
                Some(_) => {}
                None if !known_only
                    || is_needed(column, table.schema().fields(), names)
                    || OF_RERANKER.contains(&name.as_str()) =>
                {
                    columns.push(index)
                }
                None => {}
            }
        }
        let note = (!left_out.is_empty()).then(|| {
            format!(
                "{}: these columns can't be carried to the output and are left out: {}",
                table.name(),
                left_out.join(", ")
            )
        });
        Ok(Self { columns, encodings, carrying: Carrying::default(), note })
    }

    /// The selection, with what becomes of carried columns.
    pub fn carrying(self, carrying: Carrying) -> Self {
        Self { carrying, ..self }
    }
}

/// The names of a schema's columns with their types, for messages.
pub fn listed(schema: &Schema) -> String {
    let listed = schema.fields().iter().map(|column| format!("`{}` ({})", column.name(), column.data_type()));
    listed.collect::<Vec<_>>().join(", ")
}

/// Whether one of the columns may hold more than what is carried: one with a known name, one of the lists beside texts, or one in
/// which texts are nested.
pub(super) fn is_needed(column: &Column, columns: &Fields, names: &Names) -> bool {
    names.is_known(column.name())
        || is_beside_texts(column, columns, names)
        || (column.data_type().is_nested() && holds_text(column.data_type()))
}

/// Whether a column has the identifiers or the scores of candidates that are a list of texts in another one.
fn is_beside_texts(column: &Column, columns: &Fields, names: &Names) -> bool {
    let name = column.name();
    let is_same = |known: &str| is_same_name(known, name);
    let is_named = is_same("scores")
        || IDS_OF_TEXTS.into_iter().any(is_same)
        || LABELLED_LISTS
            .iter()
            .any(|list| ["id", "ids", "scores"].iter().any(|what| is_same(&format!("{list}_{what}"))));
    let holds_candidates = |other: &Column| {
        names.is_of(Field::Candidates, other.name())
            || LABELLED_LISTS.iter().any(|list| is_same_name(list, other.name()))
    };
    is_named
        && is_list(column.data_type())
        && columns.iter().any(|other| holds_candidates(other) && members(other.data_type()).is_none())
}

/// Whether text stands somewhere in a type.
fn holds_text(data_type: &DataType) -> bool {
    holds(data_type, |part| matches!(part, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View))
}

/// Whether a type or a part of it is such a one.
pub(super) fn holds(data_type: &DataType, is_such: fn(&DataType) -> bool) -> bool {
    is_such(data_type) || children(data_type).iter().any(|child| holds(child.data_type(), is_such))
}

/// The part of a column that has no text, with the path to it and what it holds; none if all of it can be text.
pub(super) fn unusable(column: &Column) -> Option<(String, String)> {
    match column.data_type() {
        kind @ (DataType::Binary
        | DataType::LargeBinary
        | DataType::BinaryView
        | DataType::FixedSizeBinary(_)
        | DataType::Union(..)
        | DataType::Interval(_)) => {
            let what = if matches!(kind, DataType::Union(..) | DataType::Interval(_)) { "values" } else { "bytes" };
            Some((column.name().clone(), format!("{what} of the type {kind}")))
        }
        nested => children(nested).into_iter().find_map(|child| {
            let (path, what) = unusable(child)?;
            Some((format!("{}.{path}", column.name()), what))
        }),
    }
}

fn is_list(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::List(_)
            | DataType::LargeList(_)
            | DataType::ListView(_)
            | DataType::LargeListView(_)
            | DataType::FixedSizeList(..)
    )
}

fn children(data_type: &DataType) -> Vec<&Column> {
    match data_type {
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _)
        | DataType::Map(item, _) => vec![&**item],
        DataType::Struct(fields) => fields.iter().map(|field| &**field).collect(),
        DataType::RunEndEncoded(_, values) => vec![&**values],
        _ => Vec::new(),
    }
}
