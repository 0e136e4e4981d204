//! The texts of documents: a file of any size, indexed by offset once and read when a document is needed.

use std::collections::HashMap;
use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, anyhow, bail};
use indicatif::DecimalBytes;

use super::compression::Compression;
use super::detect::InputFormat;
use super::dialect::{Dialect, TableOptions};
use super::document::{self, Document};
use super::elements::read_value;
use super::entry::too_long;
use super::findings::Findings;
use super::foreign::{HEAD_BYTES, recognise};
use super::json::Values;
use super::lines::{Piece, blanks, content, newlines};
use super::row::{Row, Step};
use super::source::{BYTE_ORDER_MARK, Opened, Source, read_error};
use super::text_table::{Layout, Role, TextTable, looks_like_csv};
use crate::store;

/// A collection: BEIR's JSONL (`{"_id", "title", "text"}`), JSON with such objects, or a table. If an identifier stands twice,
/// its first document counts.
pub struct Collection {
    name: Arc<str>,
    reader: BufReader<File>,
    format: Format,
    index: Index,
    line: Vec<u8>,
    limit: usize,
    notes: Vec<String>,
}

/// How the documents are written.
#[derive(Clone, Copy, Debug)]
enum Format {
    Jsonl,
    Json,
    Table(Dialect, Layout),
}

/// The hash of each identifier with the offset of its line, sorted: 16 bytes per document.
type Index = Vec<(u64, u64)>;

impl Collection {
    /// Indexes a file. A compressed one, one of columns, or one that can't be read twice (a pipe), is copied into a temporary file
    /// without a name first.
    ///
    /// # Errors
    /// It can't be read or copied, is empty, or a line is malformed.
    pub fn open(path: &Path, tables: TableOptions, limit: usize) -> Result<Self> {
        let name: Arc<str> = path.display().to_string().into();
        let mut notes = Vec::new();
        let file = if store::is_address(path) {
            downloaded(path, limit, &mut notes)?
        } else {
            seekable(path, limit, &mut notes)?
        };
        let reader = BufReader::new(file.try_clone().with_context(|| format!("cannot read {name}"))?);
        let mut file = BufReader::with_capacity(1 << 16, file);
        let (start, lines_skipped) = skip_head(&mut file).with_context(|| format!("cannot read {name}"))?;
        let mut source = Source {
            name: Arc::clone(&name),
            reader: Box::new(file),
            position: None,
            lines_skipped,
            findings: Findings::default(),
        };
        let first_line = source.peek_line(limit)?;
        if first_line.is_empty() {
            bail!("{name} is empty: it holds no documents");
        }
        let mut collection =
            Self { name, reader, format: Format::Jsonl, index: Index::new(), line: Vec::new(), limit, notes };
        if let Some(format) = InputFormat::of_content(&first_line).filter(|format| format.is_json()) {
            if format == InputFormat::Json {
                collection.format = Format::Json;
            }
            collection.index_values(Values::of(format, source, limit))?;
        } else {
            let is_csv = InputFormat::of_name(path) == Some(InputFormat::Csv) || looks_like_csv(&first_line);
            collection.index_rows(TextTable::open(source, tables, (Role::Documents, is_csv), limit)?)?;
        }
        collection.index.iter_mut().for_each(|(_, offset)| *offset += start);
        collection.index.sort_unstable();
        Ok(collection)
    }

    /// Whether the documents stand in a table.
    pub fn is_table(&self) -> bool {
        matches!(self.format, Format::Table(..))
    }

    /// Takes the notes about how the file was interpreted.
    pub fn take_notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }

    fn index_values(&mut self, mut values: Values) -> Result<()> {
        let (name, limit, what) = (&self.name, self.limit, values.what());
        while let Some(Piece { line, offset, bytes, .. }) = values.next()? {
            let bytes = bytes.ok_or_else(|| anyhow!("{name}:{line}: {}", too_long(limit, what)))?;
            let id = document::id(bytes).map_err(|problem| anyhow!("{name}:{line}: {problem}"))?;
            self.index.push((hash(&id), offset));
        }
        Ok(())
    }

    fn index_rows(&mut self, mut table: TextTable) -> Result<()> {
        self.format = Format::Table(table.dialect(), table.layout());
        while table.read()? {
            let row = table.row();
            let id = table.layout().id(row).map_err(|problem| anyhow!("{}:{}: {problem}", self.name, row.line()))?;
            self.index.push((hash(id), row.offset()));
            self.notes.extend(table.take_note());
        }
        Ok(())
    }

    /// Reads a document; the inner error is a problem of this document alone.
    ///
    /// # Errors
    /// The file can't be read.
    pub fn find(&mut self, id: &str) -> Result<Result<Document, String>> {
        let hash = hash(id);
        let start = self.index.partition_point(|&(other, _)| other < hash);
        let same = self.index.iter().skip(start).take_while(|&&(other, _)| other == hash);
        for offset in same.map(|&(_, offset)| offset).collect::<Vec<_>>() {
            self.reader.seek(SeekFrom::Start(offset)).with_context(|| format!("cannot read {}", self.name))?;
            let document = self.read().with_context(|| format!("cannot read {}", self.name))?;
            match document {
                Ok((found, _)) if found != id => {}
                Ok((_, document)) => return Ok(document.map_err(|problem| format!("in {}: {problem}", self.name))),
                Err(problem) => return Ok(Err(format!("in {}: {problem}", self.name))),
            }
        }
        Ok(Err(format!("the collection {} has no such document", self.name)))
    }

    /// Reads the document that stands where the reader does.
    fn read(&mut self) -> io::Result<Result<Found, String>> {
        match self.format {
            Format::Jsonl => {
                self.line.clear();
                self.reader.read_until(b'\n', &mut self.line)?;
                let line = content(&self.line);
                Ok(document::id(line).map(|id| (id, document::document(line))))
            }
            Format::Json => {
                read_value(&mut self.reader, &mut self.line)?;
                Ok(document::id(&self.line).map(|id| (id, document::document(&self.line))))
            }
            Format::Table(dialect, layout) => {
                let mut row = Row::default();
                match row.read(&mut self.reader, dialect, self.limit)? {
                    Step::Row => Ok(layout.id(&row).map(|id| (id.to_owned(), layout.document(&row)))),
                    _ => Err(io::Error::other("the file was changed while it was read")),
                }
            }
        }
    }
}

/// An identifier, and the document or what is wrong with it.
type Found = (String, Result<Document, String>);

/// Passes over a byte order mark and blank lines. Returns how many bytes and how many lines they are.
fn skip_head(file: &mut BufReader<File>) -> io::Result<(u64, u64)> {
    let (mut start, mut lines) = (0, 0);
    while file.fill_buf()?.starts_with(BYTE_ORDER_MARK) {
        file.consume(BYTE_ORDER_MARK.len());
        start += BYTE_ORDER_MARK.len();
    }
    loop {
        let available = file.fill_buf()?;
        let run = blanks(available);
        let Some(last) = run.iter().rposition(|&byte| byte == b'\n') else { return Ok((start as u64, lines)) };
        lines += newlines(run);
        start += last + 1;
        file.consume(last + 1);
    }
}

/// Opens a file that can be read at any offset and is not compressed.
fn seekable(path: &Path, limit: usize, notes: &mut Vec<String>) -> Result<File> {
    let name = path.display();
    let cannot_read = || format!("cannot read {name}");
    if path.is_dir() {
        return copy_of(Source::open(Some(path))?, limit, notes);
    }
    #[cfg(feature = "parquet")]
    if path.is_file()
        && let opened @ Opened::Columns(_) = Opened::open(Some(path))?
    {
        return copy_of(opened.into_text()?, limit, notes);
    }
    let mut file = File::open(path).with_context(|| format!("cannot open {name}"))?;
    if file.metadata().with_context(cannot_read)?.is_file() {
        let mut head = Vec::new();
        Read::take(&mut file, HEAD_BYTES as u64).read_to_end(&mut head).with_context(cannot_read)?;
        file.rewind().with_context(cannot_read)?;
        if Compression::of(&head).is_none() {
            if let Some(what) = recognise(&head) {
                bail!("{name} {what}");
            }
            return Ok(file);
        }
    }
    copy_of(Source::from_reader(name.to_string().into(), Box::new(file))?, limit, notes)
}

/// Copies of objects, which several inputs of a run share.
static COPIES: Mutex<Option<HashMap<PathBuf, File>>> = Mutex::new(None);

/// A temporary file with the text of an object, which is copied once. Its handles share a position, which does no harm: of two
/// collections in one file the earlier one is not read any more.
fn downloaded(path: &Path, limit: usize, notes: &mut Vec<String>) -> Result<File> {
    let mut copies = COPIES.lock().unwrap_or_else(PoisonError::into_inner);
    let copies = copies.get_or_insert_default();
    if !copies.contains_key(path) {
        let copy = copy_of(Opened::open(Some(path))?.into_text()?, limit, notes)?;
        let bytes = DecimalBytes(copy.metadata().context("cannot read the temporary file with the collection")?.len());
        notes.push(format!(
            "{} was copied into a temporary file of {bytes} (in the directory that TMPDIR names), as its documents are read in any order",
            path.display()
        ));
        copies.insert(path.to_owned(), copy);
    }
    let copy = copies.get(path).context("the copy of the collection is gone")?;
    let mut copy = copy.try_clone().context("cannot read the temporary file with the collection")?;
    copy.rewind().context("cannot read the temporary file with the collection")?;
    Ok(copy)
}

/// A temporary file with the text of a source. What was found in it is added to the notes.
fn copy_of(mut source: Source, limit: usize, notes: &mut Vec<String>) -> Result<File> {
    let mut copy = tempfile::tempfile().context("cannot make a temporary file to decompress the collection")?;
    copy_lines(&mut source, &mut copy, limit)?;
    notes.extend(source.findings.take_notes());
    copy.rewind().context("cannot read the temporary file with the decompressed collection")?;
    Ok(copy)
}

/// Copies a source into a temporary file, unless a line is longer than the limit: what never ends would fill the disk. In a list,
/// lines have no meaning.
fn copy_lines(source: &mut Source, copy: &mut File, limit: usize) -> Result<()> {
    let (mut line, mut since, mut start) = (1, 0, None);
    loop {
        let available = source.reader.fill_buf().map_err(|error| read_error(&source.name, error))?;
        if available.is_empty() {
            return Ok(());
        }
        start = start.or_else(|| available.trim_ascii_start().first().copied());
        for part in available.split_inclusive(|&byte| byte == b'\n') {
            since += part.len();
            if since > limit.saturating_add(2) && start != Some(b'[') {
                let problem = source.findings.take_too_long(line).unwrap_or_else(|| too_long(limit, "line"));
                bail!("{}:{line}: {problem}", source.name);
            }
            if part.ends_with(b"\n") {
                (line, since) = (line + 1, 0);
            }
        }
        copy.write_all(available).with_context(|| {
            format!("cannot decompress {} into a temporary file (in the directory that TMPDIR names)", source.name)
        })?;
        let count = available.len();
        source.reader.consume(count);
    }
}

fn hash(id: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSONL: &str = "\u{feff}{\"_id\":\"a\",\"title\":\"\",\"text\":\"first\"}\n\n{\"_id\":\"b\",\"title\":\"B\",\"text\":\"second\"}\r\n\
                         {\"_id\":\"a\",\"text\":\"again\"}\n{\"_id\":\"c\"}";

    fn open(bytes: &[u8]) -> Result<Collection> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        Collection::open(file.path(), TableOptions::default(), 100)
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
    fn a_long_line_is_not_copied_to_the_disk() {
        let bomb = zstd::encode_all(&[b'a'; 300][..], 1).unwrap();
        let error = open(&[&bomb[..], &bomb].concat()).err().unwrap().to_string();
        assert!(
            error.ends_with(
                ":1: the line is longer than 100 bytes: write one pair per line, or split the query's \
             candidates or the text"
            ),
            "{error}"
        );
    }

    #[test]
    fn tab_separated_documents_are_found() {
        let mut collection = open(b"a\tone\t\nb\ttwo\tB").unwrap();
        let document = collection.find("b").unwrap().unwrap();
        assert_eq!((document.text.as_str(), document.title.as_deref()), ("two", Some("B")));
    }

    #[test]
    fn a_malformed_collection_is_refused_with_its_line() {
        for (text, message) in [
            ("{\"_id\":\"a\"}\n{\"text\":\"t\"}", ":2: there is no document id"),
            ("{\"_id\":\"a\"}\n{\"_id\":", ":2: is not JSON"),
            (&"x".repeat(101), ":1: the row is longer than 100 bytes"),
            ("\n", "is empty"),
        ] {
            let error = open(text.as_bytes()).err().unwrap().to_string();
            assert!(error.contains(message), "{error}");
        }
    }
}
