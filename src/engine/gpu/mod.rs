//! The GPU engine's operations on a batch's activations: row by row in the device's memory, for all tokens at once.
//!
//! Kernels are the `.cu` files in `kernels/`; products are the device's own ([`Device::multiply`]). A score depends on its
//! pair alone: on NVIDIA GPUs all products of a kind are summed in one order, by one algorithm of cuBLASLt (`products.rs`).
//! Which one is timed when it is first needed, so that another run of the program, or a card of another name, may choose another
//! and differ by rounding; on an H200, every algorithm that does not divide sums had the same bits. Where there is none, cuBLAS
//! chooses by the number of rows, and scores depend on their batch by rounding; products of 8-bit floats fail there.

mod activation;
mod attention;
#[cfg(any(feature = "cuda", test))]
mod cancelling;
mod conversion;
mod device;
mod e4m3;
pub mod forward;
mod gated;
mod gated_self_test;
mod heads;
mod operations;
mod peak;
mod quantized;
mod quantized_self_test;
mod residual;
mod uploads;

#[cfg(feature = "cuda")]
mod cuda;
#[cfg(feature = "cuda")]
mod images;
#[cfg(feature = "cuda")]
mod ledger;
#[cfg(feature = "cuda")]
mod matmul;
#[cfg(feature = "cuda")]
mod monitor;
#[cfg(feature = "cuda")]
mod page_locked;
#[cfg(feature = "cuda")]
mod products;
mod self_test;
#[cfg(any(feature = "cuda", test))]
mod switches;
#[cfg(feature = "cuda")]
mod tile_maps;

pub use attention::{Attending, KeyRange, QueryTile, Tiling};
pub use device::{
    Address, Device, Launch, Load, Memory, OutOfMemory, Product, Scales, TILE_COLUMNS, TileMap, Tiled, Type, View,
};
pub use gated::GATE_ROWS;
pub use heads::{Angles, QkNormRope};
pub use operations::{Gpu, Rows, Weight};
pub use peak::Ceilings;
pub use quantized::{ALIGNMENT as QUANTIZED_ALIGNMENT, Operand, Quantized};
pub use residual::{GpuNorm, Tables};
pub use uploads::{SLOTS, Uploads};

#[cfg(feature = "cuda")]
pub use cuda::{count as count_cuda, open as open_cuda};

/// Checks that the environment's variables can be understood.
///
/// # Errors
/// If one can't.
pub fn check_environment() -> anyhow::Result<()> {
    #[cfg(feature = "cuda")]
    switches::Without::read()?;
    Ok(())
}

/// Opens an NVIDIA GPU, of whose memory so many bytes are used at most.
///
/// # Errors
/// Always: this build has no support for it.
#[cfg(not(feature = "cuda"))]
pub fn open_cuda(_ordinal: usize, _most_memory: Option<usize>) -> anyhow::Result<std::sync::Arc<dyn Device>> {
    Err(crate::exit::UsageError::new(NO_CUDA).into())
}

/// How many NVIDIA GPUs there are.
///
/// # Errors
/// Always: this build has no support for them.
#[cfg(not(feature = "cuda"))]
pub fn count_cuda() -> anyhow::Result<usize> {
    Err(crate::exit::UsageError::new(NO_CUDA).into())
}

#[cfg(not(feature = "cuda"))]
const NO_CUDA: &str = "this build of rerank has no CUDA support; build it with --features cuda, or use --device cpu";
