//! How a run ended: its figures, hints, and the exit status.

use std::time::Duration;

use anyhow::Result;

use super::collect::End;
use super::faults::Faults;
use super::judging::JudgedFigures;
use crate::compute::Compute;
use crate::exit::Exit;
use crate::output::{Closed, NotKept, OutputFile, left_out_note};
use crate::progress::{Reporter, counted};
use crate::stats::{self, Stats};
use crate::stop::Stop;
use crate::store::Interrupted;

/// After a run whose ranking took longer than this, a hint is printed on how it could be faster.
const HINT_AFTER: Duration = Duration::from_secs(10);

/// What a conclusion needs of a run.
pub(super) struct Conclusion<'a> {
    pub(super) reporter: &'a Reporter,
    pub(super) faults: &'a Faults,
    pub(super) stop: &'a Stop,
    pub(super) compute: &'a Compute,
    /// Whether of long documents only the beginning was scored.
    pub(super) cuts_documents: bool,
    /// Complete but for what follows from the faults.
    pub(super) stats: Stats,
    pub(super) stats_file: Option<OutputFile>,
}

impl Conclusion<'_> {
    /// Reports how the run went, and returns its exit status. `written` has the names of fields that the format had no column
    /// for.
    ///
    /// # Errors
    /// If the figures can't be written.
    pub(super) fn conclude(mut self, scored: Result<End>, written: Result<Vec<String>>) -> Result<Exit> {
        self.stats.warnings.extend(self.faults.take_notes());
        self.stats.skipped = self.faults.skipped();
        self.stats.interrupted = matches!(scored, Ok(End::Interrupted));
        self.report();
        let is_kept = !written.as_ref().is_err_and(anyhow::Error::is::<NotKept>);
        let of_scoring = self.exit_of_scoring(scored, is_kept);
        let exit = self.exit_of_writing(written).unwrap_or(of_scoring);
        if let Some(file) = &mut self.stats_file {
            stats::write(&self.stats, file)?;
        }
        Ok(exit)
    }

    fn report(&self) {
        let Self { reporter, stats, .. } = self;
        let share = |(kind, share): (&String, &serde_json::Value)| {
            format!("{kind} {:.1}%", share.as_f64().unwrap_or_default() * 100.)
        };
        let shares: Vec<_> = stats.time_shares.iter().map(share).collect();
        if !shares.is_empty() {
            reporter.detail(&format!("time: {}", shares.join(", ")));
        }
        stats.summary().iter().for_each(|line| reporter.line(line));
        stats.evaluation.iter().filter_map(JudgedFigures::summary).for_each(|line| reporter.line(&line));
        stats.evaluation.iter().filter_map(JudgedFigures::warning).for_each(|warning| reporter.warning(&warning));
        if self.cuts_documents && stats.documents_cut > 0 {
            let pairs = counted(stats.documents_cut, "pair is", "pairs are");
            reporter.line(&format!(
                "{pairs} longer than fits, and scored without the end; --long max scores long documents in passages"
            ));
        }
        if let Some(hint) = self.compute.hint().filter(|_| stats.ranking_seconds > HINT_AFTER.as_secs_f64()) {
            reporter.line(&hint);
        }
    }

    fn exit_of_scoring(&self, scored: Result<End>, is_kept: bool) -> Exit {
        match scored {
            Ok(End::Interrupted) => self.stop.requested().unwrap_or(Exit::Interrupted),
            Ok(_) if self.faults.failed() || self.faults.skipped() > 0 => Exit::Failed,
            Ok(_) => Exit::Done,
            Err(error) => {
                let kept = if is_kept { "; complete rankings are written" } else { "" };
                self.reporter.error(&format!("{error:#}{kept}"));
                Exit::Failed
            }
        }
    }

    /// The exit status if writing has failed.
    fn exit_of_writing(&self, written: Result<Vec<String>>) -> Option<Exit> {
        match written {
            Ok(left_out) => {
                left_out_note(&left_out).iter().for_each(|note| self.reporter.warning(note));
                None
            }
            // A reader that closes the pipe, as `head` does, has what it wanted.
            Err(error) if error.is::<Closed>() => None,
            Err(error) if error.is::<NotKept>() => {
                self.reporter.error(&error.to_string());
                None
            }
            Err(error) => {
                self.reporter.error(&format!("{error:#}"));
                let interrupted = self.stop.requested().filter(|_| error.is::<Interrupted>());
                Some(interrupted.unwrap_or(Exit::Failed))
            }
        }
    }
}
