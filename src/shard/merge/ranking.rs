//! Reads a line of ranked JSONL, as a worker wrote it.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context, Result, anyhow};
use serde::de::{Deserialize, DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::fusion;
use crate::record::{Candidate, Fields, Query, Ranked, Ranking};

/// How a line begins, up to the query's id.
const BEGINNING: &[u8] = b"{\"query_id\":";

/// The id of a line's query.
///
/// # Errors
/// If the line is none of ranked JSONL.
pub(super) fn query_id(line: &[u8]) -> Result<String> {
    let rest = line.strip_prefix(BEGINNING).context("a line is no ranking")?;
    let mut values = serde_json::Deserializer::from_slice(rest).into_iter();
    values.next().context("a line is no ranking")?.context("a line is no ranking")
}

/// The ranking that a line holds.
///
/// # Errors
/// If the line is none of ranked JSONL.
pub(super) fn parse(line: &[u8]) -> Result<Ranking> {
    let mut members = Members::read(std::str::from_utf8(line)?)?;
    let query = Query {
        id: members.need("query_id")?,
        text: members.need("query")?,
        instruction: members.take("instruction")?,
        ..Query::default()
    };
    let results: Vec<Box<RawValue>> = members.need("results")?;
    let results = results.iter().map(|result| ranked(result.get())).collect::<Result<_>>()?;
    Ok(Ranking { query: Query { fields: members.0, ..query }, results })
}

fn ranked(text: &str) -> Result<Ranked> {
    let mut members = Members::read(text)?;
    members.take::<u64>("rank")?;
    let (score, logit) = (members.number("score")?, members.number("logit")?);
    let (fused, truncated) = (members.take(fusion::FIELD)?, members.take("truncated")?);
    let candidate = Candidate {
        id: members.need("id")?,
        original_rank: members.need("original_rank")?,
        original_score: members.take("original_score")?,
        title: members.take("title")?,
        text: members.take("text")?.unwrap_or_default(),
        ..Candidate::default()
    };
    let candidate = Candidate { fields: members.0, ..candidate };
    Ok(Ranked { candidate, logit, score, truncated: truncated.unwrap_or(false), fused })
}

/// The members of an object that were not taken, in their order.
struct Members(Fields);

impl Members {
    fn read(text: &str) -> Result<Self> {
        serde_json::from_str(text).context("a line is no ranking")
    }

    fn raw(&mut self, name: &str) -> Option<Box<RawValue>> {
        let index = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.remove(index).1)
    }

    fn take<T: DeserializeOwned>(&mut self, name: &str) -> Result<Option<T>> {
        let value = self.raw(name).map(|value| serde_json::from_str(value.get()));
        value.transpose().with_context(|| format!("a line is no ranking: its `{name}` is something else"))
    }

    fn need<T: DeserializeOwned>(&mut self, name: &str) -> Result<T> {
        self.take(name)?.with_context(|| format!("a line is no ranking: it has no `{name}`"))
    }

    /// A number of 32 bits, to the bit: JSON's numbers would be rounded twice.
    fn number(&mut self, name: &str) -> Result<f32> {
        let value = self.raw(name).with_context(|| format!("a line is no ranking: it has no `{name}`"))?;
        f32::from_str(value.get()).map_err(|_| anyhow!("a line is no ranking: its `{name}` is no number"))
    }
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Object)
    }
}

struct Object;

impl<'de> Visitor<'de> for Object {
    type Value = Members;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
        let mut fields = Fields::new();
        while let Some(entry) = map.next_entry()? {
            fields.push(entry);
        }
        Ok(Members(fields))
    }
}
