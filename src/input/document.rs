//! One line of a file of documents or queries in JSONL, as BEIR has them.

use super::entry::{unless_blank, utf_8};
use super::names::Field;
use super::source::BYTE_ORDER_MARK;
use super::values::Object;

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

/// Whether a file with this first line is JSONL.
pub fn is_json(line: &[u8]) -> bool {
    line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line).trim_ascii_start().starts_with(b"{")
}

/// The document's identifier, without a look at the rest.
pub fn id(line: &[u8]) -> Result<String, String> {
    id_of(&mut Object::parse(plain(line)?)?)
}

/// The document.
pub fn document(line: &[u8]) -> Result<Document, String> {
    let mut object = Object::parse(plain(line)?)?;
    let id = id_of(&mut object)?;
    let text = object.take_string(Field::Text.aliases())?;
    let text = text.ok_or("the document has no text: `text` or one of its other names is expected")?;
    let title = object.take_string(Field::Title.aliases())?.and_then(unless_blank);
    Ok(Document { id, text, title })
}

/// A query's identifier and text.
pub fn query(line: &[u8]) -> Result<(String, String), String> {
    let mut object = Object::parse(plain(line)?)?;
    let id = object.take_id(Field::QueryId.aliases())?;
    let id = if id.is_some() { id } else { object.take_id(&["_id", "id"])? };
    let text = object.take_string(&["text", "query", "question", "query_text"])?;
    let id = id.ok_or("there is no query id: `_id`, `id`, `qid` or `query_id` is expected")?;
    Ok((id, text.ok_or("there is no query: `text` or `query` is expected")?))
}

fn plain(line: &[u8]) -> Result<&str, String> {
    utf_8(line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line))
}

fn id_of(object: &mut Object<'_>) -> Result<String, String> {
    let id = object.take_id(Field::Id.aliases())?;
    id.ok_or_else(|| "there is no document id: `_id`, `id` or `docid` is expected".to_owned())
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
