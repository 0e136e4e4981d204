//! One forward over a packed batch.

mod blocks;
mod decoder;
mod decoder_layer;
mod encoder;
mod encoder_layer;
mod pass;
mod tiles;
mod workspace;

#[cfg(test)]
mod attention_tests;

pub use decoder::Decoder;
pub use encoder::{Encoder, EncoderConfig};
