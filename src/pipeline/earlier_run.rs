//! What candidates have of an earlier run of rerank, whose output is ranked again, and what would be taken for something of this one.

use std::collections::HashSet;

use super::read::Checks;
use crate::fusion::{self, Fusion};
use crate::passages;
use crate::record::{Candidate, Group};

/// The field that a candidate has beside the first stage's score, if that was taken from another one.
const SCORE: &str = "score";

/// Settles the groups of an input.
pub(super) struct EarlierRun {
    checks: Checks,
    /// What was reported of, by its name.
    reported: HashSet<&'static str>,
}

impl EarlierRun {
    /// Nothing was reported yet.
    pub(super) fn new(checks: Checks) -> Self {
        Self { checks, reported: HashSet::new() }
    }

    /// Leaves out the fields that would be taken for this run's. Returns what the user should know, each thing once.
    pub(super) fn settle(&mut self, group: &mut Group) -> Vec<String> {
        let Checks { fusion, is_split, format, .. } = self.checks;
        let mut notes: Vec<String> =
            fusion.and_then(|fusion| self.score_of_reranker(fusion, group)).into_iter().collect();
        for (name, option, is_written) in
            [(fusion::FIELD, "--fuse", fusion.is_some()), (passages::FIELD, "--long", is_split)]
        {
            // Its own takes the place of the one before.
            if !is_written && remove(name, &mut group.candidates) && !format.is_run() && self.reported.insert(name) {
                notes.push(format!(
                    "{}: the field `{name}` is left out: rerank writes it with {option}, and without that it would be taken for a \
                     result of this run; give it another name to keep it",
                    group.place
                ));
            }
        }
        notes
    }

    /// The note that a fusion takes a score as the first stage's, and it may be that of a reranker: the output of a run whose input
    /// had no scores has only its own.
    fn score_of_reranker(&mut self, fusion: Fusion, group: &Group) -> Option<String> {
        if !matches!(fusion, Fusion::Interpolation { .. }) || self.reported.contains(SCORE) {
            return None;
        }
        let has = |candidate: &Candidate, name: &str| candidate.fields.iter().any(|(known, _)| known == name);
        let found = |candidate: &Candidate| {
            let beside: Vec<_> = fusion::OF_RERANKER.into_iter().filter(|name| has(candidate, name)).collect();
            // A score that is carried was not taken.
            (candidate.original_score.is_some() && !has(candidate, SCORE) && !beside.is_empty()).then_some(beside)
        };
        let beside = group.candidates.iter().find_map(found)?;
        self.reported.insert(SCORE).then(|| {
            format!(
                "{}: `{}` beside the score: rerank writes that, and --fuse {fusion} takes this score as the first stage's; if it is the \
                 reranker's of an earlier run, name the field with the first stage's, as in --columns score=original_score, or \
                 rank the input of that run",
                group.place,
                beside.join("` and `")
            )
        })
    }
}

/// Removes a field of all candidates. Returns whether one had it.
fn remove(name: &str, candidates: &mut [Candidate]) -> bool {
    let mut is_found = false;
    for candidate in candidates {
        let before = candidate.fields.len();
        candidate.fields.retain(|(known, _)| known != name);
        is_found |= candidate.fields.len() < before;
    }
    is_found
}
