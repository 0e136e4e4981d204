//! The file beside an output that records which run writes it: `OUTPUT.run.json`.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::RunFacts;
use super::settings::Settings;
use crate::exit::UsageError;
use crate::output::{RunRecord, replace_file};

/// The form of the file. Another one can't be compared with.
const FORM: &str = "rerank run 1";

/// The most bytes of the file: prompts and instructions are in it.
const MOST_BYTES: u64 = 16 << 20;

/// What defines a run, and how far it came.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
    pub(super) fn check(&self, mut file: &File, size: u64) -> Result<()> {
        if size < self.bytes {
            return Ok(());
        }
        file.seek(SeekFrom::Start(0))?;
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(file.take(self.bytes))?;
        ensure!(
            hasher.finalize().to_hex().as_str() == self.hash,
            "its first ranking is not that of the run whose record stands beside it: the file was changed, or another run's was \
             given its name; bring the right one back, or start anew with --overwrite"
        );
        Ok(())
    }
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

impl Sidecar {
    pub(super) fn new(settings: Settings, about: Map<String, Value>) -> Self {
        Self { form: FORM.to_owned(), settings, about, beginning: None, complete: None }
    }

    /// Refuses another run than the one that is recorded here.
    ///
    /// # Errors
    /// If anything differs that the output depends on: with what it was, and what it is.
    pub(super) fn check(&self, settings: &Settings, run: &RunFacts, output: &str) -> Result<()> {
        let differences = run.named_differences((&self.settings, &self.about), settings);
        if differences.is_empty() {
            return Ok(());
        }
        let problem = format!(
            "cannot resume {output}, which another run wrote: {}; give what that run was given, or start anew with --overwrite",
            differences.join("; ")
        );
        Err(UsageError::new(problem).into())
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

    fn complete(&mut self, bytes: u64, rankings: u64, skipped: u64) {
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
