//! The documents of a TREC run: a file of any size, indexed by offset once and read where a document is asked for.

use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};

use super::document::{Document, LineFormat};
use super::entry::too_long;
use super::lines::{Lines, Piece, content};
use super::source::{Compression, Source, read_error};

/// A collection: BEIR's JSONL (`{"_id", "title", "text"}`) or `id<TAB>text[<TAB>title]` without a header. Where an
/// identifier stands twice, its first document counts.
pub struct Collection {
    name: Arc<str>,
    reader: BufReader<File>,
    format: LineFormat,
    index: Index,
    line: Vec<u8>,
}

/// The hash of each identifier with the offset of its line, sorted: 16 bytes per document.
type Index = Vec<(u64, u64)>;

impl Collection {
    /// Indexes a file. A compressed one, or one that can't be read twice (a pipe), is copied into a temporary file
    /// without a name first.
    ///
    /// # Errors
    /// It can't be read or copied, is empty, or a line is malformed.
    pub fn open(path: &Path, limit: usize) -> Result<Self> {
        let name: Arc<str> = path.display().to_string().into();
        let file = seekable(path, &name)?;
        let reader = BufReader::new(file.try_clone().with_context(|| format!("cannot read {name}"))?);
        let source = Source {
            name: Arc::clone(&name),
            reader: Box::new(BufReader::with_capacity(1 << 16, file)),
            position: None,
            lines_skipped: 0,
        };
        let (format, index) = index(Lines::new(source, limit), limit)?;
        Ok(Self { name, reader, format, index, line: Vec::new() })
    }

    /// Reads a document; the inner error is a problem of this document alone.
    ///
    /// # Errors
    /// The file can't be read.
    pub fn find(&mut self, id: &str) -> Result<Result<Document, String>> {
        let hash = hash(id);
        let start = self.index.partition_point(|&(other, _)| other < hash);
        for &(_, offset) in self.index[start..].iter().take_while(|&&(other, _)| other == hash) {
            self.line.clear();
            self.reader
                .seek(SeekFrom::Start(offset))
                .and_then(|_| self.reader.read_until(b'\n', &mut self.line))
                .with_context(|| format!("cannot read {}", self.name))?;
            let line = content(&self.line);
            if self.format.id(line).as_deref() == Ok(id) {
                let document = self.format.document(line);
                return Ok(document.map_err(|problem| format!("in {}: {problem}", self.name)));
            }
        }
        Ok(Err(format!("the collection {} has no such document", self.name)))
    }
}

/// Opens a file that can be read at any offset and is not compressed.
fn seekable(path: &Path, name: &Arc<str>) -> Result<File> {
    let cannot_read = || format!("cannot read {name}");
    let mut file = File::open(path).with_context(|| format!("cannot open {name}"))?;
    if file.metadata().with_context(cannot_read)?.is_file() {
        let mut head = Vec::new();
        Read::take(&mut file, 4).read_to_end(&mut head).with_context(cannot_read)?;
        file.rewind().with_context(cannot_read)?;
        if Compression::of(&head) == Compression::Plain {
            return Ok(file);
        }
    }
    let mut source = Source::from_reader(Arc::clone(name), Box::new(file))?;
    let mut copy = tempfile::tempfile().context("cannot make a temporary file to decompress the collection")?;
    io::copy(&mut source.reader, &mut copy)
        .map_err(|error| read_error(name, error))
        .with_context(|| format!("cannot decompress {name} into a temporary file (TMPDIR says where it stands)"))?;
    copy.rewind().context("cannot read the temporary file with the decompressed collection")?;
    Ok(copy)
}

fn index(mut lines: Lines, limit: usize) -> Result<(LineFormat, Index)> {
    let name = lines.name().to_owned();
    let mut index = Index::new();
    let mut format = None;
    loop {
        let Some(Piece { line, offset, bytes, .. }) = lines.next()? else { break };
        let bytes = bytes.ok_or_else(|| anyhow!("{name}:{line}: {}", too_long(limit, "line")))?;
        let format = *format.get_or_insert_with(|| LineFormat::of(bytes));
        let id = format.id(bytes).map_err(|problem| anyhow!("{name}:{line}: {problem}"))?;
        index.push((hash(&id), offset));
    }
    index.sort_unstable();
    let Some(format) = format else { bail!("{name} is empty: it holds no documents") };
    Ok((format, index))
}

fn hash(id: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const JSONL: &str = "\u{feff}{\"_id\":\"a\",\"title\":\"\",\"text\":\"first\"}\n\n{\"_id\":\"b\",\"title\":\"B\",\"text\":\"second\"}\r\n\
                         {\"_id\":\"a\",\"text\":\"again\"}\n{\"_id\":\"c\"}";

    fn open(bytes: &[u8]) -> Result<Collection> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        Collection::open(file.path(), 100)
    }

    fn check(mut collection: Collection) {
        let mut text = |id: &str| collection.find(id).unwrap().map(|document| (document.text, document.title));
        assert_eq!(text("b"), Ok(("second".into(), Some("B".into()))));
        assert_eq!(text("a"), Ok(("first".into(), None)));
        assert!(text("c").unwrap_err().contains("no text"));
        assert!(text("d").unwrap_err().contains("has no such document"));
    }

    #[test]
    fn documents_are_found_in_plain_and_compressed_files() {
        check(open(JSONL.as_bytes()).unwrap());
        check(open(&zstd::encode_all(JSONL.as_bytes(), 1).unwrap()).unwrap());
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(JSONL.as_bytes()).unwrap();
        check(open(&gzip.finish().unwrap()).unwrap());
    }

    #[test]
    fn tab_separated_documents_are_found() {
        let mut collection = open(b"a\tone\nb\ttwo\tB").unwrap();
        let document = collection.find("b").unwrap().unwrap();
        assert_eq!((document.text.as_str(), document.title.as_deref()), ("two", Some("B")));
    }

    #[test]
    fn a_malformed_collection_is_refused_with_its_line() {
        for (text, message) in [
            ("{\"_id\":\"a\"}\n{\"text\":\"t\"}", ":2: there is no document id"),
            ("{\"_id\":\"a\"}\n{\"_id\":", ":2: is not JSON"),
            (&"x".repeat(101), ":1: the line is longer than 100 bytes"),
            ("\n", "is empty"),
        ] {
            let error = open(text.as_bytes()).err().unwrap().to_string();
            assert!(error.contains(message), "{error}");
        }
    }
}
