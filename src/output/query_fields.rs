//! The carried fields of a query in a table, whose rows have those of its candidates beside them.
//!
//! A candidate's field has the column of its name. The same field of the query stands in another column, whatever the candidates
//! have: a name that depended on them would be found out too late, as the header is written with the first ranking.

use ahash::AHashSet;
use serde_json::value::RawValue;

use crate::input::WRITTEN_COLUMNS;
use crate::record::Ranking;

const PREFIX: &str = "query_";

/// The column of a query's field: `query_topic` of `topic`, and `query_query_topic` of `query_topic`, so that no two share one.
pub(crate) fn query_column(name: &str) -> String {
    format!("{PREFIX}{name}")
}

/// The fields of a ranking's query, under the names of their columns.
#[derive(Default)]
pub(super) struct QueryFields<'a> {
    /// Each one's column and its value.
    pub(super) columns: Vec<(String, &'a RawValue)>,
    /// The fields whose column is one of rerank's own, or has a candidate's field.
    pub(super) taken: Vec<&'a str>,
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
        let taken: AHashSet<&str> = WRITTEN_COLUMNS.into_iter().chain(of_candidates).collect();
        for (name, value) in fields {
            let column = query_column(name);
            match taken.contains(column.as_str()) {
                true => found.taken.push(name),
                false => found.columns.push((column, value)),
            }
        }
        found
    }
}
