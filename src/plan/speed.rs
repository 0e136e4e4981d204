//! How fast a worker is: as the user knows it, or as a bench or a run has measured it.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

/// The speed of a worker.
#[derive(Clone, Debug, PartialEq)]
pub struct Speed {
    rate: Rate,
    /// The time of loading the model, in seconds, if it was measured.
    pub load_seconds: Option<f64>,
    /// The model that was measured, if a file names it.
    pub model: Option<String>,
    /// Where it comes from, for the report.
    pub source: String,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Rate {
    Pairs(f64),
    Tokens(f64),
}

/// What a report of `rerank bench --json` or `--stats` states of the speed.
#[derive(Deserialize)]
struct Measured {
    model: Option<String>,
    load_seconds: Option<f64>,
    /// The name in a bench.
    computed_tokens_per_second: Option<f64>,
    /// The name in a run's figures.
    tokens_per_second: Option<f64>,
}

impl Speed {
    /// So many pairs a second.
    pub fn of_pairs(rate: f64) -> Self {
        Self { rate: Rate::Pairs(rate), load_seconds: None, model: None, source: "--pairs-per-second".to_owned() }
    }

    /// So many computed tokens a second.
    pub fn of_tokens(rate: f64) -> Self {
        Self::measured(rate, "--tokens-per-second".to_owned())
    }

    /// So many computed tokens a second, as they were measured.
    pub(super) fn measured(rate: f64, source: String) -> Self {
        Self { rate: Rate::Tokens(rate), load_seconds: None, model: None, source }
    }

    /// The speed in a file that `rerank bench --json` has printed, or `--stats` of a run has written. What counts are the tokens, as
    /// these pairs may be longer than those.
    ///
    /// # Errors
    /// If the file can't be read, is no such file, or has several workloads.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).context("cannot read the file")?;
        let mut objects = serde_json::Deserializer::from_str(&text).into_iter::<Measured>();
        let expected = "it is neither what `rerank bench --json` prints nor what --stats of a run writes";
        let measured = objects.next().context(expected)?.context(expected)?;
        let has_rate = measured.computed_tokens_per_second.is_some() || measured.tokens_per_second.is_some();
        ensure!(has_rate || measured.load_seconds.is_some(), "{expected}");
        ensure!(
            objects.next().is_none(),
            "it has several workloads; keep the line of the one that is most like the input"
        );
        let rate = measured.computed_tokens_per_second.or(measured.tokens_per_second);
        let rate = rate.filter(|rate| rate.is_finite() && *rate > 0.).context(
            "it has no tokens_per_second above 0: name a file of a run that has scored something, or --pairs-per-second N",
        )?;
        Ok(Self {
            rate: Rate::Tokens(rate),
            load_seconds: measured.load_seconds,
            model: measured.model,
            source: path.display().to_string(),
        })
    }

    /// The seconds in which a worker scores so many pairs with so many computed tokens.
    pub(super) fn seconds(&self, pairs: f64, tokens: f64) -> f64 {
        match self.rate {
            Rate::Pairs(rate) => pairs / rate,
            Rate::Tokens(rate) => tokens / rate,
        }
    }
}
