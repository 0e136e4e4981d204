//! What a reranker is made of: its files, its configuration, its weights, and one forward per architecture.

mod blocks;
mod config;
mod decoder;
mod decoder_layer;
mod encoder;
mod encoder_layer;
mod files;
mod gpu_decoder;
mod gpu_layout;
mod gpu_weights;
mod hub;
mod pass;
mod tiles;
mod weights;
mod work;
mod workspace;

#[cfg(test)]
mod attention_tests;

pub use config::{DecoderConfig, Family, HeadKind, ModelConfig};
pub use decoder::Decoder;
pub use encoder::{Encoder, EncoderConfig};
pub use files::{ModelFiles, ModelSource};
pub use gpu_decoder::{GpuDecoder, MOST_TOKENS};
pub use hub::{Downloads, Hub};
pub use weights::Weights;
