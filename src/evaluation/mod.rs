//! Evaluation: how good a ranking is by what people judged, and whether the difference between two runs is more than chance.
//!
//! - [`judged`]: one query's ranking as a measure sees it.
//! - [`measures`]: the measures, by ir_measures' and trec_eval's names.

pub mod command;
pub mod compare;
pub mod evaluate;
pub mod judged;
pub mod measures;
pub mod qrels;
pub mod report;
pub mod run;
pub mod significance;
pub mod tuning;
