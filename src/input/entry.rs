//! The result of reading a format: one [`Entry`] per record, before rows become groups and missing ids and ranks are filled in.

use anyhow::Result as Fallible;

use super::skim::Skim;
use crate::record::Fields;
use crate::slices::behind;

/// A candidate as it was read.
#[derive(Clone, Debug)]
pub struct ParsedCandidate {
    /// Its identifier, never empty.
    pub id: Option<String>,
    /// Its text, or the message that its record has none; the file that `--collection` names may have it.
    pub text: Result<String, String>,
    /// Its title, never blank.
    pub title: Option<String>,
    /// The first stage's rank.
    pub rank: Option<i64>,
    /// The first stage's score, finite.
    pub score: Option<f64>,
    /// The fields that are not known, which are carried.
    pub fields: Fields,
}

impl Default for ParsedCandidate {
    fn default() -> Self {
        Self { id: None, text: Ok(String::new()), title: None, rank: None, score: None, fields: Fields::new() }
    }
}

/// A candidate that can't be used.
#[derive(Clone, Debug)]
pub struct InvalidCandidate {
    /// Its identifier, where it could be read.
    pub id: Option<String>,
    /// What is wrong, as a sentence without a full stop.
    pub problem: String,
}

/// A candidate, or the reason why it can't be used.
pub type CandidateResult = Result<ParsedCandidate, InvalidCandidate>;

/// A query as it was read from a record.
#[derive(Clone, Debug)]
pub struct ParsedQuery {
    /// Its identifier, never empty.
    pub id: Option<String>,
    /// Its text, never blank, or what is wrong with the query.
    pub text: Result<String, String>,
    /// Whether what is wrong is that the record has no text of the query, or a blank one; the file that `--queries` names may have it.
    pub lacks_text: bool,
    /// Its instruction.
    pub instruction: Option<String>,
    /// The fields that are not known, which are carried.
    pub fields: Fields,
}

impl Default for ParsedQuery {
    fn default() -> Self {
        Self { id: None, text: Ok(String::new()), lacks_text: false, instruction: None, fields: Fields::new() }
    }
}

/// One record of the input.
#[derive(Clone, Debug)]
pub enum Entry {
    /// A query with all its candidates.
    Group {
        /// The line on which it starts.
        line: u64,
        /// The query.
        query: ParsedQuery,
        /// Its candidates, in order.
        candidates: Vec<CandidateResult>,
    },
    /// A query with one of its candidates.
    Row {
        /// The line on which it starts.
        line: u64,
        /// The query.
        query: ParsedQuery,
        /// The candidate.
        candidate: CandidateResult,
    },
    /// A record that makes neither a query nor a candidate.
    Bad {
        /// The line on which it starts.
        line: u64,
        /// The query's identifier, where that could be read.
        query_id: Option<String>,
        /// What is wrong, as a sentence without a full stop.
        problem: String,
        /// The record as it stands in the file, where it is at hand.
        content: Option<String>,
    },
    /// How something in the file was interpreted, reported to the user; a sentence that names the place.
    Note(String),
    /// A record of a query that is passed over.
    Passed {
        /// The line on which it starts.
        line: u64,
        /// The query's identifier.
        query_id: String,
        /// Whether the record has all its candidates; else it is a row, and more may follow.
        is_group: bool,
    },
}

/// The entries of a file, in its order.
pub trait Entries: Iterator<Item = Fallible<Entry>> + Send {
    /// The next entry, as [`Iterator::next`] returns it. Of a query that is passed over, no more needs to be read than its
    /// identifier; a reader that would gain nothing by that reads it as any other.
    fn skim(&mut self, _skim: Skim) -> Option<Fallible<Entry>> {
        self.next()
    }
}

/// Returns the text unless it is blank.
pub fn unless_blank(text: String) -> Option<String> {
    (!text.trim().is_empty()).then_some(text)
}

/// Returns a query's text, or the message that it is empty.
pub fn query_text(text: String) -> Result<String, String> {
    unless_blank(text).ok_or_else(|| "the query is empty".to_owned())
}

/// Parses a score, which is written as decimal text.
///
/// # Errors
/// If it is not a number, or not a finite one.
pub fn score(text: &str) -> Result<f64, String> {
    match text.trim().parse::<f64>() {
        Ok(score) if score.is_finite() => Ok(score),
        Ok(_) => Err(format!("the score {text} is not a finite number: correct it or leave it out")),
        Err(_) if is_grouped(text) => Err(format!(
            "the score {text:?} is not a number: write it without marks between thousands and with a decimal point, \
             as in 1234.5"
        )),
        Err(_) => Err(format!("the score {text:?} is not a number: correct it or leave it out")),
    }
}

/// Whether a number is written with commas or other marks that only people understand.
fn is_grouped(text: &str) -> bool {
    let number: String =
        text.trim().chars().filter(|mark| ![',', '\'', '_', ' ', '\u{a0}', '\u{202f}'].contains(mark)).collect();
    number.parse::<f64>().is_ok() || text.trim().replacen(',', ".", 1).parse::<f64>().is_ok()
}

/// Parses a rank, which is written as decimal text.
///
/// # Errors
/// If it is not an integer.
pub fn rank(text: &str) -> Result<i64, String> {
    // Tables that went through a data frame have `1.0` for 1.
    let text = text.trim();
    let whole = |(digits, rest): (&'_ str, &'_ str)| !digits.is_empty() && rest.bytes().all(|byte| byte == b'0');
    let digits = text.split_once('.').filter(|&parts| whole(parts)).map_or(text, |(digits, _)| digits);
    digits.parse().map_err(|_| format!("the rank {text:?} is not an integer: correct it or leave it out"))
}

/// Converts a record to text.
///
/// # Errors
/// If it is not UTF-8.
pub fn utf_8(bytes: &[u8]) -> Result<&str, String> {
    utf_8_of("record", bytes)
}

/// Converts a part of a record, such as a cell, to text.
///
/// # Errors
/// If it is not UTF-8.
pub fn utf_8_of<'a>(part: &str, bytes: &'a [u8]) -> Result<&'a str, String> {
    std::str::from_utf8(bytes).map_err(|error| {
        let position = error.valid_up_to();
        format!("is not UTF-8 at byte {} of the {part}: {}", position + 1, conversion(behind(bytes, position), bytes))
    })
}

/// The message for a byte order mark that is not at the beginning of its file.
pub const JOINED: &str = "a byte order mark begins this line: it belongs to the beginning of a file, and files were joined \
                          here that had one each; remove it";

/// The remedy for bytes that are not UTF-8.
fn conversion(from_the_first: &[u8], all: &[u8]) -> &'static str {
    let adjacent = all.array_windows().any(|[one, next]| !one.is_ascii() && !next.is_ascii());
    match from_the_first {
        [0xed, 0xa0..=0xbf, ..] => {
            "half of a surrogate pair stands there as bytes of its own, most likely of an emoji that was cut in two; remove \
             it"
        }
        // In a text of western Europe letters with accents stand alone; in other encodings a character has several bytes.
        _ if !adjacent => {
            "it is most likely Latin-1 or Windows-1252: convert the file with `iconv -f WINDOWS-1252 -t UTF-8 FILE > NEW`"
        }
        _ => {
            "convert the file with `iconv -f ENCODING -t UTF-8 FILE > NEW`, where ENCODING is the one that it was written \
             in, such as WINDOWS-1252, SHIFT_JIS or GB18030"
        }
    }
}

/// The message for a record that is longer than the limit, in bytes.
pub fn too_long(limit: usize, what: &str) -> String {
    let size = if limit >= 1 << 20 { format!("{} MiB", limit >> 20) } else { format!("{limit} bytes") };
    format!("the {what} is longer than {size}: write one pair per line, or split the query's candidates or the text")
}
