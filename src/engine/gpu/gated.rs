//! The product with the weights of gates and ups together with SwiGLU of it, which never stands in memory.

use anyhow::Result;

use super::device::{Launch, TileMap, Tiled, Type};
use super::operations::{Gpu, Rows, Weight, arguments, int};

/// Rows of gates, and then as many of ups, in weights for [`Gpu::multiply_gated`].
pub const GATE_ROWS: usize = 8;

/// Rows of a tile of activations, of the half of a tile of weights that one block fetches for two, and of results that a warp stores.
const LEFT_ROWS: u32 = 128;
const WEIGHT_ROWS: u32 = 64;
const RESULT_ROWS: u32 = 16;
/// Blocks that share their tiles of weights.
const CLUSTER: usize = 2;
const THREADS: u32 = 384;
/// Six stages of a tile of activations and one of weights, two panels for each of eight warps, what aligns them to 1,024 bytes, and
/// barriers.
const SHARED: u32 = 6 * 2 * 128 * 128 + 8 * 2 * 16 * 128 + 1024 + 256;
/// Values that 16 bytes hold: copies of tiles need rows that begin at a multiple of them.
const ALIGNMENT: usize = 8;

/// `Operands` of `multiply_gated_hopper.cu`.
#[repr(C)]
struct RawOperands {
    left: TileMap,
    weights: TileMap,
    results: TileMap,
    rows: i32,
    features: i32,
    inputs: i32,
}

impl Gpu {
    /// Whether [`Gpu::multiply_gated`] runs for so many inputs and features.
    pub fn has_gated(&self, inputs: usize, features: usize) -> bool {
        self.value() != Type::F32
            && !self.quantizes
            && inputs.is_multiple_of(ALIGNMENT)
            && features.is_multiple_of(GATE_ROWS)
            && !self.gated_is_wrong
            && self.device().has(&self.gated_kernel())
    }

    fn gated_kernel(&self) -> String {
        format!("multiply_gated_hopper_{}", self.value().name())
    }

    /// `activated = silu(input · gatesᵀ) · (input · upsᵀ)`; the weights are [`GATE_ROWS`] rows of gates, then the same ups, and so on.
    /// Each row is computed in the same way in every batch.
    ///
    /// # Errors
    /// If the device has no such kernel, or fails.
    pub fn multiply_gated(&self, input: Rows<'_>, weight: &Weight, activated: Rows<'_>) -> Result<()> {
        let (inputs, features, rows) = (input.width, activated.width, input.count);
        let size = self.value().size();
        assert!(weight.memory.bytes() == 2 * features * inputs * size && activated.count >= rows);
        if rows == 0 {
            return Ok(());
        }
        let map = |address, rows, columns, tile_rows| {
            self.device().tile_map(&Tiled { address, rows, columns, value: self.value(), tile_rows })
        };
        let operands = RawOperands {
            left: map(input.address(size, inputs), rows, inputs, LEFT_ROWS)?,
            weights: map(weight.memory.address(), 2 * features, inputs, WEIGHT_ROWS)?,
            results: map(activated.address(size, features), rows, features, RESULT_ROWS)?,
            rows: int(rows)?,
            features: int(features)?,
            inputs: int(inputs)?,
        };
        let blocks = self.gated_clusters() * CLUSTER;
        let launch = Launch { grid: [int(blocks)?.cast_unsigned(), 1], block: [THREADS, 1], shared: SHARED };
        // SAFETY: the memory was checked, and the maps end where it does.
        unsafe { self.device().launch(&self.gated_kernel(), launch, arguments!(operands)) }
    }

    /// Clusters that run at the same time.
    pub(super) fn gated_clusters(&self) -> usize {
        (self.device().processors() / CLUSTER).max(1)
    }
}
