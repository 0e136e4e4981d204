//! Stage 6, write: rankings become lines. Formatters append to a buffer, and one [`Writer`] owns the file.

// What stands in files can end nothing but the record or the run that it is in: no panic.
#![cfg_attr(
    not(test),
    warn(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::string_slice,
        clippy::get_unwrap,
        clippy::panic,
        clippy::unreachable,
        clippy::todo,
        clippy::unimplemented
    )
)]

mod atomic;
#[cfg(feature = "parquet")]
mod columnar;
mod compression;
mod csv;
mod destination;
mod errors;
mod file;
mod jsonl;
mod left_out;
mod msmarco;
mod query_fields;
mod run_record;
mod staged;
mod trec;
mod writer;

use std::io::{self, ErrorKind};
use std::path::Path;

use anyhow::Result;
use clap::ValueEnum;

use crate::column_types::ColumnTypes;
use crate::record::{Candidate, Group, Query, Ranking};

pub(crate) use atomic::{check as check_folder, replace as replace_file};
#[cfg(feature = "parquet")]
pub(crate) use columnar::other_fields::NAME as OTHER_FIELDS;
pub use compression::{Compression, extension};
pub(crate) use compression::{Compressor, MEMBER_BYTES};
pub use destination::{Destination, Upload};
pub use errors::ErrorsFile;
pub use file::{Existing, OutputFile, exit_at_once};
pub(crate) use left_out::left_out_note;
#[cfg(feature = "parquet")]
pub(crate) use query_fields::query_column;
pub use run_record::BrokenOff;
pub(crate) use run_record::RunRecord;
pub use trec::check_tag;
pub(crate) use writer::Continuation;
pub use writer::{Closed, NotKept, Writer};

/// Whether a write failed because there is no room.
fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge)
}

/// What helps first after a write that failed.
pub(crate) fn remedy(error: &io::Error) -> &'static str {
    if is_full(error) { "make room" } else { "mend that" }
}

/// How rankings are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// A JSON object for each query on a line of its own.
    Jsonl,
    /// `query Q0 document rank score rerank`, for trec_eval.
    Trec,
    /// `query document rank` between tabs, as MS MARCO's evaluation reads it.
    Msmarco,
    /// A header, then a row for each candidate.
    Csv,
    /// As CSV, with tabs: a cell with a tab, a quote or a line break is quoted; rerank knows such files by their header.
    Tsv,
    /// Parquet, a row for each candidate; the file is there when it is whole.
    Parquet,
}

impl OutputFormat {
    /// The format that a file's extension names; JSONL if it names none.
    pub fn of(path: &Path) -> Self {
        match extension(path).as_deref() {
            Some("trec" | "run") => Self::Trec,
            Some("csv") => Self::Csv,
            Some("tsv") => Self::Tsv,
            Some("parquet") => Self::Parquet,
            _ => Self::Jsonl,
        }
    }

    /// The name by which users choose it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Jsonl => "jsonl",
            Self::Trec => "trec",
            Self::Msmarco => "msmarco",
            Self::Csv => "csv",
            Self::Tsv => "tsv",
            Self::Parquet => "parquet",
        }
    }

    /// The reason why a group can't be written in this format, if there is one. It is checked before the group is scored.
    pub fn objection(self, group: &Group) -> Option<String> {
        self.objection_to_ids(&group.query, group.candidates.iter())
    }

    /// The reason why a ranking can't be written in this format, if there is one.
    pub fn objection_to(self, ranking: &Ranking) -> Option<String> {
        self.objection_to_ids(&ranking.query, ranking.results.iter().map(|result| &result.candidate))
    }

    fn objection_to_ids<'a>(self, query: &Query, candidates: impl Iterator<Item = &'a Candidate>) -> Option<String> {
        let kind = self.run()?;
        let mut ids = std::iter::once(query.id.as_str()).chain(candidates.map(|candidate| candidate.id.as_str()));
        ids.find_map(|id| trec::objection(id, kind))
    }

    /// What a user should know if identifiers that the input does not have are written to a run: no judgement knows them.
    pub fn generated_ids_note(self, group: &Group) -> Option<String> {
        let kind = self.run()?;
        let candidate = group.candidates.iter().find(|candidate| candidate.has_generated_id);
        let (what, given) = match candidate {
            _ if group.query.has_generated_id => ("the query has no id", "its number in the input, "),
            Some(_) => ("a candidate has no id", "its position in the list, "),
            None => return None,
        };
        let id = candidate.filter(|_| !group.query.has_generated_id).map_or(&group.query.id, |candidate| &candidate.id);
        Some(format!("{}: {what}; {given}{id}, is written to {kind}, and qrels hardly know it", group.place))
    }

    /// Whether it holds identifiers, ranks and scores only.
    pub fn is_run(self) -> bool {
        self.run().is_some()
    }

    /// What a run in this format is called, if it is one.
    fn run(self) -> Option<&'static str> {
        match self {
            Self::Trec => Some("a TREC run"),
            Self::Msmarco => Some("a run of MS MARCO"),
            _ => None,
        }
    }
}

/// How rankings are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The format.
    pub format: OutputFormat,
    /// How a file is compressed; standard output is not.
    pub compression: Compression,
    /// Whether the candidates' texts are written.
    pub text: bool,
    /// The last column of a TREC run.
    pub tag: String,
    /// The types of carried columns, for Parquet and for a merge of shards; known when the input is opened.
    pub types: ColumnTypes,
}

/// Formats the rankings of one file; some formats need to remember what they wrote before.
enum Formatter {
    Jsonl {
        text: bool,
    },
    Trec {
        tag: String,
    },
    Msmarco,
    Csv(csv::CsvFormatter),
    #[cfg(feature = "parquet")]
    Parquet(Box<columnar::ParquetFormatter>),
}

impl Formatter {
    fn new(layout: &Layout) -> Self {
        match layout.format {
            OutputFormat::Jsonl => Self::Jsonl { text: layout.text },
            OutputFormat::Trec => Self::Trec { tag: layout.tag.clone() },
            OutputFormat::Msmarco => Self::Msmarco,
            OutputFormat::Csv => Self::Csv(csv::CsvFormatter::new(b',', layout.text)),
            OutputFormat::Tsv => Self::Csv(csv::CsvFormatter::new(b'\t', layout.text)),
            #[cfg(feature = "parquet")]
            OutputFormat::Parquet => {
                Self::Parquet(Box::new(columnar::ParquetFormatter::new(layout.text, layout.types.clone())))
            }
            // The options refuse it.
            #[cfg(not(feature = "parquet"))]
            OutputFormat::Parquet => Self::Jsonl { text: layout.text },
        }
    }

    /// Appends a ranking's lines to a buffer.
    fn format(&mut self, ranking: &Ranking, buffer: &mut Vec<u8>) -> Result<()> {
        match self {
            Self::Jsonl { text } => jsonl::format(ranking, *text, buffer),
            Self::Trec { tag } => {
                trec::format(ranking, tag, buffer);
                Ok(())
            }
            Self::Msmarco => {
                msmarco::format(ranking, buffer);
                Ok(())
            }
            Self::Csv(formatter) => formatter.format(ranking, buffer),
            #[cfg(feature = "parquet")]
            Self::Parquet(formatter) => formatter.format(ranking, buffer),
        }
    }

    /// Goes on with a table whose header is written: these columns follow ours.
    fn resume(&mut self, columns: Option<Vec<String>>) {
        if let Self::Csv(formatter) = self {
            formatter.resume(columns);
        }
    }

    /// Appends what a file has even if no ranking had results: the header of CSV.
    fn finish(&mut self, buffer: &mut Vec<u8>) -> Result<()> {
        match self {
            Self::Csv(formatter) => formatter.finish(buffer),
            #[cfg(feature = "parquet")]
            Self::Parquet(formatter) => formatter.finish(buffer),
            _ => Ok(()),
        }
    }

    /// The names of fields that the output has no column for.
    fn left_out(&self) -> Vec<&str> {
        match self {
            Self::Csv(formatter) => formatter.left_out(),
            #[cfg(feature = "parquet")]
            Self::Parquet(formatter) => formatter.left_out(),
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
mod examples {
    use serde_json::value::RawValue;

    use crate::recipe::{Activation, Function};
    use crate::record::{Candidate, Query, Ranked, Ranking};

    /// A ranking with these logits, and a candidate for each.
    pub(super) fn ranking(logits: &[f32]) -> Ranking {
        let candidate = |index: usize| Candidate {
            id: format!("d{index}"),
            has_generated_id: false,
            text: format!("text \"{index}\",\nsecond line"),
            title: (index == 0).then(|| "Title".to_owned()),
            original_rank: index as i64 + 1,
            original_score: (index != 1).then_some(12.5 - index as f64),
            fields: vec![("url".into(), raw(&format!("\"http://{index}\""))), ("n".into(), raw("1.10"))],
        };
        let ranked = |(index, &logit)| Ranked {
            candidate: candidate(index),
            logit,
            score: Activation::of(Function::Sigmoid).score(logit),
            truncated: index == 1,
            fused: None,
        };
        Ranking {
            query: Query { id: "q1".into(), text: "what?".into(), ..Query::default() },
            results: logits.iter().enumerate().map(ranked).collect(),
        }
    }

    pub(super) fn raw(json: &str) -> Box<RawValue> {
        RawValue::from_string(json.to_owned()).unwrap()
    }
}
