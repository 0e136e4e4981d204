//! Qrels: which documents people judged for each query, and with which grade.

mod format;
mod nested;
mod read;

use std::path::Path;

use ahash::AHashMap;
use anyhow::{Result, bail};

pub use self::format::QrelsFormat;
use super::judged::Judgements;
use super::measures::Measure;
#[cfg(feature = "parquet")]
use crate::input::Field;
use crate::input::{Opened, Source};

/// The judgements of a set of queries.
#[derive(Debug)]
pub struct Qrels {
    name: String,
    queries: Vec<JudgedQuery>,
    index: AHashMap<Box<str>, usize>,
    notes: Vec<String>,
}

/// One query with its judgements.
#[derive(Debug)]
pub struct JudgedQuery {
    /// The query's identifier.
    pub id: Box<str>,
    /// All its grades.
    pub judgements: Judgements,
    grades: AHashMap<Box<str>, i32>,
}

impl JudgedQuery {
    /// The grade of a document; none where nobody judged it.
    pub fn grade(&self, document: &str) -> Option<i32> {
        self.grades.get(document).copied()
    }
}

impl Qrels {
    /// Reads qrels from a file, or from standard input where there is no path. Compressed ones are recognised by their content,
    /// as is the format where none is named.
    ///
    /// Grades are integers; one that is written as `1.0` is 1.
    ///
    /// # Errors
    /// If the file can't be read, is empty or in no known format, or a line is malformed, has a grade that is no integer, or
    /// judges a document that its query has had before. The message names the file and the line.
    pub fn read(path: Option<&Path>, format: Option<QrelsFormat>) -> Result<Self> {
        let mut source = open(path)?;
        let first_line = source.peek_line(format::PEEKED_BYTES)?;
        if first_line.trim_ascii().is_empty() {
            bail!("{} is empty: it holds no judgements", source.name);
        }
        let findings = source.findings.clone();
        let qrels = match format.map_or_else(|| QrelsFormat::of_content(&first_line, &source.name), Ok)? {
            QrelsFormat::Json => nested::read(source),
            format => read::read(source, format),
        };
        Ok(Self { notes: findings.take_notes(), ..qrels? })
    }

    /// What users should know of the file.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Checks that measures are defined for these grades.
    ///
    /// # Errors
    /// If one is not, with the query and the document.
    pub fn check(&self, measures: &[Measure]) -> Result<()> {
        for measure in measures.iter().filter(|measure| measure.is_limited()) {
            for query in &self.queries {
                let grades = query.judgements.grades();
                let Some((grade, error)) =
                    grades.iter().find_map(|&grade| Some((grade, measure.check_grade(grade).err()?)))
                else {
                    continue;
                };
                let documents = query.grades.iter().filter(|(_, other)| **other == grade).map(|(document, _)| document);
                let document = documents.min().map_or("", |document| &**document);
                bail!("{}: query {:?} with the document {document:?}: {error}", self.name, query.id);
            }
        }
        Ok(())
    }

    /// The file's name in messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The queries in the order in which they come first.
    pub fn queries(&self) -> &[JudgedQuery] {
        &self.queries
    }

    /// A query's judgements; none where nobody judged anything for it.
    pub fn query(&self, id: &str) -> Option<&JudgedQuery> {
        self.index.get(id).and_then(|&index| self.queries.get(index))
    }
}

/// Opens qrels. The rows of a file of columns are those of BEIR's format.
///
/// # Errors
/// If the file can't be read, or lacks a column, or one has a type that can't be used.
fn open(path: Option<&Path>) -> Result<Source> {
    let opened = Opened::open(path)?;
    #[cfg(feature = "parquet")]
    if let Opened::Columns(table) = opened {
        let columns = [Field::QueryId.aliases(), Field::Id.aliases(), &format::GRADES[..]];
        for names in columns {
            let listed = names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            anyhow::ensure!(
                table.has(names),
                "{} is read as qrels and has no column {listed}: rename the one that is it",
                table.name()
            );
        }
        return table.cells(&columns, true);
    }
    opened.into_text()
}

/// A query's identifier, and for each document its grade and the line of it.
type Gathered = (Box<str>, AHashMap<Box<str>, (i32, u64)>);

/// Gathers judgements by query.
struct QrelsBuilder {
    name: String,
    /// The word for what the numbers of lines count.
    unit: &'static str,
    index: AHashMap<Box<str>, usize>,
    /// The queries with the grade of each document, and the line of it; 0 where the file has no lines.
    queries: Vec<Gathered>,
}

impl QrelsBuilder {
    fn new(name: &str, unit: &'static str) -> Self {
        Self { name: name.to_owned(), unit, index: AHashMap::new(), queries: Vec::new() }
    }

    /// Adds a judgement.
    ///
    /// # Errors
    /// If the document was judged for this query before, as a sentence without a full stop.
    fn add(&mut self, query: &str, document: &str, grade: i32, line: u64) -> Result<(), String> {
        let index = self.index.get(query).copied().unwrap_or_else(|| {
            self.index.insert(query.into(), self.queries.len());
            self.queries.push((query.into(), AHashMap::new()));
            self.queries.len() - 1
        });
        let Some((_, grades)) = self.queries.get_mut(index) else { return Ok(()) };
        match grades.insert(document.into(), (grade, line)) {
            None => Ok(()),
            Some((earlier, first)) => {
                let unit = self.unit;
                let place = if first == 0 { String::new() } else { format!(", first on {unit} {first} as {earlier}") };
                Err(format!(
                    "query {query:?} has a judgement of the document {document:?} twice{place}: a document has one grade; \
                     remove one of the two"
                ))
            }
        }
    }

    /// Whether a query was judged.
    fn has(&self, query: &str) -> bool {
        self.index.contains_key(query)
    }

    fn finish(self) -> Result<Qrels> {
        let Self { name, index, queries, .. } = self;
        if queries.is_empty() {
            bail!("{name} is empty: it holds no judgements");
        }
        let judged = |(id, grades): Gathered| JudgedQuery {
            id,
            judgements: Judgements::new(grades.values().map(|&(grade, _)| grade)),
            grades: grades.into_iter().map(|(document, (grade, _))| (document, grade)).collect(),
        };
        Ok(Qrels { name, queries: queries.into_iter().map(judged).collect(), index, notes: Vec::new() })
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
