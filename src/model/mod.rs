//! The parts of a reranker: its files, its configuration, its weights, and one forward per architecture.

mod blocks;
mod config;
mod contents;
mod decoder;
mod decoder_layer;
mod encoder;
mod encoder_layer;
mod fields;
mod file_kind;
mod files;
mod gpu_decoder;
mod gpu_layout;
mod gpu_weights;
mod hub;
mod local;
mod pass;
mod safetensors_file;
mod source;
mod tensor_names;
mod tiles;
mod weights;
mod work;
mod workspace;

#[cfg(test)]
mod attention_tests;

pub use config::{DecoderConfig, Family, HeadKind, ModelConfig};
pub use decoder::Decoder;
pub use encoder::{Encoder, EncoderConfig};
pub(crate) use file_kind::read_text;
pub use files::ModelFiles;
pub(crate) use files::not_json;
pub use gpu_decoder::{GpuDecoder, MOST_TOKENS};
pub use hub::{Downloads, Hub};
pub use source::ModelSource;
pub use weights::Weights;
