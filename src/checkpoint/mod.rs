//! A model's files: where they are, what they are, and the tensors in them.

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

mod adapter;
mod audit;
mod config;
mod contents;
mod conversion;
#[cfg(test)]
mod damage_tests;
mod file_kind;
mod files;
mod fingerprint;
mod gguf;
mod hub;
mod local;
mod modules;
mod quantized;
mod rows;
mod safetensors_file;
mod source;
mod stated;
mod summary;
mod tensor_names;
mod weights;

pub use adapter::{Adapter, AdapterChoice, LocatedAdapter};
pub(crate) use file_kind::{read_plain_text, read_text};
pub(crate) use files::not_json;
pub use files::{Extent, ModelFiles};
pub use fingerprint::fingerprint;
pub(crate) use gguf::Description;
pub(crate) use gguf::Metadata;
pub use hub::{Downloads, Hub};
pub use modules::ModuleHead;
pub(crate) use modules::{MODULES, ModuleKind, Modules, SETTINGS};
pub use quantized::Quantization;
pub use rows::{RowSource, StoredRows};
pub use source::ModelSource;
pub use summary::WeightsSummary;
pub use weights::Weights;
