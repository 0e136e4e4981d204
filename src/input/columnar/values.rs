//! Values that the library would write in JSON as something else than they are.

use std::io::Write;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Float16Type, Float32Type, Float64Type, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType,
};
use arrow_array::{Array, PrimitiveArray};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_json::writer::NullableEncoder;
use arrow_json::{Encoder, EncoderFactory, EncoderOptions};
use arrow_schema::{ArrowError, DataType, FieldRef, TimeUnit};

/// Writes an infinite number as one that no 64 bits hold, so that who reads a score of it refuses it: the library makes null of it,
/// and a missing score of a wrong one. A NaN, by which data frames mark what is missing, is null.
///
/// A time with a zone is written in UTC: the library knows no names of zones.
#[derive(Debug)]
pub(super) struct AsTheyAre;

impl EncoderFactory for AsTheyAre {
    fn make_default_encoder<'a>(
        &self,
        _field: &'a FieldRef,
        array: &'a dyn Array,
        _options: &'a EncoderOptions,
    ) -> Result<Option<NullableEncoder<'a>>, ArrowError> {
        macro_rules! numbers {
            ($kind:ty) => {{
                let array: &PrimitiveArray<$kind> = array.as_primitive::<$kind>();
                let values: Vec<f64> = array.values().iter().map(|&value| f64::from(value)).collect();
                values.iter().any(|value| value.is_infinite()).then(|| values.into_iter().map(number).collect())
            }};
        }
        macro_rules! times {
            ($kind:ty) => {
                Some(times(&array.as_primitive::<$kind>().clone().with_timezone("+00:00"))?)
            };
        }
        let texts: Option<Vec<String>> = match array.data_type() {
            DataType::Float16 => numbers!(Float16Type),
            DataType::Float32 => numbers!(Float32Type),
            DataType::Float64 => numbers!(Float64Type),
            DataType::Timestamp(TimeUnit::Second, Some(_)) => times!(TimestampSecondType),
            DataType::Timestamp(TimeUnit::Millisecond, Some(_)) => times!(TimestampMillisecondType),
            DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => times!(TimestampMicrosecondType),
            DataType::Timestamp(TimeUnit::Nanosecond, Some(_)) => times!(TimestampNanosecondType),
            _ => None,
        };
        Ok(texts.map(|texts| NullableEncoder::new(Box::new(Texts(texts)), array.nulls().cloned())))
    }
}

/// A number as JSON.
fn number(value: f64) -> String {
    match value {
        value if value.is_nan() => "null".to_owned(),
        value if value.is_infinite() => format!("{}1e999", if value < 0. { "-" } else { "" }),
        value => format!("{value:?}"),
    }
}

/// Times as JSON strings.
fn times(array: &dyn Array) -> Result<Vec<String>, ArrowError> {
    let options = FormatOptions::default();
    let formatter = ArrayFormatter::try_new(array, &options)?;
    (0..array.len()).map(|index| Ok(format!("\"{}\"", formatter.value(index).try_to_string()?))).collect()
}

/// The values of an array in JSON.
struct Texts(Vec<String>);

impl Encoder for Texts {
    fn encode(&mut self, index: usize, text: &mut Vec<u8>) {
        // Writing into memory does not fail.
        let _ = write!(text, "{}", self.0.get(index).map_or("null", String::as_str));
    }
}
