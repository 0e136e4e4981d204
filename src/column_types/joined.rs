//! The type that holds the values of two types.

use std::sync::Arc;

use arrow_schema::{
    DECIMAL32_MAX_PRECISION, DECIMAL64_MAX_PRECISION, DECIMAL128_MAX_PRECISION, DECIMAL256_MAX_PRECISION, DataType,
    Field, FieldRef, TimeUnit,
};

/// A decimal of this precision and scale.
type Decimal = fn(u8, i8) -> DataType;

/// The decimals, narrow ones first, each with the most digits that its bits hold.
const DECIMALS: [(u8, Decimal); 4] = [
    (DECIMAL32_MAX_PRECISION, DataType::Decimal32),
    (DECIMAL64_MAX_PRECISION, DataType::Decimal64),
    (DECIMAL128_MAX_PRECISION, DataType::Decimal128),
    (DECIMAL256_MAX_PRECISION, DataType::Decimal256),
];

/// How dates in milliseconds are stored.
pub(crate) const DATES_IN_MILLISECONDS: DataType = DataType::Timestamp(TimeUnit::Millisecond, None);

/// The type that holds all values of the columns of two types: that of the types, and of dates in days beside such in milliseconds,
/// which may have a time of the day, that of the latter. It is so of whole columns only: rows are written by the column.
pub(crate) fn joined_columns(one: &DataType, other: &DataType) -> Option<DataType> {
    match (one, other) {
        (DataType::Date32, times) | (times, DataType::Date32) if *times == DATES_IN_MILLISECONDS => Some(times.clone()),
        _ => joined(one, other),
    }
}

/// The type that holds all values of two types as they are; none, if there is no such type. Only decimals become wider, and Arrow's
/// null type, which has no values, becomes any other.
fn joined(one: &DataType, other: &DataType) -> Option<DataType> {
    match (one, other) {
        (DataType::Null, joined) | (joined, DataType::Null) => Some(joined.clone()),
        (DataType::List(one), DataType::List(other)) => Some(DataType::List(joined_field(one, other)?)),
        (DataType::LargeList(one), DataType::LargeList(other)) => Some(DataType::LargeList(joined_field(one, other)?)),
        (DataType::FixedSizeList(one, length), DataType::FixedSizeList(other, same)) if length == same => {
            Some(DataType::FixedSizeList(joined_field(one, other)?, *length))
        }
        (DataType::Struct(one), DataType::Struct(other)) if one.len() == other.len() => {
            let members = one
                .iter()
                .zip(other)
                .map(|(one, other)| if one.name() == other.name() { joined_field(one, other) } else { None });
            Some(DataType::Struct(members.collect::<Option<_>>()?))
        }
        _ if one == other => Some(one.clone()),
        _ => wider_decimal(one, other),
    }
}

fn joined_field(one: &FieldRef, other: &FieldRef) -> Option<FieldRef> {
    let is_nullable = one.is_nullable() || other.is_nullable();
    let field = Field::new(one.name(), joined(one.data_type(), other.data_type())?, is_nullable);
    Some(Arc::new(field.with_metadata(one.metadata().clone())))
}

/// The narrowest decimal that has the digits of both in front of the point, and those behind it.
fn wider_decimal(one: &DataType, other: &DataType) -> Option<DataType> {
    let ((one_precision, one_scale, one_most), (precision, scale, most)) = (decimal(one)?, decimal(other)?);
    let digits = |precision: u8, scale: i8| i16::from(precision) - i16::from(scale);
    let joined_scale = one_scale.max(scale);
    let joined_digits = digits(one_precision, one_scale).max(digits(precision, scale));
    let joined_precision = u8::try_from(joined_digits + i16::from(joined_scale)).ok()?;
    let needed = joined_precision.max(one_most).max(most);
    // Few readers know decimals of more digits than 38, so that none is made where there was none.
    let widest = one_most.max(most).max(DECIMAL128_MAX_PRECISION);
    let (_, decimal) = DECIMALS.iter().find(|(limit, _)| needed <= *limit && *limit <= widest)?;
    Some(decimal(joined_precision, joined_scale))
}

/// The precision and the scale of a decimal, and the most digits that its bits hold.
fn decimal(data_type: &DataType) -> Option<(u8, i8, u8)> {
    match *data_type {
        DataType::Decimal32(precision, scale) => Some((precision, scale, DECIMAL32_MAX_PRECISION)),
        DataType::Decimal64(precision, scale) => Some((precision, scale, DECIMAL64_MAX_PRECISION)),
        DataType::Decimal128(precision, scale) => Some((precision, scale, DECIMAL128_MAX_PRECISION)),
        DataType::Decimal256(precision, scale) => Some((precision, scale, DECIMAL256_MAX_PRECISION)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_have_room_for_the_digits_of_both() {
        use DataType::{Decimal32, Decimal64, Decimal128, Decimal256};
        for (one, other, expected) in [
            (Decimal128(21, 2), Decimal128(10, 2), Some(Decimal128(21, 2))),
            (Decimal128(10, 2), Decimal128(10, 4), Some(Decimal128(12, 4))),
            (Decimal128(38, 2), Decimal128(10, 4), None),
            (Decimal256(38, 2), Decimal128(10, 4), Some(Decimal256(40, 4))),
            (Decimal32(9, 0), Decimal32(9, 9), Some(Decimal64(18, 9))),
            (Decimal32(5, 2), Decimal256(4, 1), Some(Decimal256(5, 2))),
            (Decimal256(76, 0), Decimal128(3, 1), None),
            (Decimal128(10, 2), DataType::Int64, None),
        ] {
            assert_eq!(joined(&one, &other), expected, "{one} {other}");
            assert_eq!(joined(&other, &one), expected, "{other} {one}");
        }
    }

    #[test]
    fn days_are_times_beside_dates_in_milliseconds() {
        let zoned = DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
        for (other, expected) in [
            (DATES_IN_MILLISECONDS, Some(DATES_IN_MILLISECONDS)),
            (zoned, None),
            (DataType::Timestamp(TimeUnit::Microsecond, None), None),
            (DataType::Null, Some(DataType::Date32)),
        ] {
            assert_eq!(joined_columns(&DataType::Date32, &other), expected, "{other}");
            assert_eq!(joined_columns(&other, &DataType::Date32), expected, "{other}");
        }
    }

    #[test]
    fn nothing_changes_a_type_also_where_it_is_nested() {
        let list = |item: DataType, is_nullable| DataType::List(Arc::new(Field::new("item", item, is_nullable)));
        let pair = |name: &str, item: DataType| DataType::Struct(vec![Field::new(name, item, true)].into());
        let price = DataType::Decimal128(5, 2);
        for (one, other, expected) in [
            (DataType::Null, DataType::Date32, Some(DataType::Date32)),
            (list(DataType::Null, true), list(DataType::Int8, false), Some(list(DataType::Int8, true))),
            (pair("a", price.clone()), pair("a", DataType::Null), Some(pair("a", price.clone()))),
            (pair("a", price.clone()), pair("b", price), None),
            (list(DataType::Int8, true), list(DataType::Int16, true), None),
        ] {
            assert_eq!(joined(&one, &other), expected, "{one} {other}");
        }
    }
}
