//! What was typed: the options as clap reads them. Their help is the manual; [`crate::config`] says what they mean.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::bench::{Shape, Workload};
use crate::input::{Columns, InputFormat};
use crate::output::OutputFormat;

const EXAMPLES: &str = "\
Input, in JSONL, a query with its candidates or a pair on each line (lists and objects over several lines are read too):
  {\"query_id\":\"q1\",\"query\":\"…\",\"candidates\":[{\"id\":\"d1\",\"text\":\"…\",\"title\":\"…\",\"score\":12.3}]}
  {\"query_id\":\"q1\",\"query\":\"…\",\"id\":\"d1\",\"text\":\"…\"}
CSV and TSV have a header with such names. The field's other names are understood too: qid, docid, documents, passages,
contents, hits and more. Only query and text are required. Rows of one query stand together. A title is scored in front of
the text; what else a candidate has is carried to the output. A record has at most 64 MiB.

Output, in JSONL, a query on each line, best first by logit, then by original rank; score is P(yes):
  {\"query_id\":\"q1\",\"query\":\"…\",\"results\":[{\"rank\":1,\"id\":\"d1\",\"score\":0.98,\"logit\":3.9,\"original_rank\":3,…}]}

Examples:
  Rank a file with the default model, downloaded once:
    rerank --input candidates.jsonl --output ranked.jsonl

  In a pipeline, the ten best per query, without the texts:
    bm25 queries.txt | rerank --top-k 10 --no-text | jq -c '.results[].id'

  A TREC run with its collection, to a run for trec_eval:
    rerank --input bm25.trec --queries queries.tsv --collection corpus.jsonl --output reranked.trec

  A CSV file whose columns have other names:
    rerank --input pairs.csv --columns query=question,text=passage --output ranked.csv

  What would it cost? Counts and token lengths, no weights needed:
    rerank --input candidates.jsonl --dry-run

Exit status: 0 done; 1 failed, or records were skipped; 2 wrong usage; 130 interrupted (what is complete is written).";

/// Rank candidates for queries with a reranking model.
///
/// Reads queries with their candidates, scores every pair, and writes each query's candidates best first, one line a
/// query, in the order of the input. Only data goes to standard output; messages and progress go to standard error.
#[derive(Debug, Parser)]
#[command(name = "rerank", version, after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// Another job than ranking.
    #[command(subcommand)]
    pub command: Option<Command>,

    /// The main job's options.
    #[command(flatten)]
    pub rank: RankArguments,
}

/// Jobs other than ranking.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Print a completion script for a shell
    Completions {
        /// The shell to complete for
        shell: clap_complete::Shell,
    },
    /// Print the man page (roff)
    Man,
    /// Measure how fast this machine reranks, of how much it could, and where the time goes
    Bench(BenchArguments),
}

/// The options of `rerank bench`.
#[derive(Debug, Args)]
pub struct BenchArguments {
    /// Synthetic queries: 100 passages of about 75 tokens, 50 chunks of 400, 10 documents of 2,000 to 8,000
    #[arg(short, long, value_name = "WORKLOAD,…", value_enum, value_delimiter = ',', default_value = "passage")]
    pub workload: Vec<Workload>,

    /// Pairs of each workload [default: one query's candidates]
    #[arg(short, long, value_name = "PAIRS", value_parser = clap::value_parser!(u64).range(1..))]
    pub pairs: Option<u64>,

    /// A directory, or the id of a model on the Hugging Face hub, instead of random weights
    #[arg(short, long, value_name = "MODEL", conflicts_with = "shape")]
    pub model: Option<String>,

    /// The shape of a model, with random weights made in memory
    #[arg(short, long, value_name = "SHAPE", value_enum, default_value = "qwen3-0.6b")]
    pub shape: Shape,

    /// Where to compute: auto, cpu, cuda or cuda:N
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    pub device: crate::device::DeviceChoice,

    /// Precision of the products' operands [auto: bf16 where it is fast]
    #[arg(long, value_name = "DTYPE", value_enum, default_value_t = DtypeChoice::Auto)]
    pub dtype: DtypeChoice,

    /// How pairs are packed
    #[command(flatten)]
    pub batch: BatchArguments,

    /// Threads that compute [default: all cores, or RAYON_NUM_THREADS]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1024))]
    pub threads: Option<u64>,

    /// Repetitions, of which the median is told
    #[arg(short, long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..))]
    pub repeat: u64,

    /// Print a JSON object for each workload
    #[arg(long)]
    pub json: bool,
}

/// The options of the main job.
#[derive(Debug, Args)]
pub struct RankArguments {
    /// Input
    #[command(flatten, next_help_heading = "Input")]
    pub input: InputArguments,

    /// Output
    #[command(flatten, next_help_heading = "Output")]
    pub output: OutputArguments,

    /// Model
    #[command(flatten, next_help_heading = "Model")]
    pub model: ModelArguments,

    /// Batches
    #[command(flatten, next_help_heading = "Batches")]
    pub batch: BatchArguments,

    /// Running
    #[command(flatten, next_help_heading = "Running")]
    pub running: RunningArguments,
}

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

/// Where the rankings go.
#[derive(Debug, Args)]
pub struct OutputArguments {
    /// Rankings; `-` or nothing writes to standard output
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// Format of the output [default: by extension, else jsonl]
    #[arg(long, value_name = "FORMAT", value_enum)]
    pub output_format: Option<OutputFormat>,

    /// Keep the K best candidates of each query
    #[arg(short = 'k', long, value_name = "K", value_parser = clap::value_parser!(u64).range(1..))]
    pub top_k: Option<u64>,

    /// Keep candidates with at least this score, a probability from 0 to 1
    #[arg(long, value_name = "SCORE")]
    pub min_score: Option<f32>,

    /// Leave the texts out of the output
    #[arg(long)]
    pub no_text: bool,

    /// Write the run's figures as JSON to this file
    #[arg(long, value_name = "FILE", conflicts_with = "dry_run")]
    pub stats: Option<PathBuf>,
}

/// Which model scores, and how it is asked.
#[derive(Debug, Args)]
pub struct ModelArguments {
    /// A directory, or the id of a model on the Hugging Face hub; `fake` scores by shared words, without a model
    #[arg(short, long, value_name = "MODEL", default_value = "Qwen/Qwen3-Reranker-0.6B")]
    pub model: String,

    /// Branch, tag or commit of a model on the hub
    #[arg(long, value_name = "REVISION", default_value = "main")]
    pub revision: String,

    /// Use downloaded files only
    #[arg(long)]
    pub offline: bool,

    /// What the model is told to judge by: a text, or `@FILE` [default: the model's own]
    #[arg(long, value_name = "TEXT")]
    pub instruction: Option<String>,

    /// Longest prompt in tokens; longer documents are cut [default: 8192, or the model's limit]
    #[arg(long, value_name = "TOKENS", value_parser = clap::value_parser!(u64).range(1..))]
    pub max_length: Option<u64>,

    /// Where to compute: auto, cpu, cuda, cuda:N, several (cuda:0,1 or cuda:all) or metal
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    pub device: crate::device::DeviceChoice,

    /// Precision of the products' operands; sums are f32. On processors with AMX, bf16 is about ten times as fast as f32, and
    /// int8 faster still and half as large [auto: f32 on the CPU, bf16 on a GPU]
    #[arg(long, value_name = "DTYPE", value_enum, default_value_t = DtypeChoice::Auto)]
    pub dtype: DtypeChoice,
}

/// How pairs are packed into forward passes. On the CPU no score depends on it.
#[derive(Debug, Args)]
pub struct BatchArguments {
    /// Most pairs in a batch [default: 256, on a GPU 2048]
    #[arg(short, long, value_name = "PAIRS", value_parser = clap::value_parser!(u64).range(1..))]
    pub batch_size: Option<u64>,

    /// Most computed tokens in a batch; bounds the memory (a longer pair runs alone) [default: 4096, on a GPU what fits into
    /// its memory, up to 32768]
    #[arg(long, value_name = "TOKENS", value_parser = clap::value_parser!(u64).range(1..))]
    pub max_batch_tokens: Option<u64>,

    /// Compute every prompt whole (for measuring what shared prefixes save)
    #[arg(long, hide = true)]
    pub no_prefix_sharing: bool,
}

/// How the run goes.
#[derive(Debug, Args)]
pub struct RunningArguments {
    /// Threads that compute [default: all cores, or RAYON_NUM_THREADS]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1024))]
    pub threads: Option<u64>,

    /// Read, tokenize and plan everything, and print what it would cost; needs no weights
    #[arg(long)]
    pub dry_run: bool,

    /// Progress on standard error; auto shows a bar on a terminal and log lines elsewhere
    #[arg(long, value_name = "HOW", value_enum, default_value_t = ProgressChoice::Auto)]
    pub progress: ProgressChoice,

    /// Print errors only
    #[arg(short, long, conflicts_with = "verbose")]
    pub quiet: bool,

    /// Print what is chosen: files, device, precision, limits
    #[arg(short, long)]
    pub verbose: bool,
}

/// What to do with a record that can't be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OnError {
    /// Finish the queries before it, then stop.
    Fail,
    /// Report it, go on, and exit with status 1.
    Skip,
}

/// `--dtype`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DtypeChoice {
    /// What suits the device.
    Auto,
    /// 32-bit floats.
    F32,
    /// Brain floats: 8 bits of precision, the range of f32.
    Bf16,
    /// Half floats: 11 bits of precision, up to 65,504.
    F16,
    /// Signed bytes in linear layers: weights scaled by output, activations by token.
    Int8,
}

/// `--progress`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ProgressChoice {
    /// A bar on a terminal, log lines elsewhere.
    Auto,
    /// A bar; log lines where standard error is no terminal.
    Bar,
    /// A line every ten seconds.
    Log,
    /// Nothing.
    None,
}
