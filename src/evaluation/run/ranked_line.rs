//! What a line of ranked JSONL holds, as an evaluation reads it.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};
use serde_json::value::RawValue;

/// A query with its results. Other tools have texts of other kinds under these names, so that they are not looked into here.
#[derive(Deserialize)]
pub(super) struct Line<'a> {
    /// The query's identifier.
    #[serde(borrow)]
    pub(super) query_id: Option<Id<'a>>,
    /// The query's text.
    #[serde(borrow)]
    pub(super) query: Option<&'a RawValue>,
    /// The results, best first.
    #[serde(borrow)]
    pub(super) results: Option<Vec<Document<'a>>>,
    /// The input of a ranking: its candidates have the scores of the stage before.
    #[serde(borrow)]
    pub(super) candidates: Option<Vec<Document<'a>>>,
}

/// A document of a line.
#[derive(Deserialize)]
pub(super) struct Document<'a> {
    /// The document's identifier.
    #[serde(borrow)]
    pub(super) id: Option<Id<'a>>,
    /// The score.
    pub(super) score: Option<f64>,
    /// The model's score before the sigmoid.
    pub(super) logit: Option<f64>,
    /// The score of a fusion with the first stage, by which the results are ranked.
    pub(super) fused: Option<f64>,
    /// The rank in the first stage.
    #[serde(borrow)]
    pub(super) original_rank: Option<&'a RawValue>,
    /// The title.
    #[serde(borrow)]
    pub(super) title: Option<&'a RawValue>,
    /// The text.
    #[serde(borrow)]
    pub(super) text: Option<&'a RawValue>,
}

/// An identifier: a text, or an integer in its decimal form.
pub(in crate::evaluation) struct Id<'a>(pub(super) Cow<'a, str>);

impl Id<'_> {
    /// The identifier as a text of its own.
    pub(in crate::evaluation) fn into_string(self) -> String {
        self.0.into_owned()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Id<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(IdVisitor)
    }
}

struct IdVisitor;

impl<'de> Visitor<'de> for IdVisitor {
    type Value = Id<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an identifier: a text or an integer")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Id<'de>, E> {
        Ok(Id(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Id<'de>, E> {
        Ok(Id(Cow::Owned(text.to_owned())))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Id<'de>, E> {
        Ok(Id(Cow::Owned(number.to_string())))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Id<'de>, E> {
        Ok(Id(Cow::Owned(number.to_string())))
    }
}
