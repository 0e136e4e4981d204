//! One JSON object with a grade for each document of each query: `{"q1": {"d1": 1}}`, as pytrec_eval and ranx have it.

use std::fmt;

use anyhow::{Result, anyhow};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, Visitor};
use serde_json::Number;

use super::read::grade;
use super::{Qrels, QrelsBuilder};
use crate::input::{Source, read_error};

/// Reads qrels.
///
/// # Errors
/// If they can't be read, or are not such an object.
pub(super) fn read(source: Source) -> Result<Qrels> {
    let Source { name, reader, .. } = source;
    let mut builder = QrelsBuilder::new(&name, "line");
    let mut json = serde_json::Deserializer::from_reader(reader);
    let queries = Level { builder: &mut builder, query: None };
    queries.deserialize(&mut json).and_then(|()| json.end()).map_err(|error| match error.is_io() {
        true => read_error(&name, error.into()),
        false => anyhow!("{name}: it is not a JSON object of grades by document ids by query ids: {error}"),
    })?;
    builder.finish()
}

/// An object: of queries, or of a query's documents.
struct Level<'a> {
    builder: &'a mut QrelsBuilder,
    query: Option<&'a str>,
}

impl<'de> DeserializeSeed<'de> for Level<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Level<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { builder, query } = self;
        while let Some(name) = map.next_key::<String>()? {
            match query {
                // Which of the two counts, or whether both do, is not for us to guess.
                None if builder.has(&name) => {
                    return Err(A::Error::custom(format!("the query {name:?} stands twice; make one object of both")));
                }
                None => map.next_value_seed(Level { builder: &mut *builder, query: Some(&name) })?,
                Some(query) => {
                    let grade = grade(&map.next_value::<Number>()?.to_string()).map_err(A::Error::custom)?;
                    builder.add(query, &name, grade, 0).map_err(A::Error::custom)?;
                }
            }
        }
        Ok(())
    }
}
