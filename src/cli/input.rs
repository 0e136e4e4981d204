//! The options of the input.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::input::{Columns, Delimiter, InputFormat, Quotes};

/// Where the candidates come from.
#[derive(Clone, Debug, Args)]
pub struct InputArguments {
    /// The input, as with --input (a file with the name of a command: ./bench). Several files, a directory (its files by their
    /// names) or a quoted pattern are read one after the other as one input. Also objects (s3://BUCKET/KEY, gs://, az://), prefixes of
    /// objects that end in /, and files on the web (https://)
    #[arg(value_name = "FILE", conflicts_with = "input")]
    pub files: Vec<PathBuf>,

    /// Queries with candidates; `-` or nothing reads standard input (.gz, .zst, .xz and .bz2 are unpacked)
    #[arg(short, long, visible_alias = "run", value_name = "FILE")]
    pub input: Option<PathBuf>,

    /// Format of the input [default: by extension, then by content]
    #[arg(long, value_name = "FORMAT", value_enum, ignore_case = true)]
    pub input_format: Option<InputFormat>,

    /// The input's own names for its columns or fields, as in `query=question,text=passage`
    #[arg(long, value_name = "FIELD=NAME,…")]
    pub columns: Option<Columns>,

    /// The table has no header: --columns names its columns in their order, as in `query_id,id,query,text`; a column
    /// without a name between two commas is left out
    #[arg(long)]
    pub no_header: bool,

    /// The character between the cells of tables, in --input, --queries and --collection: one character, or `tab` [default: by
    /// the format, or by a first line `sep=;`]
    #[arg(long, value_name = "CHAR")]
    pub delimiter: Option<Delimiter>,

    /// What double quotes mean in tables, in --input, --queries and --collection [default: csv in CSV, and in TSV if the
    /// header stands in quotes or is rerank's own; none in other TSV]
    #[arg(long, value_name = "HOW", value_enum)]
    pub quotes: Option<Quotes>,

    /// Gather the rows of each query wherever they stand: reads the whole input into memory first (runs are gathered in any
    /// case, up to 256 MiB of them)
    #[arg(long)]
    pub group: bool,

    /// A directory in BEIR's layout: --queries is its queries.jsonl, --collection its corpus.jsonl, and --qrels its qrels/test.tsv, or
    /// what exports of the Hugging Face hub have in their place (corpus/corpus-00000-of-00001.parquet); the input is a run of it, or has ids alone
    #[arg(long, value_name = "DIRECTORY", conflicts_with_all = ["queries", "collection"])]
    pub beir: Option<PathBuf>,

    /// Texts of queries that are ids alone, as in a run: a table (id, text; a header is obeyed), JSON, JSONL, Parquet or Arrow; `-` is standard input, here and below
    #[arg(long, value_name = "FILE")]
    pub queries: Option<PathBuf>,

    /// Texts of candidates that are ids alone, as in a run: BEIR JSONL, JSON, Parquet, Arrow or a table (id, text; id, text, title; MS MARCO's id, URL, title,
    /// text; a header is obeyed); indexed, not loaded
    #[arg(long, value_name = "FILE")]
    pub collection: Option<PathBuf>,

    /// At a record that can't be used: stop, or report it and go on without it (exit status 1)
    #[arg(long, value_name = "WHAT", value_enum, default_value_t = OnError::Fail)]
    pub on_error: OnError,

    /// Write the records that --on-error skip leaves out to this file, as JSONL: file, line, query_id, id, problem, and where it is
    /// at hand the record. With --resume it is continued; --overwrite replaces it
    #[arg(long, value_name = "FILE")]
    pub errors: Option<PathBuf>,
}

/// What to do with a record that can't be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OnError {
    /// Finish the queries before it, then stop.
    Fail,
    /// Report it, go on, and exit with status 1.
    Skip,
}
