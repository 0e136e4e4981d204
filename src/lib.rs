//! `rerank`, a batch reranker: queries with candidates in, rankings out.
//!
//! ```text
//! input::Events ─ Group ─► recipe ─ tokens ─► batch::plan ─ Batch ─► Engine ─ logits ─► rank ─ Ranking ─► output::Writer
//!                                                                      │ interprets
//!                                        checkpoint: files, tensors ─► model: Architecture
//! ```
//!
//! The modules in the order in which the data travels:
//!
//! - [`cli`], [`config`]: the options, and what they mean; [`exit`]: the exit statuses.
//! - [`setup`]: what is chosen before weights are loaded; [`pipeline`]: the run from end to end; [`session`]: a loaded model that forms batches of what callers submit.
//! - [`record`]: the nouns.
//! - [`input`]: 1 read. Files and pipes become groups.
//! - [`recipe`]: 2 prompt. A pair becomes tokens, and a logit a score.
//!   [`passages`]: of a long document, several pairs.
//! - [`batch`]: 3 plan. Prompts become batches, shared beginnings once.
//! - [`engine`]: 4 score. Batches become logits, on the processor or a GPU. What is computed comes from [`model`] (what a
//!   transformer computes, as data) and [`checkpoint`] (a model's files and tensors); [`reranker`] brings the three together;
//!   [`device`]: where; [`compute`]: in which [`precision`] and with which kernels.
//! - [`cache`]: logits that are kept in a directory, and not computed again.
//! - [`rank`]: 5 rank. The total order; [`fusion`]: together with the first stage's.
//! - [`output`]: 6 write. Rankings become lines. [`resume`]: an output is read back, and what it has is not ranked again.
//!   [`column_types`]: the types that carried columns keep from the input to the output.
//! - [`shard`]: parts of a run, on any number of machines, and how they are merged.
//!   [`plan`]: into how many an input should be divided.
//! - [`store`]: inputs and outputs that are objects in a store, or files on the web.
//! - [`progress`], [`stats`]: what is reported of the run to a person and to a program; [`watch`]: the load of its GPUs;
//!   [`stop`], [`signals`]: how it is ended early; [`standard_output`]: whether it can be written to; [`panics`]: how faults of
//!   the program are reported.
//! - [`threads`]: the pool that computes; [`out_of_memory`]: how the program ends when there is no memory left.
//! - [`weights_report`]: what a model's weights are, and the memory that they take.
//! - [`evaluation`]: how good rankings are by what people judged.
//! - [`mod@bench`]: measures how fast all this is; [`check`]: compares its scores with known ones.

pub mod batch;
pub mod bench;
pub mod cache;
pub mod check;
pub mod checkpoint;
pub mod cli;
pub mod column_types;
pub mod compute;
pub mod config;
pub mod device;
pub mod engine;
pub mod evaluation;
pub mod exit;
pub(crate) mod fields;
pub mod fusion;
pub mod input;
pub mod model;
pub mod out_of_memory;
pub mod output;
pub mod panics;
pub mod passages;
pub mod pipeline;
pub mod plan;
pub mod precision;
pub mod progress;
pub(crate) mod random;
pub mod rank;
pub mod recipe;
pub mod record;
pub mod reranker;
pub mod resume;
#[cfg(feature = "serve")]
pub mod serve;
pub mod session;
pub mod setup;
pub mod shard;
pub mod signals;
pub(crate) mod slices;
pub mod standard_output;
pub mod stats;
pub mod stop;
pub mod store;
pub mod threads;
pub(crate) mod transport;
pub mod watch;
pub mod weights_report;
pub(crate) mod writing;
