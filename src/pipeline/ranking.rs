//! The second half of a run: the weights are loaded, the groups that are left are ranked, and the outputs get their names.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use anyhow::Result;

use super::collect::End;
use super::conclusion::Conclusion;
use super::setup;
use super::shards::{self, Stored};
use super::stages::Stages;
use crate::config::EvaluationChoice;
use crate::exit::Exit;
use crate::input::Event;
use crate::output::{OutputFile, Writer};
use crate::progress::{Reporter, Verbosity};
use crate::setup::{Loading, finish_cache};
use crate::stats::Stats;

/// A run whose files are open and whose options fit them.
pub(super) struct RankingRun<'a> {
    pub(super) stages: Stages<'a>,
    pub(super) reporter: &'a Arc<Reporter>,
    /// What is done with the output when it is complete.
    pub(super) stored: Stored<'a>,
    pub(super) stats_file: Option<OutputFile>,
    /// When the run began.
    pub(super) began: Instant,
    /// When it began to look at the model's files.
    pub(super) loading: Instant,
}

/// How scoring ended, and how writing did.
type Ends = (Result<End>, Result<Vec<String>>);

impl RankingRun<'_> {
    /// Ranks the groups; none, if the output has all of them.
    ///
    /// # Errors
    /// If the model can't be loaded, or the figures can't be written.
    pub(super) fn run<I>(self, events: Option<I>, writer: Writer) -> Result<Exit>
    where
        I: Iterator<Item = Result<Event>> + Send + 'static,
    {
        let Stages { config, setup, faults, reading, .. } = self.stages;
        let mut stats = setup::stats(setup, config);
        let (scored, written) = self.rank(events, writer, &mut stats)?;
        let Self { stages, reporter, stored, stats_file, began, .. } = self;
        let kept = finish_cache(config.cache.as_ref(), stages.cache.as_deref(), reporter);
        reporter.finish();
        stats.resumed = reading.resumed.queries.load(Ordering::Relaxed);
        let stop = stored.stop;
        let written = shards::finish(stored, &scored, written, (faults, &stats), reporter);
        stats.derive(began.elapsed());
        let cuts_documents = config.splitting.is_none();
        let compute = &setup.compute;
        let exit = Conclusion { reporter, faults, stop, compute, cuts_documents, stats, stats_file }
            .conclude(scored, written)?;
        Ok(match kept {
            Ok(()) => exit,
            Err(error) => {
                reporter.error(&format!("{error:#}"));
                if exit == Exit::Done { Exit::Failed } else { exit }
            }
        })
    }

    fn rank<I>(&self, events: Option<I>, writer: Writer, stats: &mut Stats) -> Result<Ends>
    where
        I: Iterator<Item = Result<Event>> + Send + 'static,
    {
        let Self { stages, reporter, stored, loading, .. } = self;
        let config = stages.config;
        let Some(events) = events else {
            config.evaluation.iter().for_each(|evaluation| reporter.note(&unevaluated(evaluation)));
            return Ok((Ok(End::Complete), writer.finish(stages.faults.skipped())));
        };
        // A profile slows a GPU down a little, so it is kept only if somebody will see it.
        let profiled = config.stats.is_some() || config.verbosity == Verbosity::Verbose;
        let is_deferred = stages.cache.as_ref().is_some_and(|cache| !cache.is_empty());
        let when = if is_deferred { Loading::WhenNeeded { profiled } } else { Loading::AtOnce { profiled } };
        let loaded = stages.setup.load(when, reporter)?;
        stats.load_seconds = loading.elapsed().as_secs_f64();
        Ok(stages.rank(events, (loaded, writer), (reporter, stored.stop), stats))
    }
}

/// The note that a complete output leaves nothing to evaluate.
fn unevaluated(evaluation: &EvaluationChoice) -> String {
    format!(
        "--qrels {}: this run ranks nothing that could be evaluated, as the output is complete; rerank eval evaluates it",
        evaluation.qrels.display()
    )
}
