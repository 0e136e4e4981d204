//! From sums of products of whole numbers to f32.

use crate::engine::cpu::gemm::microkernel::SIDE;
use crate::engine::cpu::gemm::panels::Features;
use crate::engine::cpu::level::for_each_level;
use crate::engine::cpu::rows::math::row_by_row;

/// What 32 × 32 sums of one run are worth.
#[derive(Clone, Copy)]
pub(crate) struct Scales<'a> {
    /// The unit of each row.
    pub(crate) rows: &'a [f32; SIDE],
    /// The unit of each output.
    pub(crate) outputs: &'a [f32; SIDE],
    /// What each output's sums begin with, as rows are packed for this level: see [`crate::engine::cpu::gemm::microkernel::left_sign`].
    pub(crate) lowered: &'a [i32; SIDE],
}

for_each_level! {
/// `results (+)= sums · row scale · output scale`, 32 × 32.
pub(crate) fn scale(sums: &[u32; SIDE * SIDE], scales: &Scales<'_>, results: &mut [u32], add: bool) {
    let results: &mut [Features] = bytemuck::cast_slice_mut::<u32, Features>(results);
    for ((sums, result), row) in sums.as_chunks::<SIDE>().0.iter().zip(results).zip(scales.rows) {
        row_by_row();
        for ((sum, result), output) in sums.iter().zip(result.iter_mut()).zip(scales.outputs) {
            let value = (*sum as i32) as f32 * (row * output);
            *result = if add { *result + value } else { value };
        }
    }
}
}
