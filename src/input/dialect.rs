//! How the cells of a table are written: the character between them, and whether double quotes enclose them.

use std::str::FromStr;

use clap::ValueEnum;

/// What double quotes mean in a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Quotes {
    /// A cell may stand in double quotes, as in CSV; a double quote in it is doubled
    Csv,
    /// A double quote is a character like any other
    None,
}

/// The character between the cells of tables, whatever the extension of their files.
pub const DELIMITERS: [u8; 4] = [b',', b'\t', b';', b'|'];

/// The options about tables, whichever role they have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableOptions {
    /// The character between cells.
    pub delimiter: Option<Delimiter>,
    /// What double quotes mean.
    pub quotes: Option<Quotes>,
}

/// `--delimiter`: one ASCII character, or `tab`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delimiter(pub u8);

impl FromStr for Delimiter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.as_bytes()) {
            ("tab" | "\\t", _) => Ok(Self(b'\t')),
            (_, [byte]) if byte.is_ascii() && !matches!(byte, b'"' | b'\r' | b'\n' | 0) => Ok(Self(*byte)),
            _ => Err(format!("{text:?} can't stand between cells: one ASCII character is expected, or `tab`")),
        }
    }
}

impl Delimiter {
    /// The delimiter as the user would type it.
    pub fn typed(self) -> String {
        if self.0 == b'\t' { "tab".to_owned() } else { format!("'{}'", char::from(self.0)) }
    }

    /// The delimiter that a first line `sep=;`, which Excel reads and writes, declares for the lines below.
    pub fn of_separator_line(line: &[u8]) -> Option<Self> {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let line = line.strip_prefix(b"\"").and_then(|line| line.strip_suffix(b"\"")).unwrap_or(line);
        match line {
            [b's' | b'S', b'e' | b'E', b'p' | b'P', b'=', byte] => std::str::from_utf8(&[*byte]).ok()?.parse().ok(),
            _ => None,
        }
    }
}

/// How the cells of one table are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dialect {
    /// The character between cells.
    pub delimiter: u8,
    /// What double quotes mean.
    pub quotes: Quotes,
    /// Whether white space around a cell that is not in quotes is dropped.
    pub trim: bool,
}

impl Dialect {
    /// CSV: commas and quotes.
    pub const CSV: Self = Self { delimiter: b',', quotes: Quotes::Csv, trim: false };
    /// TSV as MS MARCO, BEIR and the tools around TREC write it: tabs, and quotes that mean nothing.
    pub const TSV: Self = Self { delimiter: b'\t', quotes: Quotes::None, trim: false };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delimiter_is_one_character_or_a_name() {
        assert_eq!("tab".parse(), Ok(Delimiter(b'\t')));
        assert_eq!("|".parse(), Ok(Delimiter(b'|')));
        for text in ["", ";;", "\"", "\n", "é"] {
            assert!(text.parse::<Delimiter>().unwrap_err().contains("one ASCII character"), "{text:?}");
        }
    }

    #[test]
    fn a_separator_line_names_the_delimiter() {
        for line in ["sep=;", "SEP=;\r\n", "\"sep=;\"\n"] {
            assert_eq!(Delimiter::of_separator_line(line.as_bytes()), Some(Delimiter(b';')), "{line:?}");
        }
        assert_eq!(Delimiter::of_separator_line(b"sep=\t\n"), Some(Delimiter(b'\t')));
        for line in ["sep=", "sep=;;", "sep", "query,text"] {
            assert_eq!(Delimiter::of_separator_line(line.as_bytes()), None, "{line:?}");
        }
    }
}
