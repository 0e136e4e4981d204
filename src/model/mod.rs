//! What a model computes: an [`Architecture`], which a family makes of a configuration.

mod architecture;
mod config;
mod families;
mod rotary;
mod tensor;

#[cfg(test)]
mod description_tests;

pub use architecture::{
    Activation, Answers, Architecture, Attention, Embedding, Head, HeadOutput, HeadStep, Heads, Layer, Mask, Mlp,
    NormPlacement, Pooling, Positions, Relative,
};
pub use rotary::{Rotary, RotaryScaling};
pub use tensor::{Linear, Norm, NormKind, Tensor};
