//! What a model computes, from its configuration.

mod config;
mod work;

pub use config::{DecoderConfig, Family, HeadKind, ModelConfig};
