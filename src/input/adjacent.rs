//! The adjacent rows of one query, while they are read.

use super::assembly::Assembly;
use super::entry::ParsedQuery;
use super::first_seen::hash;
use super::selection::Selection;
use super::skim::Skim;

/// The adjacent rows of one query that are being read.
pub(super) enum Run {
    /// No rows.
    None,
    /// Rows that are gathered.
    Open(Key, Box<Assembly>),
    /// Rows of a query that was reported as bad, once for all of them.
    Refused(Key),
    /// Rows of a query that is passed over.
    Passed(Key),
}

/// What the rows of one query have in common: its identifier, or its text if there is no identifier.
#[derive(Debug, Hash, PartialEq, Eq)]
pub(super) enum Key {
    /// Its id.
    Id(String),
    /// Its text.
    Text(String),
}

impl Run {
    /// Whether a row of this query belongs to them.
    pub(super) fn goes_on(&self, query: &ParsedQuery) -> bool {
        match self {
            Self::None => false,
            Self::Open(key, _) | Self::Refused(key) | Self::Passed(key) => key.is_of(query),
        }
    }

    /// What the reader of the next record can pass over, when these queries come next.
    pub(super) fn skim(&self, finished: &[u64], selection: Selection) -> Skim<'_> {
        let next = finished.first().copied();
        match self {
            Self::Passed(Key::Id(open)) => Skim { next, open: Some(open), selection },
            // This query was not passed over, and is returned before the next one.
            Self::Open(_, assembly) if next.is_some_and(|next| next == hash(assembly.query_id())) => {
                Skim { next: finished.get(1).copied(), open: None, selection }
            }
            _ => Skim { next, open: None, selection },
        }
    }

    /// Whether they are the rows of this query.
    pub(super) fn is_of(&self, key: &Key) -> bool {
        match self {
            Self::None => false,
            Self::Open(open, _) | Self::Refused(open) | Self::Passed(open) => open == key,
        }
    }
}

impl Key {
    /// That of a query; nothing if it has neither an id nor a text.
    pub(super) fn of(query: &ParsedQuery) -> Option<Self> {
        match (&query.id, &query.text) {
            (Some(id), _) => Some(Self::Id(id.clone())),
            (None, Ok(text)) => Some(Self::Text(text.clone())),
            (None, Err(_)) => None,
        }
    }

    fn is_of(&self, query: &ParsedQuery) -> bool {
        match self {
            Self::Id(key) => query.id.as_ref() == Some(key),
            Self::Text(key) => query.id.is_none() && query.text.as_ref() == Ok(key),
        }
    }
}
