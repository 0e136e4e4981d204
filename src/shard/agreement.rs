//! Whether parts belong together: all were written by one run, and their workers read the same input.

use std::collections::BTreeMap;

use super::Shard;
use super::done::Done;
use super::ranges::ranges;
use crate::input::WholeInput;
use crate::resume::Settings;

/// The parts of a directory, each compared with the first one.
#[derive(Default)]
pub(super) struct Agreement {
    settings: Option<(u32, Settings)>,
    input: Option<(u32, WholeInput)>,
    /// How others differ from the first one, and the numbers of the shards that do.
    differing: BTreeMap<(u32, Differences), Vec<u32>>,
    count: u32,
}

/// How a shard differs, in words.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Differences {
    /// What the first one and the others were run with.
    Settings(String, String),
    Input(String),
}

impl Agreement {
    /// Adds a shard that is done.
    pub(super) fn add(&mut self, Shard { index, count }: Shard, done: &Done) {
        self.count = count;
        let (first, settings) = self.settings.get_or_insert_with(|| (index, done.settings.clone()));
        let (one, other): (Vec<String>, Vec<String>) = settings.contrasts(&done.settings).into_iter().unzip();
        if !one.is_empty() {
            let differences = Differences::Settings(one.join(" and "), other.join(" and "));
            self.differing.entry((*first, differences)).or_default().push(index);
        }
        // Where whole files are handed out, no worker reads the whole input.
        let Some(read) = &done.input else { return };
        let (first, input) = self.input.get_or_insert_with(|| (index, read.clone()));
        if let Some(difference) = input.difference(read) {
            self.differing.entry((*first, Differences::Input(difference))).or_default().push(index);
        }
    }

    /// Why they do not belong together, a sentence for each difference; none, if they do.
    pub(super) fn problems(&self) -> Vec<String> {
        let problem = |((first, differences), others): (&(u32, Differences), &Vec<u32>)| {
            let shards = format!("shards {first} and {} of {}", ranges(others), self.count);
            match differences {
                Differences::Settings(one, other) => {
                    let name = if others.len() == 1 { "shard" } else { "shards" };
                    format!(
                        "{shards} were not written by the same run: shard {first} was run {one}, {name} {} {other}; run the wrong \
                         ones again with --overwrite and the options of the others",
                        ranges(others)
                    )
                }
                Differences::Input(difference) => {
                    let which = if let [other] = others.as_slice() {
                        format!("shard {other}")
                    } else {
                        "each of the others".to_owned()
                    };
                    format!(
                        "{shards} did not read the same input: {which} {difference}; run those that read a wrong or broken \
                         one again with --overwrite, and with what the others read"
                    )
                }
            }
        };
        self.differing.iter().map(problem).collect()
    }
}
