//! The products and row-wise operations that models are made of; the only place that knows which instruction set runs.
//!
//! A batch's tokens are split into tiles; a tile is the work of one thread from a layer's first product to its last, so that
//! what one operation writes is still in that core's cache when the next one reads it. Here are the operations on one tile:
//!
//! - [`Panels`] hold activations (f32), [`Operand`] the same rounded and packed for products.
//! - [`Linear`] multiplies them with packed weights; [`Squares`], [`swiglu()`] and [`HeadTurn`] are what stands between.
//! - [`KeyValues`] keeps the keys and values of all tiles, [`Attention`] streams through them.
//!
//! All products have one shape (`block.rs`), with a kernel for each instruction set [`Level`]; the row-wise operations are
//! compiled for each level from one source.
//!
//! **A row's result depends on that row alone**, to the bit: not on how many rows stand around it, nor on the threads.

#[cfg(target_arch = "x86_64")]
mod amx;
mod arithmetic;
mod attention;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod bias;
mod block;
pub mod gpu;
mod heads;
mod instructions;
mod key_values;
mod lanes;
mod layer_norm;
mod level;
mod linear;
mod math;
mod measure;
mod memory;
mod merge;
mod norm;
mod operand;
mod panels;
mod peak;
mod plain;
mod precision;
mod profile;
mod softmax;
mod swiglu;
mod transpose;
mod weight;
mod work;

#[cfg(test)]
mod product_tests;

pub use arithmetic::{Arithmetic, Unit, Units};
pub use attention::{Attend, Attended, Attention, KeyBlock, Span};
pub use bias::{add_bias, gelu};
pub use heads::{HeadTurn, Heads, Rope};
pub use instructions::{Instructions, VARIABLE};
pub use key_values::{KeyValues, Writing};
pub use layer_norm::LayerNorm;
pub use level::Level;
pub use linear::Linear;
pub use measure::{Measured, Times, measure};
pub use memory::Buffer;
pub use norm::Squares;
pub use operand::{Form, Operand};
pub use panels::{Features, PANEL, Panels};
pub use peak::peak;
pub use precision::Precision;
pub use profile::{KINDS, Kind, Profile};
pub use swiglu::swiglu;
pub use weight::{Matrix, Source};
pub use work::Work;
