//! A hash of what was read for the rankings of an output: it shows whether an input has changed behind them, or in front.

use std::hash::Hasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use twox_hash::XxHash3_64;

use crate::record::{Fields, Group};

/// The XXH3 hash of the queries of an output with their candidates, in their order. The reader of the input adds those that the
/// output has, and then its writer those that are new. Inputs that differ by accident have different ones.
#[derive(Clone, Debug, Default)]
pub(super) struct Contents(Arc<AtomicU64>);

impl Contents {
    /// The contents that have this hash.
    pub(super) fn of_hash(hash: u64) -> Self {
        Self(Arc::new(AtomicU64::new(hash)))
    }

    /// Adds the next query, which has this hash.
    pub(super) fn add(&self, group: u64) {
        let mut hasher = XxHash3_64::default();
        hasher.write(&self.hash().to_le_bytes());
        hasher.write(&group.to_le_bytes());
        self.0.store(hasher.finish(), Ordering::Release);
    }

    /// The hash of all that was added.
    pub(super) fn hash(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}

/// The hash of a query with its candidates. Where it stands in the input does not count.
pub(super) fn hash_of(group: &Group) -> u64 {
    let mut hasher = XxHash3_64::default();
    let query = &group.query;
    add_texts(&mut hasher, [Some(&query.id), Some(&query.text), query.instruction.as_ref()]);
    add_fields(&mut hasher, &query.fields);
    for candidate in &group.candidates {
        add_texts(&mut hasher, [Some(&candidate.id), Some(&candidate.text), candidate.title.as_ref()]);
        hasher.write(&candidate.original_rank.to_le_bytes());
        hasher.write(&candidate.original_score.map_or(u64::MAX, f64::to_bits).to_le_bytes());
        add_fields(&mut hasher, &candidate.fields);
    }
    hasher.finish()
}

/// Adds texts with their lengths, so that no text is taken for two.
fn add_texts<const COUNT: usize>(hasher: &mut XxHash3_64, texts: [Option<&String>; COUNT]) {
    for text in texts {
        hasher.write(&text.map_or(u64::MAX, |text| text.len() as u64).to_le_bytes());
        hasher.write(text.map_or(&[], |text| text.as_bytes()));
    }
}

fn add_fields(hasher: &mut XxHash3_64, fields: &Fields) {
    hasher.write(&(fields.len() as u64).to_le_bytes());
    for (name, value) in fields {
        for text in [name, value.get()] {
            hasher.write(&(text.len() as u64).to_le_bytes());
            hasher.write(text.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Candidate, Place, Query};

    #[test]
    fn every_change_of_a_query_or_a_candidate_counts() {
        let candidate = Candidate { id: "d1".into(), text: "red".into(), original_rank: 1, ..Candidate::default() };
        let query = Query { id: "q1".into(), text: "planet".into(), ..Query::default() };
        let group = Group { query, candidates: vec![candidate], place: Place { file: "in".into(), line: 1 } };
        let changes: [fn(&mut Group); 8] = [
            |group| group.query.text.push('s'),
            |group| group.query.instruction = Some(String::new()),
            |group| group.candidates[0].text.push('s'),
            |group| group.candidates[0].title = Some(String::new()),
            |group| group.candidates[0].original_rank = 2,
            |group| group.candidates[0].original_score = Some(0.),
            |group| group.candidates.push(Candidate::default()),
            |group| (group.candidates[0].id, group.candidates[0].text) = ("d".into(), "1red".into()),
        ];
        let mut hashes: Vec<u64> = changes
            .map(|change| {
                let mut changed = group.clone();
                change(&mut changed);
                hash_of(&changed)
            })
            .to_vec();
        hashes.push(hash_of(&group));
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), changes.len() + 1);
        let moved = Group { place: Place { file: "in".into(), line: 7 }, ..group.clone() };
        assert_eq!(hash_of(&moved), hash_of(&group));
    }
}
