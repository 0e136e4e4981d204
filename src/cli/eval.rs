//! The command line of `rerank eval`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::values;
use crate::evaluation::qrels::QrelsFormat;
use crate::evaluation::report::ReportFormat;
use crate::evaluation::run::RunFileFormat;

/// The options of `rerank eval`.
#[derive(Debug, Args)]
#[command(after_help = NOTES)]
pub struct EvalArguments {
    /// The runs: TREC runs, ranked JSONL, CSV or TSV with a header, runs of MS MARCO or Tevatron, predictions of mteb or ranx; `-`
    /// is standard input. A run is called by its file's name, or by NAME
    #[arg(value_name = "[NAME=]RUN", required = true)]
    pub runs: Vec<String>,

    /// The judgements: qrels of TREC, MS MARCO or BEIR, or a JSON object; `-` is standard input
    #[arg(long, value_name = "FILE")]
    pub qrels: PathBuf,

    /// Format of the judgements, if it can't be determined
    #[arg(long, value_name = "FORMAT", value_enum)]
    pub qrels_format: Option<QrelsFormat>,

    /// Format of the runs, if it can't be determined
    #[arg(long, value_name = "FORMAT", value_enum)]
    pub input_format: Option<RunFileFormat>,

    /// Measures as ir_measures or trec_eval write them, separated by commas or spaces: nDCG@10, RR@10, AP(rel=2), P_5; official
    /// and all_trec are trec_eval's lists (by default nDCG@10 RR@10 AP R@100 Judged@10; official with --format trec)
    #[arg(short, long, value_name = "MEASURE,…")]
    pub measures: Vec<String>,

    /// Count all queries that were judged: one that a run lacks has an empty ranking. Otherwise it does not count (trec_eval's -c)
    #[arg(short, long)]
    pub complete: bool,

    /// Only the N best documents of each query count (trec_eval's -M)
    #[arg(short = 'M', long, value_name = "N", value_parser = values::count, allow_negative_numbers = true)]
    pub depth: Option<u64>,

    /// Documents are relevant from this grade on, in all measures (trec_eval's -l); rel= says it for one [default: 1]
    #[arg(short, long, value_name = "GRADE", value_parser = clap::value_parser!(i32).range(1..))]
    pub level: Option<i32>,

    /// Print the values of every query too
    #[arg(long)]
    pub per_query: bool,

    /// How the values are printed
    #[arg(long, value_name = "FORMAT", value_enum, ignore_case = true, default_value_t = ReportFormat::Table)]
    pub format: ReportFormat,

    /// The run with which the others are compared, by its name [default: the first one]
    #[arg(long, value_name = "NAME")]
    pub baseline: Option<String>,

    /// How the runs are compared, query by query [default: t]
    #[arg(long, value_name = "TEST", value_enum, ignore_case = true)]
    pub test: Option<TestChoice>,

    /// Find how the first stage and the reranker are fused best (for rerank --fuse), by cross-validation over the judged queries, and
    /// the gain with its interval. RUN is ranked JSONL with the first stage's scores; or two runs, the first stage's before the
    /// reranker's. --measures names the one measure that is to be high (by default nDCG@10)
    #[arg(long, conflicts_with_all = ["per_query", "baseline", "depth", "complete", "test", "report"])]
    pub tune_fusion: bool,

    /// Write a page to look at, which is replaced: the table with its comparisons, the difference of every query, the best and worst
    /// queries with their documents, scores by grade, and calibration. One file of HTML that fetches nothing. A single run of ranked
    /// JSONL is compared with its first stage
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,

    /// Texts of the queries for --report: a table (id, text), JSON or JSONL [default: those in ranked JSONL]
    #[arg(long, value_name = "FILE", requires = "report")]
    pub queries: Option<PathBuf>,

    /// Texts of the documents for --report, where no run has them: BEIR JSONL, JSON or a table
    #[arg(long, value_name = "FILE", requires = "report")]
    pub collection: Option<PathBuf>,

    /// Threads that compute [default: all cores, or RAYON_NUM_THREADS]
    #[arg(short, long, value_name = "N", value_parser = values::threads, allow_negative_numbers = true)]
    pub threads: Option<u64>,

    /// Print errors only on standard error
    #[arg(short, long)]
    pub quiet: bool,
}

/// `--test`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TestChoice {
    /// Student's t-test of the paired differences
    T,
    /// The randomisation test: how often differences of random signs have as large a mean
    #[value(alias = "randomization")]
    Randomisation,
    /// The runs are not compared
    None,
}

const NOTES: &str = "\
Documents are ordered as in trec_eval: by score as a 32-bit float, whatever their ranks are, and ties by descending id. Runs with \
ranks only keep their order, and ranked JSONL and tables are ordered by logit (or the fused score), with ties as they are listed. Documents without a \
judgement count as not relevant. Queries without a judgement never count.
Several runs are compared over the queries that all of them have, or with --complete over all that were judged. Behind a test, \
Holm's correction accounts for the number of runs.";
