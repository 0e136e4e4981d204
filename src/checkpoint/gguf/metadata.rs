//! The metadata of a GGUF file: names with typed values.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use super::cursor::Cursor;

/// A model has some dozens of names.
const MOST_NAMES: usize = 1 << 16;
/// More than any vocabulary has tokens.
const MOST_ELEMENTS: usize = 1 << 22;
/// Far more than a vocabulary of a million tokens takes.
const MOST_BYTES: usize = 256 << 20;
/// Nothing bounds what a file may call a name.
const LONGEST_SHOWN: usize = 100;

/// What stands in a GGUF file before its tensors.
#[derive(Debug, Default)]
pub(crate) struct Metadata {
    path: PathBuf,
    values: HashMap<String, Value>,
}

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    /// A whole number of any width.
    Integer(i128),
    /// A number of either precision.
    Float(f64),
    /// A truth value.
    Flag(bool),
    /// A text.
    Text(String),
    /// Whole numbers.
    Integers(Vec<i64>),
    /// Numbers.
    Floats(Vec<f32>),
    /// Truth values.
    Flags(Vec<bool>),
    /// Texts.
    Texts(Vec<String>),
}

impl Value {
    /// About the bytes that it takes in memory.
    fn bytes(&self) -> usize {
        match self {
            Self::Integer(_) | Self::Float(_) | Self::Flag(_) => size_of::<Self>(),
            Self::Text(text) => size_of::<Self>() + text.len(),
            Self::Integers(numbers) => size_of_val(numbers.as_slice()),
            Self::Floats(numbers) => size_of_val(numbers.as_slice()),
            Self::Flags(flags) => size_of_val(flags.as_slice()),
            Self::Texts(texts) => texts.iter().map(|text| size_of::<String>() + text.len()).sum(),
        }
    }

    /// What it is, in a message.
    fn kind(&self) -> &'static str {
        match self {
            Self::Integer(_) => "a whole number",
            Self::Float(_) => "a number",
            Self::Flag(_) => "true or false",
            Self::Text(_) => "a text",
            Self::Integers(_) => "a list of whole numbers",
            Self::Floats(_) => "a list of numbers",
            Self::Flags(_) => "a list of truth values",
            Self::Texts(_) => "a list of texts",
        }
    }
}

impl Metadata {
    /// Reads as many names and values as the file's head announced.
    pub(super) fn read(path: &Path, count: usize, cursor: &mut Cursor) -> Result<Self> {
        ensure!(count <= MOST_NAMES, "it announces {count} names of metadata, and no model has so many");
        let mut values = HashMap::new();
        let mut bytes = 0;
        for index in 0..count {
            let name = cursor.text().with_context(|| format!("name {} of the metadata", index + 1))?;
            let value = value(cursor).with_context(|| format!("the metadata's {}", shown(name)))?;
            bytes += value.bytes();
            ensure!(bytes <= MOST_BYTES, "{TOO_LARGE}, up to {}", shown(name));
            ensure!(values.insert(name.to_owned(), value).is_none(), "the metadata has {} twice", shown(name));
        }
        Ok(Self { path: path.to_owned(), values })
    }

    /// The file, for messages.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A value, if it is there.
    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.values.get(name)
    }

    /// All names with their values, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.values.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// The error of a value that is of another type or size. Callers add the file, which most of them name anyway.
    fn wrong(&self, name: &str, right: &str) -> anyhow::Error {
        let kind = self.get(name).map_or("missing", Value::kind);
        anyhow::anyhow!("the metadata's {name} is {kind}, and should be {right}")
    }

    fn typed<'a, T>(&'a self, name: &str, right: &str, of: impl Fn(&'a Value) -> Option<T>) -> Result<Option<T>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        of(value).map(Some).ok_or_else(|| self.wrong(name, right))
    }

    /// A text.
    ///
    /// # Errors
    /// If it is something else, as with the other types below.
    pub(crate) fn text(&self, name: &str) -> Result<Option<&str>> {
        self.typed(name, "a text", |value| match value {
            Value::Text(text) => Some(text.as_str()),
            _ => None,
        })
    }

    /// A whole number from 0 on.
    pub(crate) fn count(&self, name: &str) -> Result<Option<usize>> {
        self.typed(name, "a whole number from 0 on", |value| match value {
            Value::Integer(number) => usize::try_from(*number).ok(),
            _ => None,
        })
    }

    /// The id of a token.
    pub(crate) fn token(&self, name: &str) -> Result<Option<u32>> {
        self.typed(name, "a token's id", |value| match value {
            Value::Integer(number) => u32::try_from(*number).ok(),
            _ => None,
        })
    }

    /// A finite number.
    pub(crate) fn number(&self, name: &str) -> Result<Option<f64>> {
        self.typed(name, "a finite number", |value| match value {
            Value::Integer(number) => Some(*number as f64),
            Value::Float(number) if number.is_finite() => Some(*number),
            _ => None,
        })
    }

    /// A truth value.
    pub(crate) fn flag(&self, name: &str) -> Result<Option<bool>> {
        self.typed(name, "true or false", |value| match value {
            Value::Flag(flag) => Some(*flag),
            _ => None,
        })
    }

    /// A list of texts.
    pub(crate) fn texts(&self, name: &str) -> Result<Option<&[String]>> {
        self.typed(name, "a list of texts", |value| match value {
            Value::Texts(texts) => Some(texts.as_slice()),
            _ => None,
        })
    }

    /// A list of whole numbers.
    pub(crate) fn integers(&self, name: &str) -> Result<Option<&[i64]>> {
        self.typed(name, "a list of whole numbers", |value| match value {
            Value::Integers(numbers) => Some(numbers.as_slice()),
            _ => None,
        })
    }

    /// A list of numbers.
    pub(crate) fn floats(&self, name: &str) -> Result<Option<&[f32]>> {
        self.typed(name, "a list of numbers", |value| match value {
            Value::Floats(numbers) => Some(numbers.as_slice()),
            _ => None,
        })
    }
}

/// The beginning of a name.
pub(super) fn shown(name: &str) -> String {
    name.chars().take(LONGEST_SHOWN).collect()
}

const TOO_LARGE: &str = "the metadata take more than 256 MiB, and no model has so much";

/// The number of the type of lists.
const LIST: u32 = 9;

fn value(cursor: &mut Cursor) -> Result<Value> {
    Ok(match cursor.u32()? {
        6 => Value::Float(f32::from_le_bytes(cursor.array()?).into()),
        7 => Value::Flag(flag(cursor)?),
        8 => Value::Text(cursor.text()?.to_owned()),
        LIST => list(cursor)?,
        12 => Value::Float(f64::from_le_bytes(cursor.array()?)),
        kind => Value::Integer(integer(kind, cursor)?),
    })
}

fn integer(kind: u32, cursor: &mut Cursor) -> Result<i128> {
    Ok(match kind {
        0 => u8::from_le_bytes(cursor.array()?).into(),
        1 => i8::from_le_bytes(cursor.array()?).into(),
        2 => u16::from_le_bytes(cursor.array()?).into(),
        3 => i16::from_le_bytes(cursor.array()?).into(),
        4 => u32::from_le_bytes(cursor.array()?).into(),
        5 => i32::from_le_bytes(cursor.array()?).into(),
        10 => u64::from_le_bytes(cursor.array()?).into(),
        11 => i64::from_le_bytes(cursor.array()?).into(),
        other => bail!("its type has the number {other}, and GGUF has types from 0 to 12; download the file again"),
    })
}

fn flag(cursor: &mut Cursor) -> Result<bool> {
    match cursor.array()? {
        [0] => Ok(false),
        [1] => Ok(true),
        [other] => bail!("a truth value is {other}, and can be 0 or 1; download the file again"),
    }
}

fn list(cursor: &mut Cursor) -> Result<Value> {
    let kind = cursor.u32()?;
    let least = match kind {
        2 | 3 => 2,
        4..=6 => 4,
        8 | 10..=12 => 8,
        LIST => bail!("it is a list of lists, which llama.cpp does not read either"),
        _ => 1,
    };
    let count = cursor.count("elements", least)?;
    ensure!(count <= MOST_ELEMENTS, "it has {count} elements, and no list of a model has so many");
    let each = 0..count;
    Ok(match kind {
        6 => Value::Floats(each.map(|_| Ok(f32::from_le_bytes(cursor.array()?))).collect::<Result<_>>()?),
        7 => Value::Flags(each.map(|_| flag(cursor)).collect::<Result<_>>()?),
        8 => {
            let mut bytes = 0;
            let mut text = |cursor: &mut Cursor| {
                let text = cursor.text()?;
                bytes += text.len();
                ensure!(bytes <= MOST_BYTES, TOO_LARGE);
                Ok(text.to_owned())
            };
            Value::Texts(each.map(|_| text(cursor)).collect::<Result<_>>()?)
        }
        12 => Value::Floats(each.map(|_| Ok(f64::from_le_bytes(cursor.array()?) as f32)).collect::<Result<_>>()?),
        kind => {
            let number = |cursor: &mut Cursor| {
                i64::try_from(integer(kind, cursor)?).context("it has a number beyond 64 bits with a sign")
            };
            Value::Integers(each.map(|_| number(cursor)).collect::<Result<_>>()?)
        }
    })
}
