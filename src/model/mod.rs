//! What a reranker is made of: its files, its configuration, its weights, and one forward per architecture.

mod config;
mod decoder;
mod files;
mod hub;
mod layer;
mod tiles;
mod weights;

#[cfg(test)]
mod attention_tests;

pub use config::{DecoderConfig, Family, HeadKind, ModelConfig};
pub use decoder::Decoder;
pub use files::{ModelFiles, ModelSource};
pub use hub::{Downloads, Hub};
pub use weights::Weights;
