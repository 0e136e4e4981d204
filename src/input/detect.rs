//! Determines the format of an input: by its name, or else by its first line.

use std::path::Path;

use super::compression::EXTENSIONS;
use super::dialect::Delimiter;
use super::elements::Nesting;
use super::run_line::RunFormat;

/// A format of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum InputFormat {
    /// One JSON object per line: a query with its candidates, or a pair
    Jsonl,
    /// A JSON list of such objects, or such objects one after another, over any number of lines
    Json,
    /// Comma-separated values with a header, one pair per row
    Csv,
    /// Tab-separated values with a header, one pair per row; quotes are text unless --quotes or the header makes them count
    Tsv,
    /// A TREC run, with --queries and --collection
    Trec,
    /// A run in the format of MS MARCO: query-id, document-id and rank; with --queries and --collection
    Msmarco,
    /// A run as Tevatron writes it: query-id, document-id and score; with --queries and --collection
    Tevatron,
    /// A run in one JSON object, as BEIR, mteb, ranx and pytrec_eval have it: scores by document-ids by query-ids; with --queries and
    /// --collection
    Scores,
    /// Apache Parquet: a row for each pair, for each query with lists of candidates, or for each line of a run
    Parquet,
    /// Arrow's files and streams (Feather too), with the same rows
    Arrow,
}

impl InputFormat {
    /// The format that a file's extension names. For a compressed file, the extension before that of the compression counts.
    pub fn of_name(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?.to_ascii_lowercase();
        match without_compression(&name).rsplit_once('.')?.1 {
            "jsonl" | "ndjson" => Some(Self::Jsonl),
            "json" => Some(Self::Json),
            "csv" => Some(Self::Csv),
            "tsv" => Some(Self::Tsv),
            "trec" | "run" => Some(Self::Trec),
            "parquet" => Some(Self::Parquet),
            "arrow" | "feather" => Some(Self::Arrow),
            _ => None,
        }
    }

    /// Whether it is a table.
    pub fn is_table(self) -> bool {
        matches!(self, Self::Csv | Self::Tsv)
    }

    /// Whether it holds columns, and is no text.
    pub fn is_columnar(self) -> bool {
        matches!(self, Self::Parquet | Self::Arrow)
    }

    /// Whether it is JSON.
    pub fn is_json(self) -> bool {
        matches!(self, Self::Jsonl | Self::Json)
    }

    /// Whether it is a run, which holds no text. Columns that are no run are read as JSONL.
    pub fn is_run(self) -> bool {
        matches!(self, Self::Trec | Self::Msmarco | Self::Tevatron | Self::Scores) || self.is_columnar()
    }

    /// The format of a run that has such a line.
    pub fn of_run(line: &[u8]) -> Option<Self> {
        Some(match RunFormat::of(std::str::from_utf8(line).ok()?)? {
            RunFormat::Trec => Self::Trec,
            RunFormat::Msmarco => Self::Msmarco,
            RunFormat::Tevatron => Self::Tevatron,
            // No line of text is recognised as one.
            RunFormat::Columns => return None,
        })
    }

    /// The format of an input with this first line.
    pub fn of_content(line: &[u8]) -> Option<Self> {
        let line = line.trim_ascii();
        match line.first()? {
            b'[' => Some(Self::Json),
            b'{' if goes_on_in_the_next_line(line) => Some(Self::Json),
            b'{' => Some(Self::Jsonl),
            _ if std::str::from_utf8(line).is_err() => None,
            _ if Delimiter::of_separator_line(line).is_some() => Some(Self::Csv),
            _ if Self::of_run(line).is_some() => Self::of_run(line),
            _ if line.contains(&b'\t') => Some(Self::Tsv),
            _ if line.contains(&b',') => Some(Self::Csv),
            _ => None,
        }
    }
}

/// A file's name without the extension of its compression.
fn without_compression(name: &str) -> &str {
    EXTENSIONS.iter().find_map(|extension| name.strip_suffix(extension)).unwrap_or(name)
}

/// A file's name without the extensions of its compression and of a format; others belong to the name, as in `model-v1.5`.
pub fn name_without_extensions(name: &str) -> &str {
    const OTHERS: [&str; 2] = ["txt", "res"];
    let name = without_compression(name);
    let is_format = |(stem, extension): &(&str, &str)| {
        !stem.is_empty() && (InputFormat::of_name(Path::new(name)).is_some() || OTHERS.contains(extension))
    };
    name.rsplit_once('.').filter(is_format).map_or(name, |(stem, _)| stem)
}

/// Whether a JSON object is pretty-printed. A line that breaks off inside a string is not: it is a broken line.
fn goes_on_in_the_next_line(line: &[u8]) -> bool {
    let mut nesting = Nesting::default();
    nesting.scan(line).is_none() && nesting.is_between_tokens()
}

#[cfg(test)]
mod tests {
    use super::InputFormat::{self, Csv, Json, Jsonl, Msmarco, Trec, Tsv};

    #[test]
    fn the_extension_under_the_compression_determines_the_format() {
        for (name, format) in [
            ("a/b.jsonl", Some(Jsonl)),
            ("b.NDJSON.gz", Some(Jsonl)),
            ("b.json.zst", Some(Json)),
            ("b.tsv.xz", Some(Tsv)),
            ("b.csv.BZ2", Some(Csv)),
            ("b.c.csv", Some(Csv)),
            ("b.tsv", Some(Tsv)),
            ("b.trec", Some(Trec)),
            ("b.run", Some(Trec)),
            ("b.txt", None),
            ("jsonl", None),
            ("b.gz", None),
        ] {
            assert_eq!(InputFormat::of_name(name.as_ref()), format, "{name}");
        }
    }

    #[test]
    fn the_first_line_determines_the_format() {
        for (line, format) in [
            ("\n [", Some(Json)),
            ("{", Some(Json)),
            ("{\"a\": [1,", Some(Json)),
            ("{\"a\": \"}{\"}\n", Some(Jsonl)),
            ("{\"a\": NaN}", Some(Jsonl)),
            ("{\"a\": \"cut", Some(Jsonl)),
            ("q1\tq0 d1  1 2.5 run\n", Some(Trec)),
            ("q1 Q0 d1 1 2.5 run x\n", Some(Trec)),
            ("sep=;\n", Some(Csv)),
            ("q1\td1\t1\n", Some(Msmarco)),
            ("query\ttext, or not", Some(Tsv)),
            ("query,text", Some(Csv)),
            ("text", None),
            ("\u{e9},b", Some(Csv)),
            ("", None),
        ] {
            assert_eq!(InputFormat::of_content(line.as_bytes()), format, "{line}");
        }
        assert_eq!(InputFormat::of_content(b"\x80PNG,"), None);
    }
}
