//! What a run keeps of its batches, for its figures and for the progress that is shown.

use std::sync::{Arc, Mutex, PoisonError};

use super::read::Reading;
use crate::engine::Profile;
use crate::progress::Reporter;
use crate::session::Answered;
use crate::stats::Stats;
use crate::watch::Watch;

/// The figures of the batches so far.
pub(super) struct Figures {
    batches: u64,
    sum: Answered,
    profile: Profile,
    load: Watch,
}

impl Figures {
    pub(super) fn new(load: Watch) -> Arc<Mutex<Self>> {
        let (sum, profile) = (Answered::default(), Profile::default());
        Arc::new(Mutex::new(Self { batches: 0, sum, profile, load }))
    }

    /// What is done with each batch: it is added to the figures, and progress is shown.
    pub(super) fn watch(
        figures: &Arc<Mutex<Self>>,
        reporter: &Arc<Reporter>,
        reading: &Arc<Reading>,
    ) -> impl FnMut(Answered) + Send + 'static {
        let (figures, reporter, reading) = (Arc::clone(figures), Arc::clone(reporter), Arc::clone(reading));
        move |answered| {
            figures.lock().unwrap_or_else(PoisonError::into_inner).add(&answered);
            reporter.advance(answered.computed + answered.equal + answered.cached, answered.tokens, reading.total());
        }
    }

    fn add(&mut self, batch: &Answered) {
        self.load.look();
        // A batch that has failed ends the run.
        let Answered { computed, equal, cached, tokens, prompt_tokens, operations, profile, failed: _ } = batch;
        self.batches += u64::from(*computed > 0);
        self.sum.computed += computed;
        self.sum.cached += cached;
        self.sum.tokens += tokens;
        self.sum.prompt_tokens += prompt_tokens;
        self.sum.equal += equal;
        self.sum.operations += operations;
        if let Some(profile) = profile {
            self.profile.add(profile);
        }
    }

    /// Completes the figures of the run.
    pub(super) fn complete(&self, stats: &mut Stats) {
        stats.batches = self.batches;
        stats.pairs = self.sum.computed + self.sum.equal + self.sum.cached;
        stats.duplicates = self.sum.equal;
        stats.cached = self.sum.cached;
        stats.prompt_tokens = self.sum.prompt_tokens;
        stats.computed_tokens = self.sum.tokens;
        stats.operations = self.sum.operations;
        stats.gpus = self.load.figures();
        let shares = self.profile.shares();
        stats.time_shares = shares.into_iter().map(|(kind, share)| (kind.to_owned(), share.into())).collect();
    }
}
