//! The products and row-wise operations that models are made of; the only place that knows which instruction set runs.
//!
//! A batch's tokens are split into tiles; a tile is the work of one thread from a layer's first product to its last, so that
//! what one operation writes is still in that core's cache when the next one reads it. Here are the operations on one tile:
//!
//! - [`Panels`] hold activations (f32), [`Operand`] the same rounded and packed for products.
//! - [`Linear`] multiplies them with packed weights; [`Squares`], [`gate()`], [`activate()`] and [`QkNormRope`] are what stands between.
//! - [`KeyValues`] keeps the keys and values of all tiles, [`Attention`] streams through them.
//!
//! All products have one shape (`gemm::microkernel`), with a kernel for each instruction set [`Level`]; the row-wise operations are
//! compiled for each level from one source.
//!
//! **A row's result depends on that row alone**, to the bit: not on how many rows stand around it, nor on the threads.

mod arithmetic;
pub(crate) mod attention;
pub mod forward;
pub(crate) mod gemm;
mod instructions;
pub(crate) mod level;
mod measure;
pub(crate) mod memory;
pub(crate) mod rounding;
pub(crate) mod rows;

pub use arithmetic::{Arithmetic, Unit, Units};
pub use attention::key_values::{KeyValues, Writing};
pub use attention::{Attended, Attention, KeyBlock, Sight, Span};
pub use gemm::linear::Linear;
pub use gemm::operand::{Form, Operand};
pub use gemm::panels::{Features, PANEL, Panels};
pub use gemm::peak::peak;
pub use gemm::weight::Source;
pub use instructions::{Instructions, VARIABLE};
pub use level::Level;
pub use measure::{Measured, Times, measure};
pub use memory::Buffer;
pub use rows::activation::{activate, activated, gate};
pub use rows::bias::add_bias;
pub use rows::layer_norm::LayerNorm;
pub use rows::qk_norm_rope::{QkNormRope, Rope};
pub use rows::rms_norm::{RmsNorm, Squares};
