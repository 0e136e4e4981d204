//! `rerank`, a batch reranker: queries with candidates in, rankings out.
//!
//! ```text
//! input::Events ─ Group ─► prompt ─ tokens ─► batch::plan ─ Batch ─► Scorer ─ logits ─► rank ─ Ranking ─► output::Writer
//!                                                                      │ model ─ kernels ─ device
//! ```
//!
//! The modules in the order in which the data travels:
//!
//! - [`cli`], [`config`]: the options, and what they mean; [`exit`]: the exit statuses.
//! - [`pipeline`]: the run from end to end.
//! - [`record`]: the nouns.
//! - [`input`]: 1 read. Files and pipes become groups.
//! - [`prompt`]: 2 prompt. A pair becomes tokens, by the recipe of the model's family.
//! - [`batch`]: 3 plan. Prompts become batches, shared beginnings once.
//! - [`score`]: 4 score. Batches become logits; on [`model`] (files, configuration, forward), [`kernels`] and [`device`];
//!   [`compute`]: in which precision and with which kernels.
//! - [`rank`]: 5 rank. The total order.
//! - [`output`]: 6 write. Rankings become lines.
//! - [`progress`], [`stats`]: what is reported of the run to a person and to a program; [`watch`]: the load of its GPUs;
//!   [`stop`], [`signals`]: how it is ended early; [`standard_output`]: whether it can be written to.
//! - [`threads`]: the pool that computes; [`out_of_memory`]: how the program ends when there is no memory left.
//! - [`mod@bench`]: measures how fast all this is.

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
