//! Rows of a checkpoint's matrices: f32 on demand, or the stored bytes where an engine takes them as they are.

use candle_core::DType;
use half::{bf16, f16};

/// A matrix `(outputs, inputs)` whose rows are turned into f32 when they are asked for. What else a checkpoint may need, such
/// as dequantization, is done behind this and nowhere else.
pub trait RowSource: Sync {
    /// Values in a row.
    fn inputs(&self) -> usize;

    /// In what the values are stored, or else the narrowest type that has them exactly.
    fn stored_as(&self) -> DType;

    /// The form in which the values are stored, as users know it.
    fn form(&self) -> String {
        self.stored_as().as_str().to_owned()
    }

    /// Whether the rows take less memory as they are stored than as single values. An engine may then leave them as they are,
    /// and ask for them whenever it needs them.
    fn is_quantized(&self) -> bool {
        false
    }

    /// The values of a row.
    fn row(&self, row: usize, values: &mut [f32]);

    /// The bytes of some rows, little-endian, row after row, if they are those of `stored_as`.
    fn stored_rows(&self, rows: std::ops::Range<usize>) -> Option<&[u8]>;
}

/// Rows that are stored one after the other.
#[derive(Clone, Copy, Debug)]
pub struct StoredRows<'a> {
    /// f64, f32, f16 or bf16.
    pub dtype: DType,
    /// The values, little-endian.
    pub bytes: &'a [u8],
    /// Values in a row.
    pub inputs: usize,
}

impl RowSource for StoredRows<'_> {
    fn inputs(&self) -> usize {
        self.inputs
    }

    fn stored_as(&self) -> DType {
        self.dtype
    }

    #[expect(
        clippy::indexing_slicing,
        clippy::unreachable,
        reason = "`Weights` checks the rows and the type of a tensor"
    )]
    fn row(&self, row: usize, values: &mut [f32]) {
        let size = self.inputs * self.dtype.size_in_bytes();
        let bytes = &self.bytes[row * size..][..size];
        match self.dtype {
            DType::BF16 => widen(bytes, values, |bytes| bf16::from_le_bytes(bytes).to_f32()),
            DType::F16 => widen(bytes, values, |bytes| f16::from_le_bytes(bytes).to_f32()),
            DType::F32 => widen(bytes, values, f32::from_le_bytes),
            DType::F64 => widen(bytes, values, |bytes| f64::from_le_bytes(bytes) as f32),
            other => unreachable!("checked where tensors are looked up: {other:?}"),
        }
    }

    fn stored_rows(&self, rows: std::ops::Range<usize>) -> Option<&[u8]> {
        let size = self.inputs * self.dtype.size_in_bytes();
        self.bytes.get(rows.start * size..rows.end * size)
    }
}

fn widen<const SIZE: usize>(bytes: &[u8], values: &mut [f32], value: impl Fn([u8; SIZE]) -> f32) {
    for (target, &bytes) in values.iter_mut().zip(bytes.as_chunks::<SIZE>().0) {
        *target = value(bytes);
    }
}
