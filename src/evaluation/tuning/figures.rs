//! What a search for the best fusion has found, for people and for programs.

use std::fmt;

use serde_json::{Value, json};

use super::Gain;
use crate::evaluation::report::p_value;

/// A p-value from this one on may well be chance.
const CHANCE: f64 = 0.05;

/// What a search has found.
#[derive(Clone, Debug)]
pub struct TuningFigures {
    /// What was to be high.
    pub measure: String,
    /// The queries with judgements.
    pub queries: usize,
    /// The parts in which they were evaluated.
    pub folds: usize,
    /// The value of the first stage's scores alone.
    pub first_stage: f64,
    /// The value of the reranker alone.
    pub reranker: f64,
    /// The value of fused rankings, each by the setting that is best for the other folds.
    pub fused: f64,
    /// The gain of `fused` over the first stage.
    pub over_first_stage: Gain,
    /// The gain of `fused` over the reranker.
    pub over_reranker: Gain,
    /// The setting that each fold's others chose.
    pub chosen: Vec<String>,
    /// The setting that is best for all queries.
    pub best: String,
    /// Its value for these queries.
    pub best_value: f64,
}

impl TuningFigures {
    /// The figures as a JSON object.
    pub fn to_json(&self) -> Value {
        let gain = |gain: &Gain| json!({"mean": gain.mean, "low": finite(gain.interval.0), "high": finite(gain.interval.1), "p": gain.p});
        json!({
            "measure": self.measure,
            "queries": self.queries,
            "folds": self.folds,
            "first_stage": self.first_stage,
            "reranker": self.reranker,
            "fused": self.fused,
            "gain_over_first_stage": gain(&self.over_first_stage),
            "gain_over_reranker": gain(&self.over_reranker),
            "chosen": self.chosen,
            "best": self.best,
            "best_value": self.best_value,
        })
    }

    /// Each setting that folds chose, with how many did, the most frequent first.
    fn choices(&self) -> String {
        let mut counts: Vec<(&str, usize)> = Vec::new();
        for chosen in &self.chosen {
            match counts.iter_mut().find(|(setting, _)| setting == chosen) {
                Some((_, count)) => *count += 1,
                None => counts.push((chosen, 1)),
            }
        }
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let shown: Vec<String> = counts.iter().map(|(setting, count)| format!("{setting} in {count}")).collect();
        shown.join("; ")
    }
}

fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

impl fmt::Display for TuningFigures {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { measure, queries, folds, first_stage, reranker, fused, .. } = self;
        let difference = |gain: &Gain| {
            let (low, high) = gain.interval;
            format!("{:+.4} ({low:+.4} to {high:+.4}, p {})", gain.mean, p_value(gain.p))
        };
        writeln!(formatter, "{measure}, {queries} judged queries, cross-validation in {folds} folds")?;
        writeln!(formatter)?;
        writeln!(formatter, "first stage  {first_stage:.4}")?;
        writeln!(formatter, "reranker     {reranker:.4}")?;
        writeln!(formatter, "fused        {fused:.4}  by folds: {}", self.choices())?;
        writeln!(formatter, "gain         {} over the first stage", difference(&self.over_first_stage))?;
        writeln!(formatter, "             {} over the reranker", difference(&self.over_reranker))?;
        writeln!(formatter)?;
        let Self { best, best_value, .. } = self;
        writeln!(
            formatter,
            "--fuse {best} is best for all of these queries ({best_value:.4}); for others expect {fused:.4}"
        )?;
        let (better, gain) = match self.first_stage > self.reranker {
            true => ("first stage", &self.over_first_stage),
            false => ("reranker", &self.over_reranker),
        };
        if gain.mean <= 0. || gain.p >= CHANCE {
            writeln!(formatter, "These queries show no gain over the {better} alone that could not be chance.")?;
        }
        Ok(())
    }
}
