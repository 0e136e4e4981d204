//! The types that carried columns have in a Parquet or Arrow file: what reads the input finds them, and what writes Parquet keeps
//! them.

#[cfg(feature = "parquet")]
mod joined;
#[cfg(feature = "parquet")]
mod stored;
mod text;

use std::sync::{Arc, OnceLock};

#[cfg(feature = "parquet")]
pub(crate) use self::joined::{DATES_IN_MILLISECONDS, joined_columns};
#[cfg(feature = "parquet")]
pub(crate) use self::stored::{as_built, in_days, stated, stored};

/// The name and the type of a column as a file states them.
#[cfg(feature = "parquet")]
pub type Column = arrow_schema::Field;

/// A build that reads no columns has none.
#[cfg(not(feature = "parquet"))]
pub type Column = std::convert::Infallible;

/// The columns whose values are carried to the output, in their order. They are known when the input is opened, which is behind
/// the output: all clones share them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ColumnTypes(Arc<OnceLock<Known>>);

#[cfg_attr(not(feature = "parquet"), allow(dead_code))]
#[derive(Debug, PartialEq, Eq)]
struct Known {
    kept: Vec<Column>,
    changed: Vec<String>,
}

impl ColumnTypes {
    /// Sets the columns, unless that was done already, and sentences on those of which a merge of shards makes something else than
    /// a single run.
    #[cfg(feature = "parquet")]
    pub(crate) fn set(&self, kept: Vec<Column>, changed: Vec<String>) {
        // What was set first, for all files of an input, counts.
        let _ = self.0.set(Known { kept, changed });
    }

    /// Whether the columns are known.
    #[cfg(feature = "parquet")]
    pub(crate) fn is_set(&self) -> bool {
        self.0.get().is_some()
    }

    /// The columns; none before they are known.
    pub fn get(&self) -> &[Column] {
        self.0.get().map_or(&[], |known| &known.kept)
    }

    /// Sentences without a full stop on the columns of which a merge of shards makes something else than a single run.
    pub(crate) fn changed_by_merge(&self) -> &[String] {
        self.0.get().map_or(&[], |known| &known.changed)
    }
}

/// How an infinite number is written where JSON has to keep it: as one that no 64 bits hold.
pub(crate) const INFINITE: &str = "1e999";

/// What becomes of carried columns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Carrying {
    /// They are written as JSON or text.
    #[default]
    AsJson,
    /// They are written as JSON, and a merge of shards may make columns of it: of types that JSON brings back.
    AsJsonOfTypes,
    /// They are written as columns of their types, with all values.
    AsColumns,
}
