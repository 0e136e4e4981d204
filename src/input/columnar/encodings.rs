//! Which carried columns are not written as JSON has them: those whose types the output keeps, and those whose numbers JSON may lack,
//! as it has neither NaN nor infinite ones.

use std::collections::HashMap;

use arrow_schema::{DataType, Field as Column, Fields, SchemaRef};

use super::carried::{is_pair, kept_types, members};
use super::selection::{holds, is_needed};
use super::values::ColumnEncoding;
use crate::column_types::{Carrying, DATES_IN_MILLISECONDS};
use crate::fusion;
use crate::input::InputOptions;
use crate::input::names::Names;
use crate::passages;

/// The columns of rows that are written in their own ways, and those of what is nested in them: a query and its candidates may have
/// columns of one name.
#[derive(Clone, Debug, Default)]
pub struct Encodings {
    columns: HashMap<String, ColumnEncoding>,
    /// Those of the structs in a column, or in its lists.
    members: HashMap<String, Self>,
}

impl Encodings {
    /// Those of a file with this schema.
    pub fn new(schema: &SchemaRef, options: &InputOptions) -> Self {
        let kept = if options.carrying == Carrying::AsJson { HashMap::new() } else { kept_types(schema, options) };
        let names = Names::new(&options.columns);
        Chooser { names, kept, options }.encodings(schema.fields(), &mut Vec::new())
    }

    /// That of a column, if it has one.
    pub(super) fn of(&self, column: &str) -> Option<ColumnEncoding> {
        self.columns.get(column).copied()
    }

    /// Those of the structs in a column, if they have some.
    pub(super) fn members_of(&self, column: &str) -> Option<&Self> {
        self.members.get(column)
    }

    /// Whether all columns are written as JSON has them.
    pub(super) fn is_empty(&self) -> bool {
        self.columns.is_empty() && self.members.is_empty()
    }
}

/// Chooses how columns are written.
struct Chooser<'a> {
    names: Names,
    /// The paths of the columns whose types are kept, with those of the output.
    kept: HashMap<Vec<String>, DataType>,
    options: &'a InputOptions,
}

impl Chooser<'_> {
    /// Those of rows, or of the candidates and the queries in the column with this path.
    fn encodings(&self, fields: &Fields, path: &mut Vec<String>) -> Encodings {
        let mut encodings = Encodings::default();
        let is_pair = is_pair(fields, &self.names);
        for column in fields {
            let (name, data_type) = (column.name(), column.data_type());
            path.push(name.clone());
            if self.names.is_known(name) || (!is_pair && is_needed(column, fields, &self.names)) {
                let inner = if let DataType::Struct(inner) = data_type { Some(inner) } else { members(data_type) };
                let inner = inner.map(|inner| self.encodings(inner, path)).filter(|inner| !inner.is_empty());
                encodings.members.extend(inner.map(|inner| (name.clone(), inner)));
            } else {
                encodings.columns.extend(self.encoding(column, path).map(|encoding| (name.clone(), encoding)));
            }
            path.pop();
        }
        encodings
    }

    /// That of a carried column.
    fn encoding(&self, column: &Column, path: &[String]) -> Option<ColumnEncoding> {
        let kept = self.kept.get(path);
        let is_written = [fusion::FIELD, passages::FIELD].contains(&column.name().as_str());
        let may_lose_numbers =
            !self.options.known_fields_only && !is_written && holds(column.data_type(), DataType::is_floating);
        match self.options.carrying {
            Carrying::AsColumns if kept.is_some() => {
                let is_in_days = *column.data_type() == DataType::Date32;
                let are_times = is_in_days && kept == Some(&DATES_IN_MILLISECONDS);
                Some(if are_times { ColumnEncoding::DaysInMilliseconds } else { ColumnEncoding::Exact })
            }
            _ if !may_lose_numbers => None,
            Carrying::AsJsonOfTypes if kept.is_some() => Some(ColumnEncoding::CarriedOfType),
            // A column of Parquet whose type follows from JSON has such numbers no more than JSON has.
            Carrying::AsColumns | Carrying::AsJsonOfTypes | Carrying::AsJson => Some(ColumnEncoding::Carried),
        }
    }
}
