//! The products and row-wise operations that models are made of; the only place that knows which device and instruction
//! set run. Every kernel here is the plain one: clear enough to be the oracle of faster ones, on candle's products and
//! rayon.
//!
//! Activations are contiguous f32 tensors `(tokens, features)`; what [`Precision`] lowers is the operands of products.
//!
//! **A row's result depends on that row alone**, to the bit: not on how many rows stand around it, nor on the threads.
//! `product.rs` says how; each kernel's tests hold it to that.

mod attention;
mod linear;
mod norm;
mod precision;
mod product;
mod rope;
mod swiglu;

pub use attention::{Attend, Attention, AttentionSpan, Heads, MAX_HEAD_DIM};
pub use linear::Linear;
pub use norm::rms_norm;
pub use precision::Precision;
pub use rope::Rope;
pub use swiglu::swiglu;
