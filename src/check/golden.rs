//! Scores that are known of models: published ones, which the program has itself, or those of a user's file.

use std::path::Path;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::stored::{read_file, read_published};
use crate::exit::UsageError;
use crate::precision::Precision;
use crate::recipe::Activation;

/// A query with documents.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Texts {
    /// The query.
    pub query: String,
    /// The instruction, where it is not the recipe's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instruction: Option<String>,
    /// The documents.
    pub documents: Vec<String>,
    /// The index of the document that answers the query, if one does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relevant: Option<usize>,
}

/// What is known of the scores of a query's documents.
#[derive(Clone, Debug, PartialEq)]
pub struct Known {
    /// What makes the values of the logits; none, if they are scores as a run prints them.
    pub activation: Option<Activation>,
    /// A value for each document.
    pub values: Vec<f64>,
    /// The precision in which they were computed.
    pub dtype: Precision,
    /// How far off a logit may be, where that does not follow from the precision.
    pub tolerance: Option<f64>,
    /// Where they were published.
    pub source: Option<String>,
}

/// Texts with all that is known of their scores.
#[derive(Clone, Debug, PartialEq)]
pub struct Golden {
    /// The texts.
    pub texts: Texts,
    /// Their scores; none where nothing is compared.
    pub known: Vec<Known>,
}

/// Texts with the scores of some models.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    /// The models' names on the hub; none for any model.
    pub(super) models: Vec<String>,
    pub(super) texts: Texts,
    pub(super) known: Known,
}

/// Known scores, of one model or of several.
#[derive(Clone, Debug)]
pub struct Table {
    /// Where they were read, for messages.
    pub origin: String,
    pub(super) entries: Vec<Entry>,
    /// Texts that every reranker can be tried on.
    pub(super) standard: Vec<Texts>,
}

impl Table {
    /// The published scores that the program has itself.
    ///
    /// # Errors
    /// If the table is malformed, which a test excludes.
    pub fn published() -> Result<Self> {
        read_published()
    }

    /// Scores in a file of the user's: what a check prints as JSON, or one in the same form.
    ///
    /// # Errors
    /// If it can't be read, or is not in this form.
    pub fn read(path: &Path) -> Result<Self> {
        read_file(path)
    }

    /// The names of all models in it, in their order, without repetitions.
    pub fn models(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for name in self.entries.iter().flat_map(|entry| &entry.models) {
            if !names.contains(&name.as_str()) {
                names.push(name);
            }
        }
        names
    }

    /// What is known of a model, or what holds for any model if it has no name.
    pub fn golden(&self, model: Option<&str>) -> Vec<Golden> {
        let mut found: Vec<Golden> = Vec::new();
        for Entry { models, texts, known } in &self.entries {
            let is_meant = models.is_empty() || models.iter().any(|name| Some(name.as_str()) == model);
            if !is_meant {
                continue;
            }
            match found.iter_mut().find(|golden| golden.texts == *texts) {
                Some(golden) => golden.known.push(known.clone()),
                None => found.push(Golden { texts: texts.clone(), known: vec![known.clone()] }),
            }
        }
        found
    }

    /// The texts on which a model is tried of which nothing is known, with the user's instruction.
    pub fn standard(&self, instruction: Option<&str>) -> Vec<Golden> {
        let instructed = |texts: &Texts| Texts { instruction: instruction.map(str::to_owned), ..texts.clone() };
        self.standard.iter().map(|texts| Golden { texts: instructed(texts), known: Vec::new() }).collect()
    }
}

impl Golden {
    /// Checks that known scores can be those of a model whose logits become scores by this activation.
    ///
    /// # Errors
    /// If they are no probabilities, and the model's are.
    pub(super) fn check(&self, activation: Activation) -> Result<()> {
        let scores = self.known.iter().filter(|known| known.activation.is_none()).flat_map(|known| &known.values);
        let outside = scores.filter(|_| activation.is_probability()).find(|score| !(0. ..=1.).contains(*score));
        if let Some(score) = outside {
            return Err(UsageError::new(format!(
                "--golden: a score of the query {:?} is {score}, and the model's scores are probabilities ({}); if the file \
                 has logits, call them so",
                self.texts.query,
                activation.name()
            ))
            .into());
        }
        Ok(())
    }

    /// What scores of a precision are compared with: values of the same one, or else of the most precise that there is.
    pub fn nearest(&self, dtype: Precision) -> impl Iterator<Item = &Known> {
        let rank = move |known: &Known| {
            let bits = match known.dtype {
                Precision::F32 => 24,
                Precision::F16 => 11,
                Precision::Bf16 | Precision::Int16 => 8,
                Precision::Int8 => 7,
                Precision::Fp8 => 4,
            };
            (known.dtype == dtype, bits)
        };
        let best = self.known.iter().map(rank).max();
        self.known.iter().filter(move |known| Some(rank(known)) == best)
    }
}
