//! The forms in which known scores are stored: the program's own table, and a user's file.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::golden::{Entry, Known, Table, Texts};
use crate::checkpoint::read_plain_text;
use crate::precision::Precision;
use crate::recipe::{Activation, Function};

/// Published scores, each with its source. Texts and sources have names there, as many models have scores of the same texts.
const PUBLISHED: &str = include_str!("golden.json");
/// The texts in that table on which a model is tried of which nothing is known.
const STANDARD: [&str; 3] = ["planet", "capital", "pasta"];
/// Far more than known scores need.
const MOST_BYTES: u64 = 64 << 20;

/// The program's own table.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Published {
    texts: HashMap<String, Texts>,
    sources: HashMap<String, String>,
    scores: Vec<PublishedScores>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PublishedScores {
    models: Vec<String>,
    texts: String,
    dtype: String,
    logits: Option<Vec<f64>>,
    probabilities: Option<Vec<f64>>,
    temperature: Option<f64>,
    tolerance: Option<f64>,
    source: String,
}

/// A user's file, or the report of a check. What the report has beside the scores is not read again.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    entries: Vec<FileEntry>,
    #[serde(rename = "run")]
    _run: Option<IgnoredAny>,
    #[serde(rename = "agrees")]
    _agrees: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileEntry {
    #[serde(default)]
    models: Vec<String>,
    query: String,
    instruction: Option<String>,
    documents: Vec<String>,
    relevant: Option<usize>,
    dtype: String,
    logits: Option<Vec<f64>>,
    probabilities: Option<Vec<f64>>,
    scores: Option<Vec<f64>>,
    temperature: Option<f64>,
    tolerance: Option<f64>,
    source: Option<String>,
    #[serde(rename = "kernels")]
    _kernels: Option<IgnoredAny>,
    #[serde(rename = "alone")]
    _alone: Option<IgnoredAny>,
    #[serde(rename = "compared")]
    _compared: Option<IgnoredAny>,
}

/// The values of an entry in either form.
struct Values {
    dtype: String,
    logits: Option<Vec<f64>>,
    probabilities: Option<Vec<f64>>,
    scores: Option<Vec<f64>>,
    temperature: Option<f64>,
    tolerance: Option<f64>,
    source: Option<String>,
}

impl Values {
    /// Checks the values, of which there must be one for each document.
    fn known(self, documents: usize) -> Result<Known> {
        let Self { temperature, tolerance, source, .. } = self;
        let dtype = Precision::ALL.into_iter().find(|precision| precision.name() == self.dtype);
        let dtype = dtype.with_context(|| {
            let [names @ .., last] = Precision::ALL.map(Precision::name);
            format!("dtype is {:?}, and should be {} or {last}", self.dtype, names.join(", "))
        })?;
        for (name, number) in [("temperature", temperature), ("tolerance", tolerance)] {
            let is_right = number.is_none_or(|number| number.is_finite() && number > 0.);
            ensure!(is_right, "{name} is {}, and should be above 0", number.unwrap_or_default());
        }
        let sigmoid = Activation { function: Function::Sigmoid, temperature: temperature.unwrap_or(1.) };
        // Scores follow from logits: where an entry has both, the logits are more exact.
        let (activation, values) = match (self.logits, self.probabilities, self.scores) {
            (Some(_), Some(_), _) | (None, Some(_), Some(_)) => {
                bail!("it has probabilities beside other values; leave one of them out")
            }
            (Some(logits), None, _) => (Some(Activation::of(Function::Identity)), logits),
            (None, Some(probabilities), None) => (Some(sigmoid), probabilities),
            (None, None, Some(scores)) => (None, scores),
            (None, None, None) => bail!("it has neither logits nor scores nor probabilities"),
        };
        let is_sigmoid = activation == Some(sigmoid);
        ensure!(temperature.is_none() || is_sigmoid, "it has a temperature, which belongs to probabilities only");
        ensure!(values.len() == documents, "it has {} values for {documents} documents", values.len());
        let outside = values.iter().find(|value| is_sigmoid && !(0. ..=1.).contains(*value));
        ensure!(outside.is_none(), "a probability is {}, and should be from 0 to 1", outside.unwrap_or(&0.));
        Ok(Known { activation, values, dtype, tolerance, source })
    }
}

impl Published {
    fn entry(&self, scores: &PublishedScores) -> Result<Entry> {
        let texts = self.texts.get(&scores.texts).with_context(|| format!("there are no texts {}", scores.texts))?;
        let source = self.sources.get(&scores.source).with_context(|| format!("no source {}", scores.source))?;
        let values = Values {
            dtype: scores.dtype.clone(),
            logits: scores.logits.clone(),
            probabilities: scores.probabilities.clone(),
            scores: None,
            temperature: scores.temperature,
            tolerance: scores.tolerance,
            source: Some(source.clone()),
        };
        let known = values.known(texts.documents.len())?;
        Ok(Entry { models: scores.models.clone(), texts: texts.clone(), known })
    }
}

impl FileEntry {
    fn read(self) -> Result<Entry> {
        let Self { models, query, instruction, documents, relevant, .. } = self;
        ensure!(!query.trim().is_empty(), "its query is empty");
        ensure!(!documents.is_empty(), "it has no documents");
        let is_there = relevant.is_none_or(|relevant| relevant < documents.len());
        ensure!(is_there, "relevant is {}, and counts the documents from 0", relevant.unwrap_or_default());
        let values = Values {
            dtype: self.dtype,
            logits: self.logits,
            probabilities: self.probabilities,
            scores: self.scores,
            temperature: self.temperature,
            tolerance: self.tolerance,
            source: self.source,
        };
        let known = values.known(documents.len())?;
        Ok(Entry { models, texts: Texts { query, instruction, documents, relevant }, known })
    }
}

/// The program's own table.
pub(super) fn read_published() -> Result<Table> {
    let table: Published = serde_json::from_str(PUBLISHED).context("the table of published scores")?;
    let entry = |scores| table.entry(scores).with_context(|| format!("the published scores of {:?}", scores.models));
    let entries = table.scores.iter().map(entry).collect::<Result<_>>()?;
    let standard = STANDARD.iter().filter_map(|name| table.texts.get(*name).cloned()).collect();
    Ok(Table { origin: "published scores".to_owned(), entries, standard })
}

/// A user's file.
pub(super) fn read_file(path: &Path) -> Result<Table> {
    let wrong = || {
        format!(
            "--golden {}: it should be a report of rerank check --format json, or have its form: \
             {{\"entries\":[{{\"query\":\"…\",\"documents\":[\"…\"],\"dtype\":\"f32\",\"logits\":[1.5]}}]}}",
            path.display()
        )
    };
    let text = read_plain_text(path, MOST_BYTES).with_context(wrong)?;
    let file: File = serde_json::from_str(&text).map_err(|error| anyhow!("{error}")).with_context(wrong)?;
    ensure!(!file.entries.is_empty(), "--golden {}: it has no entries, and nothing to compare", path.display());
    let read = |(index, entry): (usize, FileEntry)| {
        entry.read().with_context(|| format!("--golden {}: entry {}", path.display(), index + 1))
    };
    let entries = file.entries.into_iter().enumerate().map(read).collect::<Result<_>>()?;
    Ok(Table { origin: path.display().to_string(), entries, standard: Vec::new() })
}
