//! The options of a run that is evaluated while it ranks.

use std::path::PathBuf;

use clap::Args;

/// How good the rankings are, by what people judged.
#[derive(Clone, Debug, Args)]
pub struct EvaluationArguments {
    /// Evaluate the rankings by these judgements (qrels of TREC, MS MARCO or BEIR, or a JSON object), before and after; `rerank
    /// eval` does more with runs that are written [default: those of --beir, if it has any]
    #[arg(long, value_name = "FILE")]
    pub qrels: Option<PathBuf>,

    /// Measures as ir_measures or trec_eval write them, separated by commas or spaces (by default nDCG@10 RR@10 Judged@10)
    #[arg(long, value_name = "MEASURE,…")]
    pub measures: Vec<String>,
}
