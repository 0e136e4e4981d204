//! Rows in JSON, with values that the library would write as something else than they are.

use std::collections::HashSet;
use std::fmt::Debug;
use std::io::Write;
use std::sync::{Arc, LazyLock};

use arrow_array::cast::AsArray;
use arrow_array::types::{Float16Type, Float32Type, Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType, StructArray};
use arrow_cast::cast;
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_json::writer::{NullableEncoder, make_encoder};
use arrow_json::{Encoder, EncoderFactory, EncoderOptions};
use arrow_schema::{ArrowError, DataType, FieldRef, Fields, TimeUnit};

use super::entries::Entries;

/// How values are written.
///
/// An infinite number is written as one that no 64 bits hold, so that who reads a score of it refuses it: the library makes null of
/// it, and a missing score of a wrong one.
#[derive(Debug)]
pub(super) enum Encoding {
    /// As JSON has them. A NaN, by which data frames mark what is missing, is null. A time with a zone is written in UTC: the library
    /// knows no names of zones. A time that no calendar has is a number.
    Json,
    /// So that a column of the same type can be made of them: a NaN is a text, times are numbers.
    Exact,
    /// A row, or a candidate in it: columns with these names exactly, and others as JSON has them.
    Rows(HashSet<String>),
}

static EXACT: LazyLock<EncoderOptions> = LazyLock::new(|| Encoding::Exact.options());

impl Encoding {
    /// The library's options for it.
    pub(super) fn options(self) -> EncoderOptions {
        EncoderOptions::default().with_encoder_factory(Arc::new(self))
    }
}

impl EncoderFactory for Encoding {
    fn make_default_encoder<'a>(
        &self,
        field: &'a FieldRef,
        array: &'a dyn Array,
        options: &'a EncoderOptions,
    ) -> Result<Option<NullableEncoder<'a>>, ArrowError> {
        let is_exact = matches!(self, Self::Exact);
        let texts = match (self, array.data_type()) {
            (Self::Rows(kept), DataType::Struct(fields)) => {
                let members = Members::new(kept, (fields, array.as_struct()), options)?;
                return Ok(Some(NullableEncoder::new(Box::new(members), array.nulls().cloned())));
            }
            (_, DataType::Map(..)) => {
                let entries = Entries::new(field, array.as_map(), options)?;
                return Ok(Some(NullableEncoder::new(Box::new(entries), array.nulls().cloned())));
            }
            (_, DataType::Float16) => numbers::<Float16Type>(array, is_exact),
            (_, DataType::Float32) => numbers::<Float32Type>(array, is_exact),
            (_, DataType::Float64) => numbers::<Float64Type>(array, is_exact),
            (Self::Exact, data_type) if data_type.is_temporal() => Some(units(array)?),
            (_, DataType::Timestamp(..) | DataType::Date32) => Some(times(array)?),
            _ => None,
        };
        Ok(texts.map(|texts| NullableEncoder::new(Box::new(Texts(texts)), array.nulls().cloned())))
    }
}

/// Numbers as JSON, if the library would not write them.
fn numbers<T: ArrowPrimitiveType>(array: &dyn Array, is_exact: bool) -> Option<Vec<String>>
where
    T::Native: Into<f64> + Debug,
{
    let values = array.as_primitive::<T>().values();
    let number = |&value: &T::Native| match value.into() {
        float if float.is_nan() && !is_exact => "null".to_owned(),
        float if float.is_nan() => format!("\"{}NaN\"", if float.is_sign_negative() { "-" } else { "" }),
        float if float.is_infinite() => format!("{}1e999", if float < 0. { "-" } else { "" }),
        _ => format!("{value:?}"),
    };
    values.iter().any(|&value| !value.into().is_finite()).then(|| values.iter().map(number).collect())
}

/// Times, dates and durations as numbers of their units; seconds as milliseconds, of which the stored columns are.
fn units(array: &dyn Array) -> Result<Vec<String>, ArrowError> {
    let narrow = match array.data_type() {
        DataType::Date32 | DataType::Time32(_) => cast(array, &DataType::Int32)?,
        _ => array.slice(0, array.len()),
    };
    let values = cast(&narrow, &DataType::Int64)?;
    let is_seconds =
        matches!(array.data_type(), DataType::Timestamp(TimeUnit::Second, _) | DataType::Time32(TimeUnit::Second));
    let scale = if is_seconds { 1000 } else { 1 };
    Ok(values
        .as_primitive::<Int64Type>()
        .values()
        .iter()
        .map(|&value| (i128::from(value) * scale).to_string())
        .collect())
}

/// Times and dates as JSON texts, those with a zone in UTC. What no calendar has is a number of units.
fn times(array: &dyn Array) -> Result<Vec<String>, ArrowError> {
    let array: ArrayRef = match array.data_type() {
        DataType::Timestamp(unit, Some(_)) => {
            let units = cast(array, &DataType::Int64)?;
            cast(&units, &DataType::Timestamp(*unit, Some("+00:00".into())))?
        }
        _ => array.slice(0, array.len()),
    };
    let options = FormatOptions::default();
    let formatter = ArrayFormatter::try_new(&array, &options)?;
    let units = units(&array)?.into_iter().enumerate();
    let time = |(index, units)| match formatter.value(index).try_to_string() {
        Ok(text) => format!("\"{text}\""),
        Err(_) => units,
    };
    Ok(units.map(time).collect())
}

/// The values of an array in JSON.
struct Texts(Vec<String>);

impl Encoder for Texts {
    fn encode(&mut self, index: usize, text: &mut Vec<u8>) {
        // Writing into memory does not fail.
        let _ = write!(text, "{}", self.0.get(index).map_or("null", String::as_str));
    }
}

/// The members of objects, each with its own way of writing. A null is left out.
struct Members<'a>(Vec<(Vec<u8>, NullableEncoder<'a>)>);

impl<'a> Members<'a> {
    fn new(
        kept: &HashSet<String>,
        (fields, array): (&'a Fields, &'a StructArray),
        options: &'a EncoderOptions,
    ) -> Result<Self, ArrowError> {
        let members = fields.iter().zip(array.columns()).map(|(field, column)| {
            let options = if kept.contains(field.name()) { &EXACT } else { options };
            let mut key = serde_json::to_vec(field.name()).map_err(|error| ArrowError::JsonError(error.to_string()))?;
            key.push(b':');
            Ok((key, make_encoder(field, column, options)?))
        });
        members.collect::<Result<_, ArrowError>>().map(Self)
    }
}

impl Encoder for Members<'_> {
    fn encode(&mut self, index: usize, text: &mut Vec<u8>) {
        text.push(b'{');
        let mut is_first = true;
        for (key, values) in self.0.iter_mut().filter(|(_, values)| !values.is_null(index)) {
            if !std::mem::take(&mut is_first) {
                text.push(b',');
            }
            text.extend_from_slice(key);
            values.encode(index, text);
        }
        text.push(b'}');
    }
}
