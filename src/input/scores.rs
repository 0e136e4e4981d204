//! A run as one JSON object with a score for each document of each query: `{"q1": {"d1": 0.5}}`, as BEIR, ranx and pytrec_eval have
//! it, or under the names of a subset and a split, as mteb's prediction files have it.

use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Result, anyhow};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};

use super::entry::{Entries, Entry, ParsedCandidate, ParsedQuery};
use super::position::Position;
use super::skim::Skim;
use super::source::{Source, read_error};
use crate::slices::first;

/// What mteb writes beside its predictions.
const MODEL: &str = "mteb_model_meta";
/// The names around a score: a subset, a split, a query and a document.
const MOST_NAMES: usize = 4;
/// The bytes behind the first line by which such an object is recognised.
const HEAD_BYTES: u64 = 1 << 16;
/// The most memory of a run that is to be ranked.
const MOST_BYTES: usize = 256 << 20;

/// Where the scores of such an object go.
pub(crate) trait ScoreSink {
    /// Takes a query for which nothing was retrieved.
    ///
    /// # Errors
    /// If it can't be taken.
    fn add_query(&mut self, query: &str) -> Result<(), String>;

    /// Takes a document of a query.
    ///
    /// # Errors
    /// What is wrong with it.
    fn add(&mut self, query: &str, document: &str, score: f64) -> Result<(), String>;
}

/// Reads such an object. The file is never held as a whole.
///
/// # Errors
/// If it can't be read, is not such an object, or has several splits.
pub(crate) fn read_scores(source: Source, sink: &mut impl ScoreSink) -> Result<()> {
    let Source { name, reader, .. } = source;
    let mut json = serde_json::Deserializer::from_reader(reader);
    Level(&mut Scores::new(sink)).deserialize(&mut json).and_then(|()| json.end()).map_err(|error| {
        let problem = format!("{name}: it is not a JSON object of scores by document ids by query ids: {error}");
        match error.is_io() {
            true => read_error(&name, error.into()),
            // Several objects, one after the other.
            false if problem.contains("trailing characters") => {
                anyhow!("{problem}; one object has all queries: `jq -s add` makes one of several")
            }
            false => anyhow!(problem),
        }
    })
}

/// Whether a source of JSON, of which this is the first line, is one such object. No more of it is read than what shows that it is none.
///
/// # Errors
/// It can't be read.
pub(super) fn are_in(source: &mut Source, first_line: &[u8]) -> Result<bool> {
    let most = first_line.len() as u64 + HEAD_BYTES;
    let mut head = Recorded { reader: Read::take(&mut source.reader, most), bytes: Vec::new() };
    let mut counter = Counter(0);
    let mut scores = Scores::new(&mut counter);
    scores.is_of_several_splits = true;
    let mut json = serde_json::Deserializer::from_reader(&mut head);
    let read = Level(&mut scores).deserialize(&mut json).and_then(|()| json.end());
    let is_in_value = scores.is_in_value;
    let (head, is_cut) = (head.bytes, head.reader.limit() == 0);
    // The end of what is looked at may lie in front of a value, and in one that is a text.
    let is_at_value = !is_in_value || head.trim_ascii_end().ends_with(b":");
    source.put_back(head);
    match read {
        Err(error) if error.is_io() => Err(read_error(&source.name, error.into())),
        Err(error) => Ok(counter.0 > 0 && error.is_eof() && is_cut && is_at_value),
        Ok(()) => Ok(counter.0 > 0),
    }
}

/// What is read, and a copy of it.
struct Recorded<R> {
    reader: R,
    bytes: Vec<u8>,
}

impl<R: Read> Read for Recorded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.bytes.extend_from_slice(first(buffer, count));
        Ok(count)
    }
}

/// Counts scores.
struct Counter(usize);

impl ScoreSink for Counter {
    fn add_query(&mut self, _query: &str) -> Result<(), String> {
        Ok(())
    }

    fn add(&mut self, _query: &str, _document: &str, _score: f64) -> Result<(), String> {
        self.0 += 1;
        Ok(())
    }
}

/// What has been read of such an object.
struct Scores<'s, S> {
    sink: &'s mut S,
    /// The names of the objects around the value at hand.
    names: Vec<String>,
    /// The names around the first query.
    split: Option<Vec<String>>,
    /// Whether scores of several splits are read, all as deep as the first.
    is_of_several_splits: bool,
    /// Whether a value has begun of which nothing is known yet.
    is_in_value: bool,
}

impl<'s, S: ScoreSink> Scores<'s, S> {
    fn new(sink: &'s mut S) -> Self {
        Self { sink, names: Vec::new(), split: None, is_of_several_splits: false, is_in_value: false }
    }

    fn add(&mut self, score: f64) -> Result<(), String> {
        let [split @ .., query, document] = &self.names[..] else {
            return Err("a number stands where the object of a query is expected".to_owned());
        };
        let first = self.split.get_or_insert_with(|| split.to_vec());
        if first.len() != split.len() {
            return Err(format!("scores stand at two depths, those of {} and of {}", named(first), named(split)));
        }
        if first != split && !self.is_of_several_splits {
            return Err(format!(
                "it holds several splits, {} and {}: take one out, as `jq '.{}'` does",
                named(first),
                named(split),
                first.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(".")
            ));
        }
        self.sink.add(query, document, score)
    }
}

fn named(split: &[String]) -> String {
    if split.is_empty() { "queries without one".to_owned() } else { split.join("/") }
}

/// A value under some names: a score, or an object of values.
struct Level<'a, 's, S>(&'a mut Scores<'s, S>);

impl<'de, S: ScoreSink> DeserializeSeed<'de> for Level<'_, '_, S> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        self.0.is_in_value = true;
        deserializer.deserialize_any(self)
    }
}

impl<'de, S: ScoreSink> Visitor<'de> for Level<'_, '_, S> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a score, or an object of scores")
    }

    fn visit_f64<E: Error>(self, score: f64) -> Result<(), E> {
        self.0.is_in_value = false;
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
        scores.is_in_value = false;
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
            scores.sink.add_query(query).map_err(A::Error::custom)?;
        }
        Ok(())
    }
}

/// The queries of such a run, whose texts stand in other files. It is small, and read as a whole.
pub(super) struct ScoredRun {
    queries: std::vec::IntoIter<ScoredQuery>,
    position: Position,
}

/// A query with the scores of its documents.
type ScoredQuery = (String, Vec<ScoredDocument>);
type ScoredDocument = (String, f64);

impl ScoredRun {
    /// Reads a run.
    ///
    /// # Errors
    /// As [`read_scores`], and if it takes too much memory.
    pub(super) fn open(source: Source) -> Result<Self> {
        let mut gathered = Gathered::default();
        read_scores(source, &mut gathered)?;
        let position = Position { read: Arc::new(AtomicU64::new(0)), size: gathered.queries.len() as u64 };
        Ok(Self { queries: gathered.queries.into_iter(), position })
    }

    /// How many of the queries have been given on.
    pub(super) fn position(&self) -> Position {
        self.position.clone()
    }
}

/// The queries in their order.
#[derive(Default)]
struct Gathered {
    queries: Vec<ScoredQuery>,
    bytes: usize,
}

impl Gathered {
    fn count(&mut self, bytes: usize) -> Result<(), String> {
        self.bytes += bytes;
        match self.bytes > MOST_BYTES {
            true => Err(format!(
                "a run in JSON is held in memory, up to {} MiB of it: write it as a TREC run",
                MOST_BYTES >> 20
            )),
            false => Ok(()),
        }
    }
}

impl ScoreSink for Gathered {
    fn add_query(&mut self, query: &str) -> Result<(), String> {
        // A list has room for four documents, or for twice as many as it has.
        self.count(size_of::<ScoredQuery>() + query.len() + 4 * size_of::<ScoredDocument>())?;
        self.queries.push((query.to_owned(), Vec::new()));
        Ok(())
    }

    fn add(&mut self, query: &str, document: &str, score: f64) -> Result<(), String> {
        if self.queries.last().is_none_or(|(last, _)| last != query) {
            self.add_query(query)?;
        }
        self.count(document.len() + 2 * size_of::<ScoredDocument>())?;
        if let Some((_, documents)) = self.queries.last_mut() {
            documents.push((document.to_owned(), score));
        }
        Ok(())
    }
}

impl Iterator for ScoredRun {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Result<Entry>> {
        self.skim(Skim::default())
    }
}

impl Entries for ScoredRun {
    fn skim(&mut self, skim: Skim) -> Option<Result<Entry>> {
        let (query_id, mut documents) = self.queries.next()?;
        let line = self.position.read.fetch_add(1, Ordering::Relaxed) + 1;
        if skim.passes_group(&query_id) {
            return Some(Ok(Entry::Passed { line, query_id, is_group: true }));
        }
        let no_text = || "a run holds no texts".to_owned();
        // The members of an object have no order: that of trec_eval is the one of all runs.
        documents.sort_by(|(one, first), (other, second)| second.total_cmp(first).then_with(|| other.cmp(one)));
        let candidate = |((id, score), rank)| {
            Ok(ParsedCandidate {
                id: Some(id),
                text: Err(no_text()),
                score: Some(score),
                rank: Some(rank),
                ..ParsedCandidate::default()
            })
        };
        let candidates = documents.into_iter().zip(1..).map(candidate).collect();
        let query =
            ParsedQuery { id: Some(query_id), text: Err(no_text()), lacks_text: true, ..ParsedQuery::default() };
        Some(Ok(Entry::Group { line, query, candidates }))
    }
}
