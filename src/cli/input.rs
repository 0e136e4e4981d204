//! What is typed about the input.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::input::{Columns, InputFormat};

/// Where the candidates come from.
#[derive(Debug, Args)]
pub struct InputArguments {
    /// Queries with candidates; `-` or nothing reads standard input (.gz and .zst are unpacked)
    #[arg(short, long, value_name = "FILE")]
    pub input: Option<PathBuf>,

    /// Format of the input [default: by extension, then by content]
    #[arg(long, value_name = "FORMAT", value_enum)]
    pub input_format: Option<InputFormat>,

    /// The input's own names for its columns or fields, as in `query=question,text=passage`
    #[arg(long, value_name = "FIELD=NAME,…")]
    pub columns: Option<Columns>,

    /// Texts of a TREC run's queries: TSV (id, text) or JSONL
    #[arg(long, value_name = "FILE")]
    pub queries: Option<PathBuf>,

    /// Texts of a TREC run's documents: BEIR JSONL or TSV (id, text); indexed, not loaded
    #[arg(long, value_name = "FILE")]
    pub collection: Option<PathBuf>,

    /// At a record that can't be used: stop, or report it and go on without it (exit status 1)
    #[arg(long, value_name = "WHAT", value_enum, default_value_t = OnError::Fail)]
    pub on_error: OnError,
}

/// What to do with a record that can't be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OnError {
    /// Finish the queries before it, then stop.
    Fail,
    /// Report it, go on, and exit with status 1.
    Skip,
}
