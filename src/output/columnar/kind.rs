//! The types of carried fields, found by their values.

use arrow_schema::{DataType, Field};
use serde_json::Value;

/// Deeper values are written as JSON text.
const DEEPEST: usize = 8;

/// An object with more members is no structure but a map with keys of its own, and is written as JSON text.
const MOST_MEMBERS: usize = 64;

/// What the values of a field have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing but nulls.
    Null,
    /// `true` and `false`.
    Boolean,
    /// Integers that a double holds, too.
    Integer,
    /// Integers of 64 bits.
    LargeInteger,
    /// Numbers of which some are no integers.
    Number,
    /// Texts.
    Text,
    /// Lists of values with something in common.
    List(Box<Kind>),
    /// Objects, with all their members in the order in which these came.
    Object(Vec<(String, Kind)>),
    /// Nothing: each value is written as JSON text.
    Json,
}

impl Kind {
    /// What a value is.
    pub(super) fn of(value: &Value) -> Self {
        Self::nested(value, 0)
    }

    fn nested(value: &Value, depth: usize) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(_) => Self::Boolean,
            Value::Number(number) if number.is_i64() => match number.as_i64().is_some_and(is_double) {
                true => Self::Integer,
                false => Self::LargeInteger,
            },
            Value::Number(number) if number.is_f64() => Self::Number,
            Value::Number(_) => Self::Json,
            Value::String(_) => Self::Text,
            _ if depth == DEEPEST => Self::Json,
            Value::Array(values) => {
                let items = values.iter().map(|value| Self::nested(value, depth + 1));
                match items.fold(Self::Null, Self::join) {
                    Self::Json => Self::Json,
                    item => Self::List(Box::new(item)),
                }
            }
            Value::Object(members) if members.len() > MOST_MEMBERS => Self::Json,
            Value::Object(members) => {
                let kinds = members.iter().map(|(name, value)| (name.clone(), Self::nested(value, depth + 1)));
                let kinds: Vec<_> = kinds.collect();
                if kinds.iter().any(|(_, kind)| *kind == Self::Json) { Self::Json } else { Self::Object(kinds) }
            }
        }
    }

    /// What the values of two kinds have in common.
    pub(super) fn join(self, other: Self) -> Self {
        match (self, other) {
            (one, other) if one == other => one,
            (Self::Null, kind) | (kind, Self::Null) => kind,
            (Self::Integer, Self::LargeInteger) | (Self::LargeInteger, Self::Integer) => Self::LargeInteger,
            (Self::Integer, Self::Number) | (Self::Number, Self::Integer) => Self::Number,
            (Self::List(one), Self::List(other)) => match one.join(*other) {
                Self::Json => Self::Json,
                item => Self::List(Box::new(item)),
            },
            (Self::Object(mut members), Self::Object(others)) => {
                for (name, kind) in others {
                    match members.iter_mut().find(|(known, _)| *known == name) {
                        Some((_, known)) => *known = std::mem::replace(known, Self::Null).join(kind),
                        None => members.push((name, kind)),
                    }
                }
                let is_json = members.len() > MOST_MEMBERS || members.iter().any(|(_, kind)| *kind == Self::Json);
                if is_json { Self::Json } else { Self::Object(members) }
            }
            _ => Self::Json,
        }
    }

    /// The kind of a column, behind all values. Parquet has no structure without members: a column that would need one is JSON text.
    pub(super) fn settled(self) -> Self {
        if self.has_empty_object() { Self::Json } else { self.with_large_integers() }
    }

    /// A column of integers holds all of 64 bits.
    fn with_large_integers(self) -> Self {
        match self {
            Self::Integer => Self::LargeInteger,
            Self::List(item) => Self::List(Box::new(item.with_large_integers())),
            Self::Object(members) => {
                Self::Object(members.into_iter().map(|(name, kind)| (name, kind.with_large_integers())).collect())
            }
            other => other,
        }
    }

    fn has_empty_object(&self) -> bool {
        match self {
            Self::Object(members) => members.is_empty() || members.iter().any(|(_, kind)| kind.has_empty_object()),
            Self::List(item) => item.has_empty_object(),
            _ => false,
        }
    }

    /// Whether a value can stand in a column of this kind as it is.
    pub(super) fn holds(&self, value: &Value) -> bool {
        self.clone().join(Self::of(value)) == *self
    }

    /// The type of a column of this kind. Where there were only nulls, it is text.
    pub(super) fn data_type(&self) -> DataType {
        match self {
            Self::Null | Self::Text | Self::Json => DataType::Utf8,
            Self::Boolean => DataType::Boolean,
            Self::Integer | Self::LargeInteger => DataType::Int64,
            Self::Number => DataType::Float64,
            Self::List(item) => DataType::new_list(item.data_type(), true),
            Self::Object(members) => {
                let field = |(name, kind): &(String, Self)| Field::new(name, kind.data_type(), true);
                DataType::Struct(members.iter().map(field).collect())
            }
        }
    }
}

/// Whether a double holds an integer.
fn is_double(integer: i64) -> bool {
    integer.unsigned_abs() <= 1 << f64::MANTISSA_DIGITS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(values: &[&str]) -> Kind {
        let values = values.iter().map(|text| serde_json::from_str::<Value>(text).unwrap());
        values.map(|value| Kind::of(&value)).fold(Kind::Null, Kind::join).settled()
    }

    #[test]
    fn values_with_something_in_common_have_a_type() {
        for (values, data_type) in [
            (&["null", "1", "-2"][..], DataType::Int64),
            (&["1", "2.5"], DataType::Float64),
            (&["true"], DataType::Boolean),
            (&["\"a\"", "null"], DataType::Utf8),
            (&["[1]", "[]", "[null,2.5]"], DataType::new_list(DataType::Float64, true)),
        ] {
            let kind = kind(values);
            assert_eq!(kind.data_type(), data_type, "{values:?}");
            assert_ne!(kind, Kind::Json);
        }
        let object = kind(&[r#"{"a":1}"#, "{}", r#"{"b":"x","a":2.5}"#]);
        assert_eq!(object, Kind::Object(vec![("a".into(), Kind::Number), ("b".into(), Kind::Text)]));
    }

    #[test]
    fn values_with_nothing_in_common_are_json() {
        let many = format!("{{{}}}", (0..100).map(|name| format!("\"{name}\":1")).collect::<Vec<_>>().join(","));
        let deep = format!("{}1{}", "[".repeat(20), "]".repeat(20));
        for values in [
            &["1", "\"a\""][..],
            &["[1,\"a\"]"],
            &["{}"],
            &["18446744073709551615"],
            &["9007199254740993", "0.5"],
            &["[0.5]", "[9007199254740993]"],
            &[many.as_str()],
            &[deep.as_str()],
        ] {
            assert_eq!(kind(values), Kind::Json, "{values:?}");
        }
        let integers = kind(&["1"]);
        assert!(integers.holds(&Value::from(i64::MAX)) && !integers.holds(&Value::from(1.5)));
        assert!(Kind::Number.holds(&Value::from(1)) && !Kind::Number.holds(&Value::from(i64::MAX)));
    }
}
