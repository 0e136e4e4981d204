//! The driver's descriptions of matrices for copies of tiles.

use cudarc::driver::{DriverError, sys};

use super::device::{TILE_COLUMNS, TileMap, Tiled, Type};

/// As the driver describes it: tiles in the swizzle that products of a warpgroup read, zeros outside.
///
/// # Errors
/// If the driver takes the matrix for none that tiles are copied of.
pub(super) fn encode(matrix: &Tiled) -> Result<TileMap, DriverError> {
    const RANK: u32 = 2;
    let kind = match matrix.value {
        Type::F32 => sys::CUtensorMapDataType_enum::CU_TENSOR_MAP_DATA_TYPE_FLOAT32,
        Type::Bf16 => sys::CUtensorMapDataType_enum::CU_TENSOR_MAP_DATA_TYPE_BFLOAT16,
        Type::F16 => sys::CUtensorMapDataType_enum::CU_TENSOR_MAP_DATA_TYPE_FLOAT16,
    };
    let extents = [matrix.columns as u64, matrix.rows as u64];
    let strides = [(matrix.columns * matrix.value.size()) as u64];
    let (tile, steps) = ([TILE_COLUMNS, matrix.tile_rows], [1u32; 2]);
    let mut map = TileMap([0; 16]);
    // SAFETY: the arrays are of two dimensions, and the map is as large and as aligned as the driver's. It keeps the address and
    // does not look there.
    unsafe {
        sys::cuTensorMapEncodeTiled(
            (&raw mut map).cast(),
            kind,
            RANK,
            matrix.address as *mut std::ffi::c_void,
            extents.as_ptr(),
            strides.as_ptr(),
            tile.as_ptr(),
            steps.as_ptr(),
            sys::CUtensorMapInterleave_enum::CU_TENSOR_MAP_INTERLEAVE_NONE,
            sys::CUtensorMapSwizzle_enum::CU_TENSOR_MAP_SWIZZLE_128B,
            sys::CUtensorMapL2promotion_enum::CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
            sys::CUtensorMapFloatOOBfill_enum::CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE,
        )
    }
    .result()
    .map(|()| map)
}
