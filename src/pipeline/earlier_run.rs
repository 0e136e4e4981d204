//! What candidates have of an earlier run of rerank, whose output is ranked again, and what would be taken for something of this one.

use std::collections::HashSet;

use super::read::Checks;
use crate::fusion;
use crate::passages;
use crate::record::{Candidate, Group};

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
        let mut notes = Vec::new();
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
