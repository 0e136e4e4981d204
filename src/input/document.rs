//! Reads one line of a file of documents or queries in JSONL, as in BEIR.

use std::sync::LazyLock;

use super::content::{Content, Naming};
use super::entry::utf_8;
use super::missing::has;
use super::names::{Columns, Field, Names};
use super::notes::Notes;
use super::source::BYTE_ORDER_MARK;
use super::values::Object;

/// The names of a collection's fields. `--columns` renames those of the input only.
static NAMES: LazyLock<Names> = LazyLock::new(|| Names::new(&Columns::default()));

/// A document of a collection.
#[derive(Debug, PartialEq, Eq)]
pub struct Document {
    /// Its identifier.
    pub id: String,
    /// Its text.
    pub text: String,
    /// Its title, never blank.
    pub title: Option<String>,
}

/// Reads the document's identifier only.
pub fn id(line: &[u8]) -> Result<String, String> {
    let mut object = unambiguous(line)?;
    match object.take_id(NAMES.of(Field::Id))? {
        Some(id) => Ok(id),
        None => content(&mut object).0.id.ok_or_else(no_id),
    }
}

/// Reads the document.
pub fn document(line: &[u8]) -> Result<Document, String> {
    let (Content { id, text, title, .. }, read) = content(&mut unambiguous(line)?);
    read?;
    Ok(Document { id: id.ok_or_else(no_id)?, text: text?, title })
}

/// Reads a query's identifier and text.
pub fn query(line: &[u8]) -> Result<(String, String), String> {
    let mut object = unambiguous(line)?;
    let id = object.take_id(Field::QueryId.aliases())?;
    let id = if id.is_some() { id } else { object.take_id(&["_id", "id"])? };
    let text = object.take_text(&["text", "query", "question", "query_text"])?;
    let lacks = |what: &str| match has(&object) {
        Some(has) => format!("{what}; {has}"),
        None => what.to_owned(),
    };
    let id = id.ok_or_else(|| lacks("there is no query id: `_id`, `id`, `qid` or `query_id` is expected"))?;
    Ok((id, text.ok_or_else(|| lacks("there is no query: `text` or `query` is expected"))?))
}

fn unambiguous(line: &[u8]) -> Result<Object<'_>, String> {
    let object = Object::parse(utf_8(line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line))?)?;
    match object.repeated() {
        Some(name) => Err(format!("`{name}` stands twice in one object, with different values: remove one of them")),
        None => Ok(object),
    }
}

/// The content of a document, as far as it can be read, and what is wrong with it.
fn content(object: &mut Object<'_>) -> (Content, Result<(), String>) {
    let mut content = Content::default();
    let read = content.take(object, Naming::fixed(&NAMES), &mut Notes::default());
    (content, read)
}

fn no_id() -> String {
    "there is no document id: `_id`, `id` or `docid` is expected".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_read() {
        let expect = |id: &str, text: &str, title: Option<&str>| {
            Ok(Document { id: id.into(), text: text.into(), title: title.map(str::to_owned) })
        };
        assert_eq!(document(br#"{"_id":"d","title":"","text":"t","metadata":{}}"#), expect("d", "t", None));
        let marked = "\u{feff}{\"docid\":7,\"title\":\"T\",\"body\":\"\"}";
        assert_eq!(document(marked.as_bytes()), expect("7", "", Some("T")));
        assert!(document(br#"{"_id":"d"}"#).unwrap_err().contains("no text"));
        assert!(document(br#"{"text":"t"}"#).unwrap_err().contains("no document id"));
    }

    #[test]
    fn queries_are_read() {
        assert_eq!(query(br#"{"_id":"q","text":"t"}"#), Ok(("q".into(), "t".into())));
        assert_eq!(query(br#"{"id":"x","qid":3,"query":"t"}"#), Ok(("3".into(), "t".into())));
        assert!(query(br#"{"_id":"q"}"#).is_err());
    }
}
