//! Rows in JSON, with values that the library would write as something else than they are.

use std::fmt::Debug;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use arrow_array::cast::AsArray;
use arrow_array::types::{Float16Type, Float32Type, Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType, StructArray};
use arrow_cast::cast;
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_json::writer::{NullableEncoder, make_encoder};
use arrow_json::{Encoder, EncoderFactory, EncoderOptions};
use arrow_schema::{ArrowError, DataType, FieldRef, Fields, TimeUnit};
use memchr::memchr;

use super::encodings::Encodings;
use super::entries::Entries;
use super::lists::Lists;
use crate::column_types::{DATES_IN_MILLISECONDS, INFINITE};
use crate::slices::behind;

/// How values are written.
///
/// An infinite number is written as one that no 64 bits hold, so that who reads a score of it refuses it: the library makes null of
/// it, and a missing score of a wrong one.
#[derive(Debug)]
pub(super) enum Encoding {
    /// As JSON has them. A NaN, by which data frames mark what is missing, is null. A time with a zone is written in UTC: the library
    /// knows no names of zones. A time outside of the years 0 to 9999 is a number of its unit: few programs read such a year.
    Json,
    /// A row: these columns in their own ways, and others as JSON has them.
    Rows(Encodings, Lost),
    /// The values of a column that has its own way.
    Column(ColumnEncoding),
}

/// A column's own way of writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnEncoding {
    /// So that a column of the same type can be made of the values: a NaN is a text, times are numbers.
    Exact,
    /// Dates in days as numbers of milliseconds, of which a column is made together with dates that another file has in them.
    DaysInMilliseconds,
    /// As JSON has the values, where nothing reads them as scores: null stands for a number that JSON lacks, and that is reported.
    Carried,
    /// The same, but for infinite numbers: a merge of shards makes a column of the same type of them.
    CarriedOfType,
}

impl ColumnEncoding {
    fn options(self) -> &'static EncoderOptions {
        static OPTIONS: LazyLock<[EncoderOptions; 4]> = LazyLock::new(|| {
            [
                ColumnEncoding::Exact,
                ColumnEncoding::DaysInMilliseconds,
                ColumnEncoding::Carried,
                ColumnEncoding::CarriedOfType,
            ]
            .map(|column| Encoding::Column(column).options())
        });
        let [exact, days, carried, of_type] = &*OPTIONS;
        match self {
            Self::Exact => exact,
            Self::DaysInMilliseconds => days,
            Self::Carried => carried,
            Self::CarriedOfType => of_type,
        }
    }
}

/// The library's options for what is written as JSON has it.
fn as_json() -> &'static EncoderOptions {
    static OPTIONS: LazyLock<EncoderOptions> = LazyLock::new(|| Encoding::Json.options());
    &OPTIONS
}

/// What stands for a number that JSON lacks, until it is reported and becomes null: no text in UTF-8 has it.
const LOST: [u8; NULL.len()] = [0xff; NULL.len()];

const NULL: &[u8] = b"null";

/// The first column of which a number was written as null.
#[derive(Clone, Debug, Default)]
pub(super) struct Lost(Arc<Mutex<LostColumn>>);

#[derive(Debug, Default)]
enum LostColumn {
    #[default]
    None,
    Found(String),
    Taken,
}

impl Lost {
    fn set(&self, column: &str) {
        let mut lost = self.lock();
        if matches!(*lost, LostColumn::None) {
            *lost = LostColumn::Found(column.to_owned());
        }
    }

    /// Takes the column, which is given once.
    pub(super) fn take(&self) -> Option<String> {
        let mut lost = self.lock();
        let LostColumn::Found(column) = &mut *lost else { return None };
        let column = std::mem::take(column);
        *lost = LostColumn::Taken;
        Some(column)
    }

    fn lock(&self) -> MutexGuard<'_, LostColumn> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

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
        let texts = match (self, array.data_type()) {
            (Self::Rows(columns, lost), DataType::Struct(_)) => return structs(columns, lost, array).map(Some),
            (_, DataType::Map(..)) => {
                let entries = Entries::new(field, array.as_map(), options)?;
                return Ok(Some(NullableEncoder::new(Box::new(entries), array.nulls().cloned())));
            }
            (_, DataType::Float16) => self.numbers::<Float16Type>(array),
            (_, DataType::Float32) => self.numbers::<Float32Type>(array),
            (_, DataType::Float64) => self.numbers::<Float64Type>(array),
            (Self::Column(ColumnEncoding::Exact), data_type) if data_type.is_temporal() => Some(units(array)?),
            (Self::Column(ColumnEncoding::DaysInMilliseconds), DataType::Date32) => {
                Some(units(&cast(array, &DATES_IN_MILLISECONDS)?)?)
            }
            (_, DataType::Timestamp(..) | DataType::Date32 | DataType::Date64) => Some(times(array)?),
            _ => None,
        };
        Ok(texts.map(|texts| NullableEncoder::new(Box::new(Texts(texts)), array.nulls().cloned())))
    }
}

impl Encoding {
    /// Numbers as JSON, if the library would not write them.
    fn numbers<T: ArrowPrimitiveType>(&self, array: &dyn Array) -> Option<Vec<Vec<u8>>>
    where
        T::Native: Into<f64> + Debug,
    {
        let values = array.as_primitive::<T>().values();
        let number = |&value: &T::Native| match (value.into(), self) {
            (float, _) if float.is_finite() => format!("{value:?}").into_bytes(),
            (float, Self::Column(ColumnEncoding::Exact)) if float.is_nan() => {
                format!("\"{}NaN\"", if float.is_sign_negative() { "-" } else { "" }).into_bytes()
            }
            (_, Self::Column(ColumnEncoding::Carried)) => LOST.to_vec(),
            (float, Self::Column(ColumnEncoding::CarriedOfType)) if float.is_nan() => LOST.to_vec(),
            (float, _) if float.is_nan() => NULL.to_vec(),
            (float, _) => format!("{}{INFINITE}", if float < 0. { "-" } else { "" }).into_bytes(),
        };
        values.iter().any(|&value| !value.into().is_finite()).then(|| values.iter().map(number).collect())
    }
}

/// Times, dates and durations as numbers of their units; seconds as milliseconds, of which the stored columns are.
fn units(array: &dyn Array) -> Result<Vec<Vec<u8>>, ArrowError> {
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
        .map(|&value| (i128::from(value) * scale).to_string().into_bytes())
        .collect())
}

/// Times and dates as JSON texts, those with a zone in UTC. Times outside of the years 0 to 9999, and dates that no calendar has, are
/// numbers of units.
fn times(array: &dyn Array) -> Result<Vec<Vec<u8>>, ArrowError> {
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
    let is_date = *array.data_type() == DataType::Date32;
    let time = |(index, units)| match formatter.value(index).try_to_string() {
        // A year that has a sign is not read back as a time's.
        Ok(text) if is_date || !text.starts_with(['+', '-']) => format!("\"{text}\"").into_bytes(),
        _ => units,
    };
    Ok(units.map(time).collect())
}

/// The values of an array in JSON.
struct Texts(Vec<Vec<u8>>);

impl Encoder for Texts {
    fn encode(&mut self, index: usize, text: &mut Vec<u8>) {
        text.extend_from_slice(self.0.get(index).map_or(NULL, Vec::as_slice));
    }
}

/// Structs, or lists of them, with their members' own ways of writing.
fn structs<'a>(columns: &Encodings, lost: &Lost, array: &'a dyn Array) -> Result<NullableEncoder<'a>, ArrowError> {
    let encoder: Box<dyn Encoder + 'a> = match array.data_type() {
        DataType::Struct(fields) => Box::new(Members::new((columns, lost), (fields, array.as_struct()))?),
        _ => Box::new(Lists::new(array, |items| structs(columns, lost, items))?),
    };
    Ok(NullableEncoder::new(encoder, array.nulls().cloned()))
}

/// The members of objects, each with its own way of writing. A null is left out.
struct Members<'a> {
    members: Vec<Member<'a>>,
    lost: Lost,
}

struct Member<'a> {
    name: &'a str,
    /// The name as JSON, and the colon behind it.
    key: Vec<u8>,
    values: NullableEncoder<'a>,
    may_lose_numbers: bool,
}

impl<'a> Members<'a> {
    fn new(
        (columns, lost): (&Encodings, &Lost),
        (fields, array): (&'a Fields, &'a StructArray),
    ) -> Result<Self, ArrowError> {
        let members = fields.iter().zip(array.columns()).map(|(field, values)| {
            let (name, column) = (field.name(), columns.of(field.name()));
            let encoder = match columns.members_of(name) {
                Some(members) => structs(members, lost, values)?,
                None => make_encoder(field, values, column.map_or(as_json(), ColumnEncoding::options))?,
            };
            let mut key = serde_json::to_vec(name).map_err(|error| ArrowError::JsonError(error.to_string()))?;
            key.push(b':');
            let may_lose_numbers = matches!(column, Some(ColumnEncoding::Carried | ColumnEncoding::CarriedOfType));
            Ok(Member { name, key, values: encoder, may_lose_numbers })
        });
        Ok(Self { members: members.collect::<Result<_, ArrowError>>()?, lost: lost.clone() })
    }
}

impl Encoder for Members<'_> {
    fn encode(&mut self, index: usize, text: &mut Vec<u8>) {
        text.push(b'{');
        let mut is_first = true;
        for member in self.members.iter_mut().filter(|member| !member.values.is_null(index)) {
            if !std::mem::take(&mut is_first) {
                text.push(b',');
            }
            text.extend_from_slice(&member.key);
            let start = text.len();
            member.values.encode(index, text);
            if member.may_lose_numbers && lost_to_null(text, start) {
                self.lost.set(member.name);
            }
        }
        text.push(b'}');
    }
}

/// Writes null for the numbers that were lost behind this place. Returns whether there was one.
fn lost_to_null(text: &mut [u8], start: usize) -> bool {
    let (mut at, mut is_lost) = (start, false);
    while let Some(offset) = memchr(LOST[0], behind(text, at)) {
        at += offset;
        text.iter_mut().skip(at).zip(NULL).for_each(|(byte, null)| *byte = *null);
        is_lost = true;
    }
    is_lost
}
