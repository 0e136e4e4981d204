//! What a model computes: an [`Architecture`], which a family makes of a configuration.

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

mod answers;
mod architecture;
mod config;
mod families;
mod rotary;
mod tensor;

#[cfg(test)]
mod description_tests;

pub(crate) use families::LONGEST_CLASS;

pub use answers::Answers;
pub use architecture::{
    Activation, Architecture, Attention, Embedding, Head, HeadOutput, HeadStep, Heads, Layer, Mask, Mlp, NormPlacement,
    Pooling, Positions, Relative,
};
pub use rotary::{Rotary, RotaryScaling};
pub use tensor::{Linear, Norm, NormKind, Tensor};
