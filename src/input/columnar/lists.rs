//! Lists of structs as JSON, whose members are written in their own ways: an encoder of the library's would not know of which column
//! it has the structs.

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef};
use arrow_json::Encoder;
use arrow_json::writer::NullableEncoder;
use arrow_schema::{ArrowError, DataType};

/// The lists of a column.
pub(super) struct Lists<'a> {
    /// Where the items of each list begin, and where those of the last one end.
    offsets: Vec<usize>,
    items: NullableEncoder<'a>,
}

impl<'a> Lists<'a> {
    /// Lists, with the encoder that is made of their items.
    ///
    /// # Errors
    /// If the column has no lists, or the encoder can't be made.
    pub(super) fn new(
        lists: &'a dyn Array,
        encoder: impl FnOnce(&'a ArrayRef) -> Result<NullableEncoder<'a>, ArrowError>,
    ) -> Result<Self, ArrowError> {
        let (offsets, items): (Vec<usize>, _) = match lists.data_type() {
            DataType::List(_) => {
                let lists = lists.as_list::<i32>();
                (lists.offsets().iter().map(|&offset| offset as usize).collect(), lists.values())
            }
            DataType::LargeList(_) => {
                let lists = lists.as_list::<i64>();
                (lists.offsets().iter().map(|&offset| offset as usize).collect(), lists.values())
            }
            DataType::FixedSizeList(_, length) => {
                let offsets = (0..=lists.len()).map(|index| index * *length as usize);
                (offsets.collect(), lists.as_fixed_size_list().values())
            }
            other => return Err(ArrowError::JsonError(format!("{other} has no lists of structs"))),
        };
        Ok(Self { offsets, items: encoder(items)? })
    }
}

impl Encoder for Lists<'_> {
    fn encode(&mut self, index: usize, text: &mut Vec<u8>) {
        let offset = |index: usize| self.offsets.get(index).copied().unwrap_or_default();
        let first = offset(index);
        text.push(b'[');
        for item in first..offset(index + 1) {
            if item > first {
                text.push(b',');
            }
            match self.items.is_null(item) {
                true => text.extend_from_slice(b"null"),
                false => self.items.encode(item, text),
            }
        }
        text.push(b']');
    }
}
