//! One line of a file of documents or queries: BEIR's JSONL, or tab-separated values without a header.

use super::entry::{unless_blank, utf_8};
use super::names::Field;
use super::source::BYTE_ORDER_MARK;
use super::values::Object;

/// How the lines of a file are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineFormat {
    /// One JSON object per line.
    Jsonl,
    /// `id<TAB>text`, without a header.
    Tsv,
}

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

impl LineFormat {
    /// Tells the format from the first line of a file.
    pub fn of(line: &[u8]) -> Self {
        let line = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line);
        if line.trim_ascii_start().starts_with(b"{") { Self::Jsonl } else { Self::Tsv }
    }

    /// The document's identifier, without a look at the rest.
    pub fn id(self, line: &[u8]) -> Result<String, String> {
        match self {
            Self::Jsonl => id(&mut Object::parse(plain(line)?)?),
            Self::Tsv => cells(plain(line)?).map(|(id, _)| id.to_owned()),
        }
    }

    /// The document: of tab-separated values the second one is its text, the third one its title.
    pub fn document(self, line: &[u8]) -> Result<Document, String> {
        match self {
            Self::Jsonl => {
                let mut object = Object::parse(plain(line)?)?;
                let id = id(&mut object)?;
                let text = object.take_string(Field::Text.aliases())?;
                let text = text.ok_or("the document has no text: `text` or one of its other names is expected")?;
                let title = object.take_string(Field::Title.aliases())?.and_then(unless_blank);
                Ok(Document { id, text, title })
            }
            Self::Tsv => {
                let (id, rest) = cells(plain(line)?)?;
                let (text, title) = rest.split_once('\t').map_or((rest, ""), |(text, title)| (text, title));
                Ok(Document { id: id.into(), text: text.into(), title: unless_blank(title.into()) })
            }
        }
    }

    /// A query's identifier and text.
    pub fn query(self, line: &[u8]) -> Result<(String, String), String> {
        match self {
            Self::Jsonl => {
                let mut object = Object::parse(plain(line)?)?;
                let id = object.take_id(Field::QueryId.aliases())?;
                let id = if id.is_some() { id } else { object.take_id(&["_id", "id"])? };
                let text = object.take_string(&["text", "query", "question", "query_text"])?;
                let id = id.ok_or("there is no query id: `_id`, `id`, `qid` or `query_id` is expected")?;
                Ok((id, text.ok_or("there is no query: `text` or `query` is expected")?))
            }
            Self::Tsv => cells(plain(line)?).map(|(id, text)| (id.to_owned(), text.to_owned())),
        }
    }
}

fn plain(line: &[u8]) -> Result<&str, String> {
    utf_8(line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line))
}

fn id(object: &mut Object<'_>) -> Result<String, String> {
    let id = object.take_id(Field::Id.aliases())?;
    id.ok_or_else(|| "there is no document id: `_id`, `id` or `docid` is expected".to_owned())
}

fn cells(line: &str) -> Result<(&str, &str), String> {
    let cells = line.split_once('\t').filter(|(id, _)| !id.is_empty());
    cells.ok_or_else(|| "the line is neither JSON nor an id, a tab and a text".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(id: &str, text: &str, title: Option<&str>) -> Document {
        Document { id: id.into(), text: text.into(), title: title.map(str::to_owned) }
    }

    #[test]
    fn documents_are_read_from_both_formats() {
        let jsonl = |line: &str| LineFormat::Jsonl.document(line.as_bytes());
        assert_eq!(jsonl(r#"{"_id":"d","title":"","text":"t","metadata":{}}"#), Ok(document("d", "t", None)));
        assert_eq!(jsonl("\u{feff}{\"docid\":7,\"title\":\"T\",\"body\":\"\"}"), Ok(document("7", "", Some("T"))));
        assert!(jsonl(r#"{"_id":"d"}"#).unwrap_err().contains("no text"));
        assert!(jsonl(r#"{"text":"t"}"#).unwrap_err().contains("no document id"));
        let tsv = |line: &str| LineFormat::Tsv.document(line.as_bytes());
        assert_eq!(tsv("d\tt"), Ok(document("d", "t", None)));
        assert_eq!(tsv("d\tt\tT"), Ok(document("d", "t", Some("T"))));
        assert!(tsv("d").is_err());
        assert!(LineFormat::Tsv.id(b"\xff\tx").unwrap_err().contains("UTF-8"));
    }

    #[test]
    fn queries_are_read_from_both_formats() {
        assert_eq!(LineFormat::Jsonl.query(br#"{"_id":"q","text":"t"}"#), Ok(("q".into(), "t".into())));
        assert_eq!(LineFormat::Jsonl.query(br#"{"id":"x","qid":3,"query":"t"}"#), Ok(("3".into(), "t".into())));
        assert_eq!(LineFormat::Tsv.query(b"q\ta\tb"), Ok(("q".into(), "a\tb".into())));
        assert!(LineFormat::Jsonl.query(br#"{"_id":"q"}"#).is_err());
    }
}
