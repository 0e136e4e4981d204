//! Resuming a run: the output is the checkpoint. A run that is started again with `--resume` reads its output back, leaves out the
//! queries that it has, and goes on, so that the file has the bytes of a run that was never broken off.
//!
//! ```text
//! OUTPUT.run.json ─ settings ─ the same run? ─┐
//! OUTPUT ─ members ─ rows ─ rankings ─────────┴─► where it goes on ─► output::Writer
//!                               └─ queries ─► Pending: the input without them ─► the pipeline
//! ```

// What stands in files can end nothing but the record or the run that it is in: no panic.
#![cfg_attr(
    not(test),
    warn(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::string_slice,
        clippy::get_unwrap,
        clippy::panic,
        clippy::unreachable,
        clippy::todo,
        clippy::unimplemented
    )
)]

mod contents;
mod finished;
mod gather;
mod inputs;
mod members;
mod rankings;
mod read_back;
mod rows;
mod settings;
mod sidecar;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};

pub use self::finished::{Counts, Pending};
pub use self::gather::RunFacts;
pub(crate) use self::gather::is_comparable;
pub use self::read_back::complete_rankings;
pub use self::settings::Settings;
pub use self::sidecar::{Complete, Sidecar};

use self::contents::Contents;
use self::finished::{Comparison, Finished, Kept};
use self::read_back::Output;
use self::settings::{KERNELS, PRECISION};
use crate::config::ModelChoice;
use crate::engine::cpu::Instructions;
use crate::exit::UsageError;
use crate::input::{Event, Events};
use crate::output::{Compression, Existing, Writer, check_folder};
use crate::precision::Precision;
use crate::progress::counted;
use crate::shard::Positions;

/// An output on a disk, before it is known whether the run is that which wrote it.
pub struct Checkpoint {
    output: PathBuf,
    /// The record of the run that is resumed.
    old: Option<Sidecar>,
}

/// What is known of an output that goes on, or of one that is new.
#[derive(Default)]
pub struct Resumed {
    finished: Option<Finished>,
    /// What was read for the rankings that the output has, where that is recorded.
    contents: Option<Contents>,
    /// Where the queries of the output stand in the input, if that is kept.
    positions: Positions,
    /// What the run had at its end, if it came to that and there is nothing more to read.
    pub ended: Option<Complete>,
    /// What users should know.
    pub note: Option<String>,
    /// What they should know when it is known whether the input has more than the output, where only reading it shows that.
    pub end: Option<EndNotes>,
}

/// Notes on an output that was complete, of which one is true when the input is read.
pub struct EndNotes {
    /// The input has no more queries.
    complete: String,
    /// It has more.
    goes_on: String,
}

impl EndNotes {
    /// The note on an output that goes on, or is complete.
    pub fn note(self, goes_on: bool) -> String {
        if goes_on { self.goes_on } else { self.complete }
    }
}

impl Checkpoint {
    /// Looks at an output that is open, and at the record beside it. There is none for standard output, pipes and devices.
    ///
    /// # Errors
    /// If the output is to be resumed and has no record that can be read, or no record can be written beside it.
    pub fn open(writer: &Writer, existing: Existing) -> Result<Option<Self>> {
        let Some(file) = writer.file() else { return Ok(None) };
        let output = file.path().to_owned();
        let path = Sidecar::path(&output);
        let is_resumed = existing == Existing::Resume && file.size()? > 0;
        let old = Sidecar::read(&output).with_context(|| match is_resumed {
            true => format!(
                "cannot resume {}; bring the record of its run back, or remove that and start anew with --overwrite",
                output.display()
            ),
            false => format!(
                "the run would be recorded in {}; rename the file that is there, or name another output",
                path.display()
            ),
        })?;
        if is_resumed && old.is_none() {
            let problem = format!(
                "cannot resume {}: the record of its run, {}, is not there, so that nobody can know whether it is the same; \
                 bring it back, or start anew with --overwrite",
                output.display(),
                path.display()
            );
            return Err(UsageError::new(problem).into());
        }
        check_folder(&path).with_context(|| {
            format!(
                "the run would be recorded in {}, and no file can be created there; name another output",
                path.display()
            )
        })?;
        Ok(Some(Self { output, old: old.filter(|_| is_resumed) }))
    }

    /// Whether rankings are kept.
    pub fn is_resumed(&self) -> bool {
        self.old.is_some()
    }

    /// How the run computes: as the one that is resumed, where the options leave that open and a measurement could decide otherwise.
    pub fn arithmetic(&self, model: &ModelChoice) -> (Instructions, Option<Precision>) {
        match &self.old {
            Some(old) => arithmetic_of(&old.settings, model),
            None => (model.instructions, model.precision),
        }
    }

    /// Checks that the run is the one that wrote the output, reads that back, and sets where the writer goes on.
    ///
    /// # Errors
    /// If it is another run, or the output can't be read back.
    pub fn begin(self, run: &RunFacts, writer: &mut Writer) -> Result<Resumed> {
        let settings = run.settings(self.old.as_ref().map(|old| &old.settings))?;
        let is_comparable = is_comparable(&run.config.input).unwrap_or(false);
        let Some(old) = self.old else {
            let contents = is_comparable.then(Contents::default);
            writer.record(Sidecar::new(settings, run.about(), contents.clone()));
            return Ok(Resumed { contents, ..Resumed::default() });
        };
        let name = self.output.display().to_string();
        let is_changed = old.check(&settings, run, &name)?;
        let Some(file) = writer.file() else { return Ok(Resumed::default()) };
        let size = file.size()?;
        let (reader, layout) = (file.reader()?, &run.config.layout);
        let (recorded, beginning) = (old.bytes(), old.beginning.as_ref());
        let written = Output { file: &reader, name: &name, layout, recorded, beginning }.read()?;
        let kept = written.continuation.kept;
        let hasher = old.check_bytes(&reader, size, kept).with_context(|| format!("cannot resume {name}"))?;
        let complete = old.complete.filter(|_| written.is_as_recorded);
        let count = written.queries.len() as u64;
        // What is compressed is compressed once more, so that the number of bytes says little.
        let lost = if layout.compression == Compression::None { size - kept } else { 0 };
        let known = old.content(&written);
        let comparison = if is_changed { Some(compare(&old, known, (&settings, run, &name))?) } else { None };
        // A file that has grown is recorded as it is now.
        let settings = if is_changed { run.settings(None)? } else { settings };
        let known = known.filter(|_| !is_changed);
        let contents = is_comparable.then(|| known.map_or_else(Contents::default, Contents::of_hash));
        writer.record(old.continued(settings, run.about(), contents.clone()).behind(hasher));
        writer.resume(written.continuation, count, complete.is_some());
        let is_read = contents.is_some() && known.is_none() && complete.is_none();
        let finished = Finished::new(written.queries, name.clone(), run);
        let (note, going_on) = (note(&name, complete, count, lost), note(&name, None, count, 0));
        let (note, end) = match complete {
            Some(_) if !is_comparable => (None, Some(EndNotes { complete: note, goes_on: going_on })),
            _ => (Some(note), None),
        };
        Ok(Resumed {
            finished: Some(Finished { is_read, comparison, ..finished }),
            contents,
            positions: Positions::default(),
            ended: complete.filter(|_| is_comparable),
            note,
            end,
        })
    }
}

/// With what the input is compared of an output whose run read other files, or the same in another state. `known` is the hash of what
/// was read for its rankings.
///
/// # Errors
/// If that is not known, so that nobody can find out whether they have changed behind what was ranked.
fn compare(
    old: &Sidecar,
    known: Option<u64>,
    (settings, run, name): (&Settings, &RunFacts, &str),
) -> Result<Comparison> {
    let refusal = old.refusal(settings, run, name);
    let Some(hash) = known else { return Err(UsageError::new(refusal).into()) };
    Ok(Comparison { hash, changes: old.changes_of_files(&run.settings(None)?), refusal })
}

/// Reads an output that is complete, to compare the queries of an input with those that it has.
///
/// # Errors
/// If it can't be read back.
pub(crate) fn finished_in(output: &Path, run: &RunFacts) -> Result<Resumed> {
    let name = output.display().to_string();
    let file = File::open(output).with_context(|| format!("cannot read {name}"))?;
    let bytes = Some(file.metadata()?.len());
    let output = Output { file: &file, name: &name, layout: &run.config.layout, recorded: bytes, beginning: None };
    let queries = output.read()?.queries;
    Ok(Resumed { finished: Some(Finished::new(queries, name, run)), ..Resumed::default() })
}

/// How a run computes that goes on with another one, which had these settings.
pub(crate) fn arithmetic_of(old: &Settings, model: &ModelChoice) -> (Instructions, Option<Precision>) {
    let instructions = old.text(KERNELS).map(|kernels| model.instructions.as_in(kernels));
    let precision = || old.text(PRECISION).and_then(Precision::of_name);
    (instructions.unwrap_or(model.instructions), model.precision.or_else(precision))
}

/// What a run takes over of one that had these settings, as the beginning of a sentence; none, if its options leave nothing of that
/// open.
pub(crate) fn taken_over(old: &Settings, model: &ModelChoice) -> Option<String> {
    let (instructions, _) = arithmetic_of(old, model);
    let precision = old.text(PRECISION).filter(|_| model.precision.is_none());
    let kernels = old.text(KERNELS).filter(|_| instructions != model.instructions);
    Some(match (precision, kernels) {
        (Some(precision), Some(kernels)) => {
            format!(
                "this run computes in {precision} (--dtype), with kernels of the class {kernels} (RERANK_INSTRUCTIONS)"
            )
        }
        (Some(precision), None) => format!("this run computes in {precision} (--dtype)"),
        (None, Some(kernels)) => format!("this run computes with kernels of the class {kernels} (RERANK_INSTRUCTIONS)"),
        (None, None) => return None,
    })
}

/// What users should know of an output that has so many rankings, and so many bytes that do not stay.
fn note(name: &str, complete: Option<Complete>, count: u64, lost: u64) -> String {
    let (rankings, them) = (counted(count, "ranking", "rankings"), if count == 1 { "it" } else { "them" });
    match complete {
        Some(Complete { queries, .. }) => {
            format!("{name} is complete: it has {}", counted(queries, "ranking", "rankings"))
        }
        None if lost == 0 => format!("{name} has {rankings}, and goes on behind {them}"),
        None => format!(
            "{name} has {rankings}, and goes on behind {them}; {} of one that may not be complete are written anew",
            counted(lost, "byte", "bytes"),
        ),
    }
}

impl Resumed {
    /// Whether an output goes on.
    pub fn is_resumed(&self) -> bool {
        self.finished.is_some()
    }

    /// The same output, whose input is read to find out where its queries stand there.
    pub(crate) fn located(self, positions: Positions) -> Self {
        Self { positions, ended: None, ..self }
    }

    /// The events of the input without the groups whose queries the output has.
    /// `first` was read before the others.
    pub fn pending(self, first: Option<Result<Event>>, events: Events, counts: &Arc<Counts>) -> Pending {
        let kept = Kept { finished: self.finished, contents: self.contents, positions: self.positions };
        Pending::new((first, events), kept, Arc::clone(counts))
    }
}
