//! Maps as JSON objects, with keys of any type that has a text.

use arrow_array::cast::AsArray;
use arrow_array::{Array, MapArray, StringArray};
use arrow_cast::cast;
use arrow_json::writer::{NullableEncoder, make_encoder};
use arrow_json::{Encoder, EncoderOptions};
use arrow_schema::{ArrowError, DataType, FieldRef};

/// The entries of maps: the library writes those with string keys and a value only.
pub(super) struct Entries<'a> {
    maps: &'a MapArray,
    keys: StringArray,
    values: NullableEncoder<'a>,
}

impl<'a> Entries<'a> {
    /// The entries of these maps.
    ///
    /// # Errors
    /// If a key is null, or keys have a type without a text.
    pub(super) fn new(
        field: &'a FieldRef,
        maps: &'a MapArray,
        options: &'a EncoderOptions,
    ) -> Result<Self, ArrowError> {
        let keys = cast(maps.keys(), &DataType::Utf8)?;
        if keys.null_count() > 0 {
            return Err(ArrowError::JsonError(format!("a key of the map `{}` is missing", field.name())));
        }
        Ok(Self { maps, keys: keys.as_string().clone(), values: make_encoder(field, maps.values(), options)? })
    }
}

impl Encoder for Entries<'_> {
    fn encode(&mut self, index: usize, text: &mut Vec<u8>) {
        let offset = |index: usize| self.maps.offsets().get(index).map_or(0, |&offset| offset as usize);
        let first = offset(index);
        text.push(b'{');
        for entry in first..offset(index + 1) {
            if entry > first {
                text.push(b',');
            }
            // A string always becomes JSON.
            let _ = serde_json::to_writer(&mut *text, self.keys.value(entry));
            text.push(b':');
            match self.values.is_null(entry) {
                true => text.extend_from_slice(b"null"),
                false => self.values.encode(entry, text),
            }
        }
        text.push(b'}');
    }
}
