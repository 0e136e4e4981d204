//! A cache of scores in a directory, which any number of runs may use at the same time.
//!
//! A pair's logit depends on the pair, the model and the kernels alone, so that it can be kept. Its key is a hash of the tokens.
//! Each model, with the precision and the kernels that it ran in, has a folder of its own. There, scores stand in segments: sorted
//! files that are never changed. A run adds segments, and merges them as they become many; runs on other machines may do so in
//! the same folder, as no file is written by two of them.

// What stands in files can end nothing but the record or the run that it is in: no panic.
#![cfg_attr(
    not(test),
    warn(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::string_slice,
        clippy::get_unwrap,
        clippy::panic,
        clippy::unreachable,
        clippy::todo,
        clippy::unimplemented
    )
)]

mod command;
mod folder;
mod identity;
mod key;
mod segment;
mod store;

pub use command::run;
pub use folder::prune;
pub use identity::Identity;
pub use key::Key;
pub use store::ScoreCache;
