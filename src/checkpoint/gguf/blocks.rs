//! Rows of blocks: values that share scales.

use candle_core::DType;
use candle_core::quantized::k_quants::{
    BlockQ2K, BlockQ3K, BlockQ4_0, BlockQ4_1, BlockQ4K, BlockQ5_0, BlockQ5_1, BlockQ5K, BlockQ6K, BlockQ8_0, GgmlType,
};

use super::iq4;
use super::kind::Kind;
use crate::checkpoint::rows::{RowSource, StoredRows};

/// Rows of whole blocks.
pub(super) struct BlockRows<'a> {
    kind: Kind,
    bytes: &'a [u8],
    inputs: usize,
}

/// The rows of a tensor of this type, from bytes that are those of whole rows.
pub(super) fn rows(kind: Kind, bytes: &[u8], inputs: usize) -> Box<dyn RowSource + '_> {
    let dtype = match kind {
        Kind::F64 => DType::F64,
        Kind::F32 => DType::F32,
        Kind::F16 => DType::F16,
        Kind::Bf16 => DType::BF16,
        _ => return Box::new(BlockRows { kind, bytes, inputs }),
    };
    Box::new(StoredRows { dtype, bytes, inputs })
}

impl RowSource for BlockRows<'_> {
    fn inputs(&self) -> usize {
        self.inputs
    }

    /// The products of scales and small numbers need more bits than those of 16-bit types.
    fn stored_as(&self) -> DType {
        DType::F32
    }

    fn form(&self) -> String {
        self.kind.name().to_owned()
    }

    fn is_quantized(&self) -> bool {
        true
    }

    #[expect(clippy::indexing_slicing, reason = "the file was checked to have whole rows of blocks")]
    fn row(&self, row: usize, values: &mut [f32]) {
        let size = self.inputs / self.kind.block_values() * self.kind.block_bytes();
        let bytes = &self.bytes[row * size..][..size];
        expand(self.kind, bytes, &mut values[..self.inputs]);
    }

    fn stored_rows(&self, _: std::ops::Range<usize>) -> Option<&[u8]> {
        None
    }
}

/// The values of blocks.
fn expand(kind: Kind, bytes: &[u8], values: &mut [f32]) {
    match kind {
        Kind::Q4_0 => of_candle::<BlockQ4_0>(bytes, values),
        Kind::Q4_1 => of_candle::<BlockQ4_1>(bytes, values),
        Kind::Q5_0 => of_candle::<BlockQ5_0>(bytes, values),
        Kind::Q5_1 => of_candle::<BlockQ5_1>(bytes, values),
        Kind::Q8_0 => of_candle::<BlockQ8_0>(bytes, values),
        Kind::Q2K => of_candle::<BlockQ2K>(bytes, values),
        Kind::Q3K => of_candle::<BlockQ3K>(bytes, values),
        Kind::Q4K => of_candle::<BlockQ4K>(bytes, values),
        Kind::Q5K => of_candle::<BlockQ5K>(bytes, values),
        Kind::Q6K => of_candle::<BlockQ6K>(bytes, values),
        Kind::Iq4Nl => iq4::expand_nl(bytes, values),
        Kind::Iq4Xs => iq4::expand_xs(bytes, values),
        Kind::F64 | Kind::F32 | Kind::F16 | Kind::Bf16 => {}
    }
}

/// The values of blocks that candle knows.
#[expect(clippy::panic, reason = "tensors are aligned by the file's alignment, which is checked when it is opened")]
fn of_candle<Block: GgmlType>(bytes: &[u8], values: &mut [f32]) {
    // SAFETY: candle's blocks are `repr(C)` structs of numbers without padding, as the format has them, so that any bytes are
    // some block's.
    let (before, blocks, after) = unsafe { bytes.align_to::<Block>() };
    if !before.is_empty() || !after.is_empty() || blocks.len() * Block::BLCK_SIZE != values.len() {
        panic!("blocks are not where a file was checked to have them");
    }
    Block::to_float(blocks, values);
}
