//! Stage 2, prompt: the prompts of groups are made, several groups at a time.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::Duration;

use anyhow::{Result, anyhow};
use rayon::prelude::*;

use super::byte_budget::Permit;
use super::faults::{Faults, Verdict};
use super::read::bad_query;
use crate::cache::ScoreCache;
use crate::passages::{Passages, Splitting};
use crate::recipe::{Prompt, Prompts};
use crate::record::{Candidate, Group, Query};
use crate::session::Unit;

/// Groups whose prompts are made at a time: enough for all threads, and few enough for the first batch to begin soon.
const GROUPS_AT_A_TIME: usize = 256;
/// Bytes of texts whose prompts are made at a time.
const BYTES_AT_A_TIME: usize = 1 << 20;

/// Fewer bytes than this are not worth waking other threads for: this thread keeps up with the reader alone, or else more groups
/// have come by the next time.
const FEW_BYTES: usize = 16 << 10;

/// A group whose prompts are made.
pub(super) struct Prepared {
    pub(super) group: Group,
    /// For each candidate, what is scored of its document.
    pub(super) documents: Vec<Passages>,
    /// The budget gets the group's bytes back when this is dropped.
    pub(super) permit: Permit,
}

/// Takes groups with the units that their candidates are.
pub(super) trait Sink {
    /// More groups are about to come.
    fn expect(&mut self) {}

    /// Takes a group. Returns false if no more are wanted.
    fn take(&mut self, prepared: Prepared, units: Vec<Unit>) -> bool;

    /// What has come from the input so far was taken.
    fn rest(&mut self) {}
}

/// How prompts are made.
pub(super) struct Preparation {
    pub(super) prompts: Arc<dyn Prompts>,
    /// How long documents are cut into passages; none, if they are cut to the maximum length.
    pub(super) splitting: Option<Splitting>,
    /// Where logits are looked up.
    pub(super) cache: Option<Arc<ScoreCache>>,
    /// How long the next group is waited for before a batch is scored that is not full. For a pipe that is zero, as its groups
    /// are ranked as they come. A file's next group is soon there.
    pub(super) patience: Duration,
}

/// Makes prompts until the input ends, a bad query stops the run, or the sink wants no more.
pub(super) fn prepare(
    groups: &Receiver<(Group, Permit)>,
    preparation: &Preparation,
    faults: &Faults,
    sink: &mut dyn Sink,
) {
    while let Ok(first) = groups.recv() {
        sink.expect();
        let mut next = Some(first);
        while let Some(first) = next {
            let gathered = gather(first, groups);
            if !take(gathered, preparation, faults, sink) {
                return;
            }
            next = next_within(groups, preparation.patience);
        }
        sink.rest();
    }
}

/// The first group, and those that are there already.
fn gather(first: (Group, Permit), groups: &Receiver<(Group, Permit)>) -> Vec<(Group, Permit)> {
    let mut bytes = first.0.bytes();
    let mut gathered = vec![first];
    while gathered.len() < GROUPS_AT_A_TIME && bytes < BYTES_AT_A_TIME {
        let Ok(next) = groups.try_recv() else { break };
        bytes += next.0.bytes();
        gathered.push(next);
    }
    gathered
}

fn next_within<T>(groups: &Receiver<T>, patience: Duration) -> Option<T> {
    match groups.try_recv() {
        Err(TryRecvError::Empty) if !patience.is_zero() => groups.recv_timeout(patience).ok(),
        received => received.ok(),
    }
}

/// Makes the prompts of these groups. Returns false if a bad query stops the run, or no more are wanted.
fn take(gathered: Vec<(Group, Permit)>, preparation: &Preparation, faults: &Faults, sink: &mut dyn Sink) -> bool {
    let is_little = gathered.iter().map(|(group, _)| group.bytes()).sum::<usize>() < FEW_BYTES;
    let tokenized: Vec<Result<_>> = match is_little {
        true => gathered.iter().map(|(group, _)| guarded(group, preparation, is_little)).collect(),
        false => gathered.par_iter().map(|(group, _)| guarded(group, preparation, is_little)).collect(),
    };
    for ((group, permit), result) in gathered.into_iter().zip(tokenized) {
        match result {
            Ok(Made { units, documents, note }) => {
                if let Some(note) = note {
                    faults.cut_query(&group.query.id, &note);
                }
                let prepared = Prepared { group, documents, permit };
                if !sink.take(prepared, units) {
                    return false;
                }
            }
            Err(error) => {
                if faults.report(&bad_query(&group, format!("{error:#}"))) == Verdict::Stop {
                    return false;
                }
            }
        }
    }
    true
}

/// What is made of a group.
struct Made {
    /// Those of all candidates, one after the other.
    units: Vec<Unit>,
    documents: Vec<Passages>,
    /// What users should know of its query.
    note: Option<String>,
}

/// As [`units_of`]; a panic, as a tokenizer may have for an odd text, is an error of this query.
fn guarded(group: &Group, preparation: &Preparation, is_little: bool) -> Result<Made> {
    let units = catch_unwind(AssertUnwindSafe(|| units_of(group, preparation, is_little)));
    units.unwrap_or_else(|_| Err(anyhow!("making its prompts has panicked; leave the query out, or change its texts")))
}

/// The units of a group. Those of a little text are made by this thread alone.
fn units_of(group: &Group, preparation: &Preparation, is_little: bool) -> Result<Made> {
    let (recipe, cache) = (preparation.prompts.as_ref(), preparation.cache.as_deref());
    let note = recipe.check_query(&group.query)?;
    let made = |candidate: &Candidate| -> Result<(Vec<Unit>, Passages)> {
        let (prompts, passages) = prompts_of(&group.query, candidate, preparation)?;
        Ok((prompts.into_iter().map(|prompt| Unit::new(prompt, cache)).collect(), passages))
    };
    let made: Vec<(Vec<Unit>, Passages)> = match is_little {
        true => group.candidates.iter().map(made).collect::<Result<_>>()?,
        false => group.candidates.par_iter().map(made).collect::<Result<_>>()?,
    };
    let (units, documents): (Vec<Vec<Unit>>, Vec<Passages>) = made.into_iter().unzip();
    Ok(Made { units: units.into_iter().flatten().collect(), documents, note })
}

fn prompts_of(query: &Query, candidate: &Candidate, preparation: &Preparation) -> Result<(Vec<Prompt>, Passages)> {
    let recipe = preparation.prompts.as_ref();
    if let Some(splitting) = &preparation.splitting {
        return splitting.prompts(query, candidate, recipe);
    }
    let prompt = recipe.prompt(query, &candidate.document())?;
    let (truncated, document_cut) = (prompt.truncated, prompt.document_cut);
    Ok((vec![prompt], Passages { truncated, document_cut, ..Passages::default() }))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use super::super::byte_budget::ByteBudget;
    use super::super::read::{self, Checks, Reading};
    use super::*;
    use crate::input::Event;
    use crate::output::OutputFormat;
    use crate::progress::{Progress, Reporter, Verbosity};
    use crate::record::Place;

    /// Prompts that a text with `panic` makes panic.
    struct Fragile;

    impl Prompts for Fragile {
        fn check_query_within(&self, _: &Query, _: usize) -> Result<Option<String>> {
            Ok(None)
        }

        fn beginning<'a>(&self, text: &'a str, _: usize) -> Result<&'a str> {
            Ok(text)
        }

        fn room(&self, _: &Query, _: &str) -> Result<usize> {
            Ok(usize::MAX)
        }

        fn prompt_within(&self, _: &Query, document: &str, _: usize) -> Result<Prompt> {
            assert!(document != "panic", "an odd text");
            Ok(Prompt::whole(vec![1]))
        }

        fn text(&self, _: &Query, document: &str) -> Result<String> {
            Ok(document.to_owned())
        }
    }

    /// The queries whose prompts were made.
    #[derive(Default)]
    struct Taken(Vec<String>);

    impl Sink for Taken {
        fn take(&mut self, prepared: Prepared, _: Vec<Unit>) -> bool {
            self.0.push(prepared.group.query.id);
            true
        }
    }

    fn group(id: &str, text: &str) -> Group {
        let query = Query { id: id.into(), text: "red".into(), ..Query::default() };
        let candidates = vec![Candidate { id: "d".into(), text: text.into(), ..Candidate::default() }];
        Group { query, candidates, place: Place { file: "in".into(), line: 1 } }
    }

    fn faults(skips: bool) -> Faults {
        Faults::new(skips, None, Arc::new(Reporter::new(Progress::None, Verbosity::Quiet)))
    }

    /// The queries of these texts, each called as its number, whose prompts are made; many bytes are made by all threads.
    fn taken(texts: &[&str], faults: &Faults, padding: usize) -> Vec<String> {
        let budget = ByteBudget::new(usize::MAX);
        let (sender, groups) = sync_channel(texts.len());
        for (number, text) in texts.iter().enumerate() {
            let mut group = group(&number.to_string(), text);
            group.candidates.push(Candidate { text: "x".repeat(padding), ..Candidate::default() });
            sender.send((group, budget.acquire(1))).unwrap();
        }
        drop(sender);
        let preparation =
            Preparation { prompts: Arc::new(Fragile), splitting: None, cache: None, patience: Duration::ZERO };
        let mut sink = Taken::default();
        prepare(&groups, &preparation, faults, &mut sink);
        sink.0
    }

    #[test]
    fn a_panic_for_a_text_is_an_error_of_its_query() {
        for padding in [1, FEW_BYTES] {
            let skipping = faults(true);
            assert_eq!(taken(&["a", "panic", "b"], &skipping, padding), ["0", "2"]);
            assert_eq!((skipping.skipped(), skipping.failed()), (1, false));
            let failing = faults(false);
            assert_eq!(taken(&["a", "panic", "b"], &failing, padding), ["0"]);
            assert!(failing.failed());
        }
    }

    #[test]
    fn a_panic_of_the_reader_ends_the_input_there() {
        let faults = faults(true);
        let (sender, groups) = sync_channel(9);
        let events = (0..).map(|number| {
            assert!(number < 2, "a fault of the reader");
            Ok(Event::Group(group(&number.to_string(), "a")))
        });
        let budget = ByteBudget::new(usize::MAX);
        let checks = Checks { format: OutputFormat::Jsonl, fusion: None, is_split: false, is_shard: false };
        read::read(events, checks, &faults, &Reading::new(None), (&budget, &sender));
        drop(sender);
        assert_eq!(groups.iter().map(|(group, _)| group.query.id).collect::<Vec<_>>(), ["0", "1"]);
        assert!(faults.failed());
    }
}
