//! The column `other_fields`: what a row has no column for, as the text of a JSON object.
//!
//! A file that has this column may be ranked again. What its rows have in there stays in there, beside what the next output has no
//! column for.

use serde_json::value::RawValue;

use crate::input::Object;
use crate::record::Fields;

/// The name of the column.
pub(crate) const NAME: &str = "other_fields";

/// The fields that the input has under the name of the column: the members of an object that stands there as a text, as rerank
/// writes it. Anything else is one field of that name.
pub(super) fn carried(value: &RawValue) -> Fields {
    let text = serde_json::from_str::<String>(value.get());
    match text.ok().and_then(|text| Object::parse(&text).ok().map(|object| object.rest(|_| false))) {
        Some(members) => members,
        None => vec![(NAME.to_owned(), value.to_owned())],
    }
}

/// The text of an object of a row's fields, which have no column, and of those that the input had in this column. Of two with one
/// name, it has the row's. None, if there are no fields.
///
/// # Errors
/// If a name can't become JSON, which does not happen.
pub(super) fn object(
    fields: &[(&str, &RawValue)],
    carried: &[(String, Box<RawValue>)],
) -> serde_json::Result<Option<String>> {
    let carried = carried.iter().map(|(name, value)| (name.as_str(), value.as_ref()));
    let carried = carried.filter(|(name, _)| fields.iter().all(|(known, _)| known != name));
    let members = fields.iter().copied().chain(carried).map(|(name, value)| {
        let key = serde_json::to_string(name)?;
        Ok(format!("{key}:{}", value.get()))
    });
    let members = members.collect::<serde_json::Result<Vec<_>>>()?;
    Ok((!members.is_empty()).then(|| format!("{{{}}}", members.join(","))))
}
