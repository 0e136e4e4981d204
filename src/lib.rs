//! `rerank`, a batch reranker: queries with candidates in, rankings out.
//!
//! ```text
//! input::Events ─ Group ─► prompt ─ tokens ─► batch::plan ─ Batch ─► Scorer ─ logits ─► rank ─ Ranking ─► output::Writer
//!                                                                      │ model ─ kernels ─ device
//! ```
//!
//! The modules in the order in which the data travels:
//!
//! - [`cli`], [`config`]: what was typed, and what it means; [`exit`]: how it ended.
//! - [`pipeline`]: the run, told once.
//! - [`record`]: the nouns.
//! - [`input`]: 1 read. Files and pipes become groups.
//! - [`prompt`]: 2 prompt. A pair becomes tokens, by the recipe of the model's family.
//! - [`batch`]: 3 plan. Prompts become batches, shared beginnings once.
//! - [`score`]: 4 score. Batches become logits; on [`model`] (files, configuration, forward), [`kernels`] and [`device`];
//!   [`compute`]: in which precision and with which kernels.
//! - [`rank`]: 5 rank. The total order.
//! - [`output`]: 6 write. Rankings become lines.
//! - [`progress`], [`stats`]: what a person and a program are told about the run; [`watch`]: what GPUs do meanwhile;
//!   [`stop`], [`signals`]: how it is ended early; [`standard_output`]: whether it can be written to.
//! - [`threads`]: the pool that computes; [`out_of_memory`]: how it ends where the system has none left.
//! - [`mod@bench`]: how fast all this is.

pub mod batch;
pub mod bench;
pub mod cli;
pub mod compute;
pub mod config;
pub mod device;
pub mod exit;
pub mod input;
pub mod kernels;
pub mod model;
pub mod out_of_memory;
pub mod output;
pub mod pipeline;
pub mod progress;
pub mod prompt;
pub mod rank;
pub mod record;
pub mod score;
pub mod signals;
pub mod standard_output;
pub mod stats;
pub mod stop;
pub mod threads;
pub mod watch;
