//! What a run keeps of its batches, for its figures and for the progress that is shown.

use std::sync::{Arc, Mutex, PoisonError};

use super::read::Reading;
use crate::engine::Profile;
use crate::progress::Reporter;
use crate::session::Computed;
use crate::stats::Stats;
use crate::watch::Watch;

/// The figures of the batches so far.
pub(super) struct Figures {
    batches: u64,
    sum: Computed,
    profile: Profile,
    load: Watch,
}

impl Figures {
    pub(super) fn new(load: Watch) -> Arc<Mutex<Self>> {
        let (sum, profile) = (Computed::default(), Profile::default());
        Arc::new(Mutex::new(Self { batches: 0, sum, profile, load }))
    }

    /// What is done with each batch: it is added to the figures, and progress is shown.
    pub(super) fn watch(
        figures: &Arc<Mutex<Self>>,
        reporter: &Arc<Reporter>,
        reading: &Arc<Reading>,
    ) -> impl FnMut(Computed) + Send + 'static {
        let (figures, reporter, reading) = (Arc::clone(figures), Arc::clone(reporter), Arc::clone(reading));
        move |batch| {
            figures.lock().unwrap_or_else(PoisonError::into_inner).add(&batch);
            reporter.advance(batch.pairs + batch.equal, batch.tokens, reading.total());
        }
    }

    fn add(&mut self, batch: &Computed) {
        self.load.look();
        self.batches += 1;
        let Computed { pairs, tokens, prompt_tokens, equal, operations, profile } = batch;
        self.sum.pairs += pairs;
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
        stats.pairs = self.sum.pairs + self.sum.equal;
        stats.duplicates = self.sum.equal;
        stats.prompt_tokens = self.sum.prompt_tokens;
        stats.computed_tokens = self.sum.tokens;
        stats.operations = self.sum.operations;
        stats.gpus = self.load.figures();
        let shares = self.profile.shares();
        stats.time_shares = shares.into_iter().map(|(kind, share)| (kind.to_owned(), share.into())).collect();
    }
}
