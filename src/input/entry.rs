//! What a format reads: one [`Entry`] per record, before rows become groups and before missing ids and ranks are filled.

use crate::record::Fields;

/// A candidate as it was read.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    /// Its identifier, never empty.
    pub id: Option<String>,
    /// Its text.
    pub text: String,
    /// Its title, never blank.
    pub title: Option<String>,
    /// The first stage's rank.
    pub rank: Option<i64>,
    /// The first stage's score, finite.
    pub score: Option<f64>,
    /// What is not known.
    pub fields: Fields,
}

/// A candidate that can't be used.
#[derive(Clone, Debug)]
pub struct Spoiled {
    /// Its identifier, where it could be read.
    pub id: Option<String>,
    /// What is wrong, as a sentence without a full stop.
    pub problem: String,
}

/// A candidate or what is wrong with it.
pub type Drafted = Result<Draft, Spoiled>;

/// A query as a record tells it.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Its identifier, never empty.
    pub id: Option<String>,
    /// Its text, never blank, or what is wrong with the query.
    pub text: Result<String, String>,
    /// Its instruction.
    pub instruction: Option<String>,
    /// What is not known.
    pub fields: Fields,
}

/// One record of the input.
#[derive(Clone, Debug)]
pub enum Entry {
    /// A query with all its candidates.
    Group {
        /// The line on which it starts.
        line: u64,
        /// The query.
        query: Asked,
        /// Its candidates, in order.
        candidates: Vec<Drafted>,
    },
    /// A query with one of its candidates.
    Row {
        /// The line on which it starts.
        line: u64,
        /// The query.
        query: Asked,
        /// The candidate.
        candidate: Drafted,
    },
    /// A record that makes neither a query nor a candidate.
    Bad {
        /// The line on which it starts.
        line: u64,
        /// The query's identifier, where that could be read.
        query_id: Option<String>,
        /// What is wrong, as a sentence without a full stop.
        problem: String,
    },
    /// How something in the file was understood, for the user to know; a sentence that names the place.
    Note(String),
}

/// The text unless it is blank.
pub fn unless_blank(text: String) -> Option<String> {
    (!text.trim().is_empty()).then_some(text)
}

/// A query's text, or that it is empty.
pub fn query_text(text: String) -> Result<String, String> {
    unless_blank(text).ok_or_else(|| "the query is empty".to_owned())
}

/// A score written as decimal text.
///
/// # Errors
/// Not a number, or one that is not finite.
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

/// A rank written as decimal text.
///
/// # Errors
/// Not an integer.
pub fn rank(text: &str) -> Result<i64, String> {
    // Tables that went through a data frame say `1.0`.
    let text = text.trim();
    let whole = |(digits, rest): (&'_ str, &'_ str)| !digits.is_empty() && rest.bytes().all(|byte| byte == b'0');
    let digits = text.split_once('.').filter(|&parts| whole(parts)).map_or(text, |(digits, _)| digits);
    digits.parse().map_err(|_| format!("the rank {text:?} is not an integer: correct it or leave it out"))
}

/// A record as text.
///
/// # Errors
/// It is not UTF-8.
pub fn utf_8(bytes: &[u8]) -> Result<&str, String> {
    utf_8_of("record", bytes)
}

/// A part of a record, such as a cell, as text.
///
/// # Errors
/// It is not UTF-8.
pub fn utf_8_of<'a>(part: &str, bytes: &'a [u8]) -> Result<&'a str, String> {
    std::str::from_utf8(bytes).map_err(|error| {
        let position = error.valid_up_to();
        format!("is not UTF-8 at byte {} of the {part}: {}", position + 1, conversion(&bytes[position..], bytes))
    })
}

/// That a byte order mark stands elsewhere than at the beginning of its file.
pub const JOINED: &str = "a byte order mark begins this line: it belongs to the beginning of a file, and files were joined \
                          here that had one each; remove it";

/// What to do about bytes that are not UTF-8.
fn conversion(from_the_first: &[u8], all: &[u8]) -> &'static str {
    let adjacent = all.windows(2).any(|pair| !pair[0].is_ascii() && !pair[1].is_ascii());
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

/// That a record is longer than the limit, in bytes.
pub fn too_long(limit: usize, what: &str) -> String {
    let size = if limit >= 1 << 20 { format!("{} MiB", limit >> 20) } else { format!("{limit} bytes") };
    format!("the {what} is longer than {size}: write one pair per line, or split the query's candidates or the text")
}
