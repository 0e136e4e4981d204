//! The file beside an output that records which run writes it: `OUTPUT.run.json`.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::RunFacts;
use super::contents::Contents;
use super::read_back::Written;
use super::settings::{ON_ERROR, Settings};
use crate::exit::UsageError;
use crate::output::{BrokenOff, RunRecord, replace_file};
use crate::record::Query;

/// The form of the file. Another one can't be compared with.
const FORM: &str = "rerank run 1";

/// The most bytes of the file: prompts and instructions are in it.
const MOST_BYTES: u64 = 16 << 20;

/// What defines a run, and how far it came.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Sidecar {
    form: String,
    /// What the rankings depend on.
    pub(super) settings: Settings,
    /// What people may want to know, and no run is refused for.
    about: Map<String, Value>,
    /// What the output begins with, so that the record is not taken for that of another run's output under the same name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) beginning: Option<Beginning>,
    /// Present if the run came to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) complete: Option<Complete>,
    /// Present if the run was broken off in an orderly way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) stopped: Option<Stopped>,
    /// The BLAKE3 hash of the output when its run ended, complete or not; none, if the run was killed or an older version wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    blake3: Option<String>,
    /// The bytes of the output so far.
    #[serde(skip)]
    written: blake3::Hasher,
    /// What was read for the rankings, where that can be compared with what is read later.
    #[serde(skip)]
    contents: Option<Contents>,
    /// Their hash behind the last ranking that has rows, which is the last one of which the output knows.
    #[serde(skip)]
    hash: u64,
}

/// The first bytes that a run writes at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Beginning {
    bytes: u64,
    hash: String,
}

impl Beginning {
    fn of(bytes: &[u8]) -> Self {
        Self { bytes: bytes.len() as u64, hash: blake3::hash(bytes).to_hex().to_string() }
    }

    /// Checks that a file of so many bytes begins so. A shorter one has no whole ranking, and is written anew.
    pub(super) fn check(&self, file: &File, size: u64) -> Result<()> {
        if size < self.bytes {
            return Ok(());
        }
        ensure!(
            hasher_of(file, self.bytes)?.finalize().to_hex().as_str() == self.hash,
            "its first ranking is not that of the run whose record stands beside it: the file was changed, or another run's was \
             given its name; bring the right one back, or start anew with --overwrite"
        );
        Ok(())
    }
}

/// The hash of the first bytes of a file.
fn hasher_of(mut file: &File, bytes: u64) -> io::Result<blake3::Hasher> {
    file.seek(SeekFrom::Start(0))?;
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(file.take(bytes))?;
    Ok(hasher)
}

/// The end of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Complete {
    /// The bytes of the output.
    pub bytes: u64,
    /// The rankings, those without rows included.
    pub queries: u64,
    /// The records that could not be used.
    pub skipped: u64,
}

/// How far a run came that was broken off in an orderly way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stopped {
    /// The bytes of the output.
    bytes: u64,
    /// The rankings that it has.
    queries: u64,
    /// The records that could not be used, and were left out.
    skipped: u64,
    /// Whether a record that could not be used stopped the run.
    by_record: bool,
    /// The hash of what was read for the rankings, in hexadecimal digits, where that can be compared with what is read later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    content: Option<String>,
}

impl Stopped {
    /// The hash of what was read for the rankings.
    fn content(&self) -> Option<u64> {
        u64::from_str_radix(self.content.as_ref()?, 16).ok()
    }
}

impl Sidecar {
    pub(super) fn new(settings: Settings, about: Map<String, Value>, contents: Option<Contents>) -> Self {
        let form = FORM.to_owned();
        let (beginning, complete, stopped, blake3) = (None, None, None, None);
        let written = blake3::Hasher::new();
        Self { form, settings, about, beginning, complete, stopped, blake3, written, contents, hash: 0 }
    }

    /// The record of a run that goes on with this one, in place of it.
    pub(super) fn continued(self, settings: Settings, about: Map<String, Value>, contents: Option<Contents>) -> Self {
        Self { beginning: self.beginning, ..Self::new(settings, about, contents) }
    }

    /// Refuses another run than the one that is recorded here. Returns whether files have changed that are read, where it can be
    /// found out whether they have changed behind what was ranked.
    ///
    /// # Errors
    /// If anything else differs that the output depends on: with what it was, and what it is.
    pub(super) fn check(&self, settings: &Settings, run: &RunFacts, output: &str) -> Result<bool> {
        let is_known = self.stopped.as_ref().is_some_and(|stopped| stopped.content().is_some());
        let settings_before = self.settings.taking(settings, is_known, |name| self.goes_on_with(name, settings));
        if settings_before.differences(settings).is_empty() {
            return Ok(self.settings.taking(settings, false, |name| name == ON_ERROR) != *settings);
        }
        Err(UsageError::new(self.refusal(settings, run, output)).into())
    }

    /// Why another run can't go on with the output.
    pub(super) fn refusal(&self, settings: &Settings, run: &RunFacts, output: &str) -> String {
        format!(
            "cannot resume {output}, which another run wrote: {}; give what that run was given, or start anew with --overwrite",
            run.named_differences((&self.settings, &self.about), settings).join("; ")
        )
    }

    /// Whether a run can go on that has another value of this setting: what a run ranks before it stops at a record is the same for
    /// one that leaves that out, and what a run ranks that has left nothing out is the same for one that would have stopped.
    fn goes_on_with(&self, name: &str, settings: &Settings) -> bool {
        let skipped = self.complete.as_ref().map(|complete| complete.skipped);
        let skipped = skipped.or(self.stopped.as_ref().map(|stopped| stopped.skipped));
        name == ON_ERROR && (settings.text(ON_ERROR) == Some("skip") || skipped == Some(0))
    }

    /// The record of an output that goes on behind these bytes.
    pub(super) fn behind(self, written: blake3::Hasher) -> Self {
        Self { written, ..self }
    }

    /// Checks that an output of so many bytes has those that its run had written when it ended, and returns the hash of those that are
    /// kept. What was cut off since is written anew, and nothing is known of the rest then.
    ///
    /// # Errors
    /// If it has other bytes, or can't be read.
    pub(super) fn check_bytes(&self, file: &File, size: u64, kept: u64) -> Result<blake3::Hasher> {
        let recorded = self.bytes().zip(self.blake3.as_ref()).filter(|(bytes, _)| *bytes <= size);
        if let Some((bytes, hash)) = recorded {
            let hasher = hasher_of(file, bytes)?;
            ensure!(
                hasher.finalize().to_hex().as_str() == hash,
                "it has other bytes than its run wrote, though not fewer: the file was changed; bring the right one back, or start \
                 anew with --overwrite"
            );
            if bytes == kept {
                return Ok(hasher);
            }
        }
        Ok(hasher_of(file, kept)?)
    }

    /// How the files that are read have changed, in words.
    pub(super) fn changes_of_files(&self, new: &Settings) -> String {
        self.settings.taking(new, false, |name| name == ON_ERROR).differences(new).join("; ")
    }

    /// The bytes that the output had when its run ended, if it did so in an orderly way.
    pub(super) fn bytes(&self) -> Option<u64> {
        self.complete.as_ref().map(|complete| complete.bytes).or(self.stopped.as_ref().map(|stopped| stopped.bytes))
    }

    /// The hash of what was read for the rankings of an output, if it is known.
    pub(super) fn content(&self, written: &Written) -> Option<u64> {
        let is_it = |stopped: &&Stopped| written.is_as_recorded && stopped.queries == written.queries.len() as u64;
        self.stopped.as_ref().filter(is_it)?.content()
    }

    /// Whether a record that could not be used stopped the run.
    pub(crate) fn is_stopped_by_record(&self) -> bool {
        self.stopped.as_ref().is_some_and(|stopped| stopped.by_record)
    }

    /// What the rankings depend on, and what people may want to know of the run.
    pub(crate) fn into_settings(self) -> (Settings, Map<String, Value>) {
        (self.settings, self.about)
    }

    /// The path of the file that records the run of an output. Where the output is a link, it stands beside the file to which that
    /// leads, so that the file has one record.
    pub fn path(output: &Path) -> PathBuf {
        let target = if output.is_symlink() { output.canonicalize().ok() } else { None };
        let mut path = target.unwrap_or_else(|| output.to_owned()).into_os_string();
        path.push(".run.json");
        path.into()
    }

    /// Reads the record of an output's run; none, if there is no such file.
    ///
    /// # Errors
    /// If it can't be read, or is something else.
    pub fn read(output: &Path) -> Result<Option<Self>> {
        let path = Self::path(output);
        let failed = || format!("cannot read {}", path.display());
        let wrong =
            |problem: String| UsageError::new(format!("{} is no record of a run of rerank: {problem}", path.display()));
        match path.metadata() {
            Err(error) if error.kind() == ErrorKind::NotFound && !path.is_symlink() => return Ok(None),
            // To open a named pipe would be to wait for its writer.
            Ok(found) if !found.is_file() => bail!(wrong("it is no file".to_owned())),
            Ok(_) => {}
            Err(error) => return Err(error).with_context(failed),
        }
        let mut text = Vec::new();
        File::open(&path).and_then(|file| file.take(MOST_BYTES + 1).read_to_end(&mut text)).with_context(failed)?;
        if text.len() as u64 > MOST_BYTES {
            bail!(wrong(format!("it has more than {} MiB", MOST_BYTES >> 20)));
        }
        let value: Value = serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))?;
        match value.get("form").and_then(Value::as_str) {
            Some(FORM) => Ok(Some(serde_json::from_value(value).map_err(|error| wrong(error.to_string()))?)),
            Some(form) if form.starts_with("rerank run ") => {
                let problem = format!(
                    "{} is of the form {form:?}, which this version of rerank does not know: resume with the version that wrote it",
                    path.display()
                );
                bail!(UsageError::new(problem))
            }
            _ => bail!(wrong("it has no `form`".to_owned())),
        }
    }
}

impl RunRecord for Sidecar {
    fn begin(&mut self, bytes: &[u8]) {
        self.beginning = Some(Beginning::of(bytes));
    }

    fn wrote(&mut self, bytes: &[u8]) {
        self.written.update(bytes);
    }

    fn ranked(&mut self, query: &Query, has_rows: bool) {
        let Some(contents) = &self.contents else { return };
        contents.add(query.content);
        if has_rows {
            self.hash = contents.hash();
        }
    }

    fn stop(&mut self, bytes: u64, queries: u64, BrokenOff { skipped, by_record }: BrokenOff) {
        let content = self.contents.is_some().then(|| format!("{:016x}", self.hash));
        self.blake3 = Some(self.written.finalize().to_hex().to_string());
        self.stopped = Some(Stopped { bytes, queries, skipped, by_record, content });
    }

    fn complete(&mut self, bytes: u64, rankings: u64, skipped: u64) {
        self.blake3 = Some(self.written.finalize().to_hex().to_string());
        self.complete = Some(Complete { bytes, queries: rankings, skipped });
    }

    fn write(&self, output: &Path) -> io::Result<()> {
        let text = serde_json::to_string_pretty(self)? + "\n";
        let path = Self::path(output);
        let named = |error: io::Error| {
            io::Error::new(error.kind(), format!("the run can't be recorded in {}: {error}", path.display()))
        };
        replace_file(&path, text.as_bytes()).map_err(named)
    }
}
