//! Helpers of tests that read a text.

use super::*;

/// The events of a text: a group as its ids, a bad record as its message, a fatal error at the end.
pub fn events(name: &str, text: &[u8]) -> Vec<String> {
    events_with(name, text, "", MAX_RECORD_BYTES)
}

/// The same with `--columns` and another limit.
pub fn events_with(name: &str, text: &[u8], columns: &str, limit: usize) -> Vec<String> {
    let options = InputOptions { path: Some(name.into()), columns: columns.parse().unwrap(), ..Default::default() };
    let reader = Box::new(std::io::Cursor::new(text.to_vec()));
    match Source::from_reader(name.into(), reader).and_then(|source| read(source, &options, limit)) {
        Ok(file) => file
            .events(&options)
            .map(|event| event.map_or_else(|error| format!("fatal {error:#}"), |event| described(&event)))
            .collect(),
        Err(error) => vec![format!("fatal {error:#}")],
    }
}

/// `q1: d1 d2`, or the bad record's message.
pub fn described(event: &Event) -> String {
    match event {
        Event::Bad(bad) => bad.to_string(),
        Event::Note(note) => format!("note {note}"),
        Event::Group(group) => {
            let ids: Vec<_> = group.candidates.iter().map(|candidate| candidate.id.as_str()).collect();
            format!("{}: {}", group.query.id, ids.join(" "))
        }
    }
}

/// All groups of a text that has no bad record, in full, without the notes.
pub fn groups(name: &str, text: &[u8]) -> Vec<Group> {
    let options = InputOptions { path: Some(name.into()), ..Default::default() };
    let source = Source::from_reader(name.into(), Box::new(std::io::Cursor::new(text.to_vec()))).unwrap();
    let events = read(source, &options, MAX_RECORD_BYTES).unwrap().events(&options);
    let group = |event| match event {
        Ok(Event::Group(group)) => Some(group),
        Ok(Event::Note(_)) => None,
        other => panic!("{other:?}"),
    };
    events.filter_map(group).collect()
}
