//! Evaluation: how good a ranking is by what people judged, and whether the difference between two runs is more than chance.
//!
//! - [`qrels`], [`run`]: judgements and runs, as files of common tools hold them.
//! - [`judged`]: one query's ranking as a measure sees it.
//! - [`measures`]: the measures, by ir_measures' and trec_eval's names.
//! - [`mod@evaluate`]: a run's values for each query; [`mod@compare`]: how runs differ, by the tests of [`significance`].
//! - [`command`], [`report`]: `rerank eval`, and what it prints; [`tuning`]: how a run is fused best with the first stage's.

pub mod command;
pub mod compare;
pub mod evaluate;
pub mod html;
pub mod judged;
pub mod measures;
pub mod qrels;
pub mod report;
pub mod run;
pub mod significance;
pub mod tuning;
