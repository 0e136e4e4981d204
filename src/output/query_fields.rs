//! The carried fields of a query in a table, whose rows have those of its candidates beside them.
//!
//! A candidate's field has the column of its name. The same field of the query stands in another column, whatever the candidates
//! have: a name that depended on them would be found out too late, as the header is written with the first ranking.

use std::borrow::Cow;

use ahash::AHashSet;
use serde_json::value::RawValue;

use crate::input::WRITTEN_COLUMNS;
use crate::record::Ranking;

const PREFIX: &str = "query_";

/// The column of a query's field: `query_topic` of `topic`; a name that begins so stays.
pub(crate) fn query_column(name: &str) -> Cow<'_, str> {
    if name.starts_with(PREFIX) { Cow::Borrowed(name) } else { Cow::Owned(format!("{PREFIX}{name}")) }
}

/// The fields of a ranking's query, under the names of their columns.
#[derive(Default)]
pub(super) struct QueryFields<'a> {
    /// Each one's column and its value.
    pub(super) columns: Vec<(Cow<'a, str>, &'a RawValue)>,
    /// The columns that something else has: rerank, a candidate, or the query's own field of that name.
    pub(super) taken: Vec<Cow<'a, str>>,
}

impl<'a> QueryFields<'a> {
    /// The fields of this ranking's query.
    pub(super) fn of(ranking: &'a Ranking) -> Self {
        let (mut found, fields) = (Self::default(), &ranking.query.fields);
        if fields.is_empty() {
            return found;
        }
        let of_candidates = ranking.results.iter().flat_map(|result| &result.candidate.fields);
        let of_candidates = of_candidates.map(|(name, _)| name.as_str()).filter(|name| name.starts_with(PREFIX));
        let mut taken: AHashSet<&str> = WRITTEN_COLUMNS.into_iter().chain(of_candidates).collect();
        let (whole, short): (Vec<_>, Vec<_>) = fields.iter().partition(|(name, _)| name.starts_with(PREFIX));
        for (name, value) in &whole {
            found.add(query_column(name), value, &taken);
        }
        taken.extend(whole.iter().map(|(name, _)| name.as_str()));
        for (name, value) in short {
            found.add(query_column(name), value, &taken);
        }
        found
    }

    fn add(&mut self, column: Cow<'a, str>, value: &'a RawValue, taken: &AHashSet<&str>) {
        match taken.contains(column.as_ref()) {
            true => self.taken.push(column),
            false => self.columns.push((column, value)),
        }
    }
}
