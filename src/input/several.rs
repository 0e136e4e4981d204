//! An input of one file or of several, which are read one after the other as one.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use anyhow::Result;

use super::entry::{Entries, Entry};
use super::first_seen::Occurrence;
use super::source::Opened;
use super::source::is_empty;
use super::{InputOptions, OpenFile, Position, read_opened};
use crate::store;

/// A file of an input that has several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputFile {
    /// Its path.
    pub path: PathBuf,
    /// Whether it is read; else another shard has it.
    pub is_read: bool,
}

/// The file that is being read, and those around it.
pub struct OpenInput {
    /// Its name in messages.
    pub name: Arc<str>,
    /// The word for what the numbers of its records count.
    pub unit: &'static str,
    /// Its records.
    pub entries: Box<dyn Entries>,
    /// Its number among all files, from 0.
    pub number: usize,
    /// The numbers and names of the files that were opened, with their units.
    opened: Vec<(usize, Arc<str>, &'static str)>,
    /// The numbers and paths of those that were not, and how all are read.
    waiting: VecDeque<(usize, PathBuf)>,
    options: InputOptions,
    /// The bytes that were read of all files.
    read: Arc<AtomicU64>,
}

impl OpenInput {
    /// An input of one file, or of a stream.
    pub fn one((name, unit): (Arc<str>, &'static str), entries: Box<dyn Entries>) -> Self {
        let (opened, waiting) = (Vec::new(), VecDeque::new());
        let (options, read) = (InputOptions::default(), Arc::default());
        Self { name, unit, entries, number: 0, opened, waiting, options, read }
    }

    /// An input of the files of these options that are read. The first of them is opened when records are asked for.
    pub fn several(options: &InputOptions) -> Self {
        let files = options.files.iter().enumerate().filter(|(_, file)| file.is_read);
        let waiting = files.map(|(number, file)| (number, file.path.clone())).collect();
        let options = InputOptions { files: Vec::new(), ..options.clone() };
        Self { waiting, options, ..Self::one(("the input".into(), "line"), Box::new(NoEntries)) }
    }

    /// How far all files together have been read, before the first one is opened.
    pub fn position(&self) -> Position {
        let size = self.waiting.iter().filter_map(|(_, path)| store::size_of(path).ok()).sum();
        Position { read: Arc::clone(&self.read), size }
    }

    /// Opens the next file, if there is one, and returns what the user should know of it: that it has no queries, or which of its
    /// columns are left out.
    ///
    /// # Errors
    /// As [`super::open`].
    pub fn open_next(&mut self) -> Option<Result<Vec<String>>> {
        let (number, path) = self.waiting.pop_front()?;
        let options = InputOptions { path: Some(path), ..self.options.clone() };
        let opened = Opened::open_counted(options.path.as_deref(), Some(&self.read));
        Some(match opened.and_then(|opened| read_opened(opened, &options)) {
            Ok(OpenFile { name, unit, entries, notes, .. }) => {
                self.opened.push((number, Arc::clone(&name), unit));
                (self.number, self.name, self.unit, self.entries) = (number, name, unit, entries);
                Ok(notes)
            }
            Err(error) if is_empty(&error) => Ok(vec![error.to_string()]),
            Err(error) => Err(error),
        })
    }

    /// Where something stands in the file at hand.
    pub fn occurrence(&self, line: u64, is_generated: bool) -> Occurrence {
        Occurrence { file: self.number, line, is_generated }
    }

    /// The line or the row on which something stood first, for messages.
    pub fn line_of(&self, first: Occurrence) -> String {
        let earlier = self.opened.iter().find(|(number, ..)| *number == first.file && first.file != self.number);
        match earlier {
            Some((_, name, unit)) => format!("{unit} {} of {name}", first.line),
            None => format!("{} {}", self.unit, first.line),
        }
    }
}

/// The entries before the first of several files.
struct NoEntries;

impl Iterator for NoEntries {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        None
    }
}

impl Entries for NoEntries {}
