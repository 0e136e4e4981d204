//! Recognises content that is no text in UTF-8, names what it is, and what to do with it.

use crate::slices::behind;

/// Bytes at the start of a stream that are looked at.
pub const HEAD_BYTES: usize = 4096;

/// Signatures at the start of a file, what has them, and what to do with such a file.
const SIGNATURES: [(&[u8], &str, &str); 31] = [
    (b"PAR1", "a Parquet file", PARQUET),
    (b"PARE", "an encrypted Parquet file", "write it again without encryption, or read it in Python and pipe JSONL"),
    (b"ARROW1", "an Arrow file", "convert it: `pyarrow.feather.read_table` in Python, then `to_pandas().to_json`"),
    (
        b"FEA1",
        "a Feather file",
        "convert it: `pandas.read_feather` in Python, then `to_json(orient='records', lines=True)`",
    ),
    (b"ORC", "an ORC file", "convert it: `pandas.read_orc` in Python, then `to_json(orient='records', lines=True)`"),
    (b"Obj\x01", "an Avro file", "convert it: `avro-tools tojson` writes JSONL"),
    (b"SQLite format 3\0", "an SQLite database", "export the table: `sqlite3 FILE -csv -header 'select …'`"),
    (b"%PDF", "a PDF document", "extract its text first, for example with `pdftotext`, and write it as JSONL"),
    (b"\x89HDF", "an HDF5 file", "read it in Python and write JSONL"),
    (b"\x93NUMPY", "a NumPy array", "read it in Python and write JSONL"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it first, or pipe one of its files: `7z x -so FILE NAME | rerank`"),
    (b"Rar!", "a RAR archive", "unpack it first"),
    (b"LZIP", "lzip data", "unpack it: `lzip -dc FILE | rerank`"),
    (b"\x04\x22\x4d\x18", "lz4 data", "unpack it: `lz4 -dc FILE | rerank`"),
    (b"\xff\x06\x00\x00sNaPpY", "snappy data", "unpack it first"),
    (b"\x1f\x9d", "data of `compress` (.Z)", "unpack it: `gzip -dc FILE | rerank`"),
    (b"\x5d\x00\x00\x80\x00", "lzma data", "unpack it: `xz -dc FILE | rerank`"),
    (b"GGUF", "a GGUF model", MODEL),
    (b"\x89PNG", "a PNG picture", TEXT_ONLY),
    (b"\xff\xd8\xff", "a JPEG picture", TEXT_ONLY),
    (b"GIF8", "a GIF picture", TEXT_ONLY),
    (b"\x7fELF", "a program", TEXT_ONLY),
    (b"\xd0\xcf\x11\xe0", "an old Excel or Word file", "save the sheet as CSV (UTF-8)"),
    (b"{\\rtf", "an RTF document", "save it as plain text, and write it as JSONL"),
    (b"<?xml", "XML", MARKUP),
    (b"<top>", "a file of TREC topics", "write an identifier, a tab and the query on each line, or JSONL"),
    (b"<DOC>", "a file of TREC documents", "write JSONL with `id` and `text`, for example with ir_datasets"),
    (b"<!DOCTYPE", "a web page", WEB_PAGE),
    (b"<!doctype", "a web page", WEB_PAGE),
    (b"<html", "a web page", WEB_PAGE),
    (b"version https://git-lfs", "a pointer of Git LFS, not the file itself", "fetch the file with `git lfs pull`"),
];

const PARQUET: &str = "convert it: `pandas.read_parquet(FILE).to_json(NEW, orient='records', lines=True)` in Python, or \
                       `duckdb -c \"copy 'FILE' to 'NEW.jsonl'\"`";
const MODEL: &str = "the input holds queries with candidates; name a model with --model";
const TEXT_ONLY: &str = "queries with candidates are expected, as JSONL, JSON, CSV, TSV or a TREC run";
const MARKUP: &str = "queries with candidates are expected: convert it to JSONL";
const WEB_PAGE: &str =
    "a download most likely went to a page that asks for a login or reports an error: fetch the file again";

/// Recognises by its first bytes what a stream is, if it is no text in UTF-8: `is a ZIP archive: …`.
pub fn recognise(head: &[u8]) -> Option<String> {
    let describe = |(what, remedy): (&str, &str)| format!("is {what}: {remedy}");
    if let Some(encoding) = wide_encoding(head) {
        return Some(format!(
            "is {encoding}, UTF-8 is expected: convert it with `iconv -f {encoding} -t UTF-8 FILE > NEW`"
        ));
    }
    let signature = SIGNATURES.iter().find(|(signature, ..)| head.starts_with(signature));
    signature
        .map(|&(_, what, remedy)| (what, remedy))
        .or_else(|| zip(head))
        .or_else(|| other_binary(head))
        .map(describe)
}

fn zip(head: &[u8]) -> Option<(&'static str, &'static str)> {
    if !head.starts_with(b"PK\x03\x04") {
        return None;
    }
    let holds = |name: &[u8]| head.windows(name.len()).any(|window| window == name);
    Some(if holds(b"xl/") || holds(b"[Content_Types].xml") {
        ("an Excel or Office file", "save the sheet as CSV (UTF-8)")
    } else if holds(b"/data.pkl") {
        ("a PyTorch file", "read it in Python and write JSONL")
    } else if holds(b".npy") {
        ("a NumPy archive", "read it in Python and write JSONL")
    } else {
        ("a ZIP archive", "unpack it first, or pipe one of its files: `unzip -p FILE NAME | rerank`")
    })
}

fn other_binary(head: &[u8]) -> Option<(&'static str, &'static str)> {
    if head.get(257..262) == Some(b"ustar") {
        return Some(("a tar archive", "unpack it first, or pipe one of its files: `tar -xOf FILE NAME | rerank`"));
    }
    if matches!(head, [0x80, 2..=5, ..]) {
        return Some(("a Python pickle", "read it in Python and write JSONL, with `json.dumps` for each query"));
    }
    let header_bytes = head.get(..8).and_then(|bytes| bytes.try_into().ok()).map(u64::from_le_bytes);
    if header_bytes.is_some_and(|bytes| bytes < 1 << 32) && behind(head, 8).starts_with(b"{\"") {
        return Some(("a safetensors model", MODEL));
    }
    // NUL is a character of UTF-8; bytes that are neither text in UTF-8 nor free of NUL are hardly text at all.
    let cut = |error: std::str::Utf8Error| error.error_len().is_none() && head.len() == HEAD_BYTES;
    let is_utf_8 = std::str::from_utf8(head).map_or_else(cut, |_| true);
    (!is_utf_8 && head.contains(&0)).then_some(("binary data, no text", TEXT_ONLY))
}

/// UTF-16 and UTF-32, with a byte order mark or without: the first characters of what is read here are ASCII.
fn wide_encoding(head: &[u8]) -> Option<&'static str> {
    match head {
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] => Some("UTF-32"),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Some("UTF-16"),
        [1..=0x7f, 0, 0, 0, 1..=0x7f, 0, 0, 0, ..] => Some("UTF-32LE"),
        [0, 0, 0, 1..=0x7f, 0, 0, 0, 1..=0x7f, ..] => Some("UTF-32BE"),
        [1..=0x7f, 0, 1..=0x7f, 0, 1..=0x7f, 0, ..] => Some("UTF-16LE"),
        [0, 1..=0x7f, 0, 1..=0x7f, 0, 1..=0x7f, ..] => Some("UTF-16BE"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_text_is_called_what_it_is() {
        let tar = [&[b'a'; 257][..], b"ustar\x0000"].concat();
        let safetensors = [&100_u64.to_le_bytes()[..], b"{\"a\":{}}"].concat();
        for (head, what) in [
            (&b"PK\x03\x04\x14\0candidates.jsonl"[..], "is a ZIP archive: unpack it first"),
            (b"PK\x03\x04\x14\0[Content_Types].xml", "is an Excel or Office file: save the sheet as CSV"),
            (b"PAR1\x15\x04", "is a Parquet file: convert it: `pandas.read_parquet"),
            (b"SQLite format 3\0\x10", "is an SQLite database"),
            (b"\x80\x04\x95\x10", "is a Python pickle"),
            (b"%PDF-1.7\n", "is a PDF document"),
            (b"\xff\xfe{\0", "is UTF-16, UTF-8 is expected: convert it with `iconv -f UTF-16 -t UTF-8"),
            (b"\xff\xfe\0\0{\0\0\0", "is UTF-32,"),
            (b"{\0\"\0q\0", "`iconv -f UTF-16LE -t UTF-8"),
            (b"\0{\0\"\0q", "`iconv -f UTF-16BE -t UTF-8"),
            (b"{\0\0\0\"\0\0\0", "`iconv -f UTF-32LE -t UTF-8"),
            (b"\x00\x01\xfe\xff\x00", "is binary data, no text"),
            (&tar, "is a tar archive"),
            (&safetensors, "is a safetensors model"),
            (b"version https://git-lfs.github.com/spec/v1\n", "`git lfs pull`"),
        ] {
            let recognised = recognise(head).unwrap_or_default();
            assert!(recognised.contains(what), "{head:?}: {recognised}");
        }
    }

    #[test]
    fn text_is_text_with_nul_and_cut_anywhere() {
        for text in [&b""[..], b"{}", b"a\0b\0\xc3\xa9", b"\xe9,caf\xe9", b"PK", "\u{feff}é\0".as_bytes()] {
            assert_eq!(recognise(text), None, "{text:?}");
        }
        let mut cut = [b"\0".as_slice(), "é".repeat(HEAD_BYTES).as_bytes()].concat();
        cut.truncate(HEAD_BYTES);
        assert_eq!(recognise(&cut), None);
    }
}
