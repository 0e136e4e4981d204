//! A file or a stream that was opened as an input.

use std::sync::Arc;

use super::entry::Entries;
use super::grouping::Grouping;
use super::position::Position;
use super::several::OpenInput;
use super::whole::Whole;
use super::{Events, InputOptions};

/// The records of a file or a stream.
pub(super) struct OpenFile {
    /// Its name in messages.
    pub(super) name: Arc<str>,
    /// The word for what the numbers of its records count.
    pub(super) unit: &'static str,
    /// How far it was read.
    pub(super) position: Option<Position>,
    /// Its records.
    pub(super) entries: Box<dyn Entries>,
    /// What the user should know of columns that are left out or change their types.
    pub(super) notes: Vec<String>,
    /// How many queries and bytes the input has, and the hash of its content: counted while it is read.
    pub(super) whole: Whole,
}

impl OpenFile {
    /// The queries of an input of this file alone.
    pub(super) fn events(self, options: &InputOptions) -> Events {
        let Self { name, unit, position, entries, notes, whole } = self;
        let mut grouping = Grouping::new(OpenInput::one((name, unit), entries), options.selection);
        grouping.count_for(whole.clone());
        notes.into_iter().for_each(|note| grouping.note(note));
        Events { position, grouping, whole }
    }
}
