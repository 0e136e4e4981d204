//! Which types Parquet stores, and of which ones the arrays are that rows become.

use std::sync::Arc;

use arrow_schema::{DataType, FieldRef, TimeUnit};

use super::{Carrying, DATES_IN_MILLISECONDS};

/// The type that a column of this type has in a Parquet file; none, if it can't have one. Seconds become milliseconds, as all
/// writers of Parquet make them, dates in milliseconds, which may have a time of the day, become such times, list views become
/// lists, and runs their values: their values are the same.
pub(crate) fn stored(data_type: &DataType, carrying: Carrying) -> Option<DataType> {
    let again = |data_type: &DataType| stored(data_type, carrying);
    match data_type {
        DataType::Union(..) | DataType::Interval(_) => None,
        DataType::Decimal32(_, scale)
        | DataType::Decimal64(_, scale)
        | DataType::Decimal128(_, scale)
        | DataType::Decimal256(_, scale)
            if *scale < 0 =>
        {
            None
        }
        DataType::Struct(members) if members.is_empty() => None,
        // JSON has a text for a duration, and nothing for bytes.
        DataType::Duration(_)
        | DataType::Binary
        | DataType::LargeBinary
        | DataType::BinaryView
        | DataType::FixedSizeBinary(_)
            if carrying != Carrying::AsColumns =>
        {
            None
        }
        DataType::Timestamp(TimeUnit::Second, zone) => Some(DataType::Timestamp(TimeUnit::Millisecond, zone.clone())),
        DataType::Date64 => Some(DATES_IN_MILLISECONDS),
        DataType::Time32(TimeUnit::Second) => Some(DataType::Time32(TimeUnit::Millisecond)),
        DataType::ListView(item) => again(&DataType::List(Arc::clone(item))),
        DataType::LargeListView(item) => again(&DataType::LargeList(Arc::clone(item))),
        DataType::RunEndEncoded(_, values) => again(values.data_type()),
        other => nested(other, again),
    }
}

/// The type in which dates in milliseconds are dates in days, as Parquet stores those that have no time of the day.
pub(crate) fn in_days(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Date64 => DataType::Date32,
        other => nested(other, |part| Some(in_days(part))).unwrap_or_else(|| other.clone()),
    }
}

/// The type of the arrays that are built for a stored type, with the same values: the decoder of JSON knows no names of zones, no
/// dictionaries and no sorted maps.
pub(crate) fn as_built(data_type: &DataType) -> DataType {
    let again = |data_type: &DataType| Some(as_built(data_type));
    match data_type {
        DataType::Timestamp(unit, Some(_)) => DataType::Timestamp(*unit, Some("+00:00".into())),
        DataType::Dictionary(_, values) => as_built(values),
        DataType::Map(entries, true) => as_built(&DataType::Map(Arc::clone(entries), false)),
        other => nested(other, again).unwrap_or_else(|| other.clone()),
    }
}

/// The type that the file's metadata states for a stored type. Indexes of dictionaries have at least 32 bits there: a reader merges
/// the dictionaries of all pages, and the merged one may have more values than the index of the first input could count.
pub(crate) fn stated(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Dictionary(key, values) if key.primitive_width().is_some_and(|bytes| bytes < 4) => {
            DataType::Dictionary(Box::new(DataType::Int32), Box::new(stated(values)))
        }
        other => nested(other, |part| Some(stated(part))).unwrap_or_else(|| other.clone()),
    }
}

/// A type whose parts are replaced; none, if one of them can't be.
fn nested(data_type: &DataType, replace: impl Fn(&DataType) -> Option<DataType>) -> Option<DataType> {
    let field = |field: &FieldRef| {
        let data_type = replace(field.data_type())?;
        Some(Arc::new(field.as_ref().clone().with_data_type(data_type)))
    };
    Some(match data_type {
        DataType::List(item) => DataType::List(field(item)?),
        DataType::LargeList(item) => DataType::LargeList(field(item)?),
        DataType::FixedSizeList(item, length) => DataType::FixedSizeList(field(item)?, *length),
        DataType::Map(entries, is_sorted) => DataType::Map(field(entries)?, *is_sorted),
        DataType::Struct(members) => DataType::Struct(members.iter().map(field).collect::<Option<_>>()?),
        DataType::Dictionary(key, values) => DataType::Dictionary(key.clone(), Box::new(replace(values)?)),
        other => other.clone(),
    })
}
