//! The carried columns whose numbers JSON may lack: it has neither NaN nor infinite ones.

use std::collections::HashMap;

use arrow_schema::{DataType, Fields, SchemaRef};

use super::carried::{is_pair, kept_names, members};
use super::selection::{holds, is_needed};
use crate::column_types::Carrying;
use crate::fusion;
use crate::input::InputOptions;
use crate::input::names::Names;
use crate::passages;

/// The names of carried columns that have floating-point numbers and are written as JSON, and whether infinite ones are kept, of
/// which a merge of shards makes columns of their types.
pub fn carried_numbers(schema: &SchemaRef, options: &InputOptions) -> HashMap<String, bool> {
    let mut carried = HashMap::new();
    if options.carrying != Carrying::AsColumns && !options.known_fields_only {
        add(schema.fields(), &Names::new(&options.columns), &mut carried);
    }
    if options.carrying == Carrying::AsJsonOfTypes {
        let kept = kept_names(schema, options);
        for (name, keeps_infinite) in &mut carried {
            *keeps_infinite = kept.contains(name);
        }
    }
    carried
}

/// Adds the columns of rows, or those of the candidates and the queries in them.
fn add(fields: &Fields, names: &Names, carried: &mut HashMap<String, bool>) {
    let is_pair = is_pair(fields, names);
    for column in fields {
        let (name, data_type) = (column.name(), column.data_type());
        if names.is_known(name) || (!is_pair && is_needed(column, fields, names)) {
            let inner = if let DataType::Struct(inner) = data_type { Some(inner) } else { members(data_type) };
            inner.into_iter().for_each(|inner| add(inner, names, carried));
        } else if ![fusion::FIELD, passages::FIELD].contains(&name.as_str()) && holds(data_type, DataType::is_floating)
        {
            carried.insert(name.clone(), false);
        }
    }
}
