//! One JSON object with a score for each document of each query: `{"q1": {"d1": 0.5}}`, as ranx and pytrec_eval have it, or
//! under the names of a subset and a split, as mteb's prediction files have it.

use std::fmt;

use anyhow::{Result, anyhow};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};

use super::{Run, RunBuilder, TieOrder};
use crate::input::{Source, read_error};

/// What mteb writes beside its predictions.
const MODEL: &str = "mteb_model_meta";
/// The names around a score: a subset, a split, a query and a document.
const MOST_NAMES: usize = 4;

/// Reads a run. The file is never held as a whole.
///
/// # Errors
/// If it can't be read, is not such an object, or has several splits.
pub(super) fn read(source: Source) -> Result<Run> {
    let Source { name, reader, .. } = source;
    let mut scores = Scores { builder: RunBuilder::new(&name), names: Vec::new(), split: None };
    let mut json = serde_json::Deserializer::from_reader(reader);
    Level(&mut scores).deserialize(&mut json).and_then(|()| json.end()).map_err(|error| match error.is_io() {
        true => read_error(&name, error.into()),
        false => anyhow!("{name}: it is not a JSON object of scores by document ids by query ids: {error}"),
    })?;
    scores.builder.finish(TieOrder::IdDescending)
}

/// What has been read.
struct Scores {
    builder: RunBuilder,
    /// The names of the objects around the value at hand.
    names: Vec<String>,
    /// The names around the first query.
    split: Option<Vec<String>>,
}

impl Scores {
    fn add(&mut self, score: f64) -> Result<(), String> {
        let [split @ .., query, document] = &self.names[..] else {
            return Err("a number stands where the object of a query is expected".to_owned());
        };
        let first = self.split.get_or_insert_with(|| split.to_vec());
        if first != split {
            return Err(format!(
                "it holds several splits, {} and {}: take one out, as `jq '.{}'` does",
                named(first),
                named(split),
                first.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(".")
            ));
        }
        self.builder.add(query, document, score, 0).map_err(|error| error.to_string())
    }
}

fn named(split: &[String]) -> String {
    if split.is_empty() { "queries without one".to_owned() } else { split.join("/") }
}

/// A value under some names: a score, or an object of values.
struct Level<'a>(&'a mut Scores);

impl<'de> DeserializeSeed<'de> for Level<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Level<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a score, or an object of scores")
    }

    fn visit_f64<E: Error>(self, score: f64) -> Result<(), E> {
        self.0.add(score).map_err(E::custom)
    }

    fn visit_u64<E: Error>(self, score: u64) -> Result<(), E> {
        self.visit_f64(score as f64)
    }

    fn visit_i64<E: Error>(self, score: i64) -> Result<(), E> {
        self.visit_f64(score as f64)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self(scores) = self;
        if scores.names.len() == MOST_NAMES {
            return Err(A::Error::custom("objects are nested deeper than subset, split and query"));
        }
        let mut is_empty = true;
        while let Some(name) = map.next_key::<String>()? {
            is_empty = false;
            if scores.names.is_empty() && name == MODEL {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            scores.names.push(name);
            map.next_value_seed(Level(scores))?;
            scores.names.pop();
        }
        // A query for which nothing was retrieved.
        if let Some(query) = scores.names.last().filter(|_| is_empty) {
            scores.builder.add_query(query);
        }
        Ok(())
    }
}
