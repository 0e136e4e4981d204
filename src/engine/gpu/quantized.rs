//! Linear layers in E4M3: weights with a scale for each output, activations with one for each row, as the rows come. The kernels are those of
//! `quantize.cu`; products multiply their sums by both scales.

use anyhow::Result;

use super::device::{Launch, Memory, Type};
use super::e4m3;
use super::operations::{Gpu, Rows, Weight, arguments, by_row, int};

/// Values that kernels read at a time.
const VECTOR: usize = 8;
/// Values that products need rows to be a multiple of: 16 bytes.
pub const ALIGNMENT: usize = 16;

/// Rows of E4M3.
#[derive(Clone, Copy)]
pub struct Quantized<'a> {
    /// A byte for each value.
    pub values: Rows<'a>,
    /// Of each row, f32.
    pub scales: &'a Memory,
}

/// The left matrix of a product.
#[derive(Clone, Copy)]
pub struct Operand<'a> {
    pub(super) rows: Rows<'a>,
    pub(super) scales: Option<&'a Memory>,
}

impl<'a> From<Rows<'a>> for Operand<'a> {
    fn from(rows: Rows<'a>) -> Self {
        Self { rows, scales: None }
    }
}

impl<'a> From<Quantized<'a>> for Operand<'a> {
    fn from(Quantized { values, scales }: Quantized<'a>) -> Self {
        Self { rows: values, scales: Some(scales) }
    }
}

impl Quantized<'_> {
    /// Checks that there is room for so many rows of so many features.
    fn check(&self, count: usize, features: usize) {
        assert!(self.values.width == features && self.values.count >= count && features.is_multiple_of(VECTOR));
        assert!(self.scales.bytes() >= count * size_of::<f32>());
    }
}

impl Gpu {
    /// The same, with linear layers that multiply E4M3.
    ///
    /// # Errors
    /// If the device does not multiply that, or activations are not bf16.
    pub fn quantizing(mut self) -> Result<Self> {
        anyhow::ensure!(self.value() == Type::Bf16, "--dtype fp8 computes everything else in bf16");
        self.device().check_scaled()?;
        self.quantizes = true;
        Ok(self)
    }

    /// Whether linear layers multiply E4M3.
    pub fn quantizes(&self) -> bool {
        self.quantizes
    }

    /// The same, with linear layers that multiply activations as they are.
    #[must_use]
    pub fn unquantized(&self) -> Self {
        let mut whole = self.clone();
        whole.quantizes = false;
        whole
    }

    /// Rounds rows of activations, whose features are a multiple of eight, to E4M3.
    ///
    /// # Errors
    /// If the device fails.
    pub fn quantize(&self, rows: Rows<'_>, quantized: Quantized<'_>) -> Result<()> {
        let features = rows.width;
        quantized.check(rows.count, features);
        let (from, to) = (rows.address(self.value().size(), features), quantized.values.address(1, features));
        let (scales, count, width) = (quantized.scales.address(), int(rows.count)?, int(features)?);
        // SAFETY: the memory was checked.
        unsafe { self.launch("quantize_rows", by_row(rows.count)?, arguments!(from, to, scales, count, width)) }
    }

    /// [`Gpu::rms_norm`] and [`Gpu::quantize`] of its results at once, to the bit.
    ///
    /// # Errors
    /// If the device fails.
    pub fn rms_norm_quantized(
        &self,
        hidden: Rows<'_>,
        weight: &Memory,
        epsilon: f32,
        quantized: Quantized<'_>,
    ) -> Result<()> {
        let features = hidden.width;
        quantized.check(hidden.count, features);
        assert!(weight.bytes() >= features * 4);
        let (from, to) = (hidden.address(4, features), quantized.values.address(1, features));
        let (weight, scales) = (weight.address(), quantized.scales.address());
        let (rows, width) = (int(hidden.count)?, int(features)?);
        let arguments = arguments!(from, weight, to, scales, rows, width, epsilon);
        // SAFETY: the memory was checked.
        unsafe { self.launch("rms_norm_quantized", by_row(hidden.count)?, arguments) }
    }

    /// [`Gpu::swiglu`] and [`Gpu::quantize`] of its results at once, to the bit.
    ///
    /// # Errors
    /// If the device fails.
    pub fn swiglu_quantized(&self, products: Rows<'_>, quantized: Quantized<'_>) -> Result<()> {
        /// As `THREADS` of `quantize.cu`.
        const THREADS: u32 = 256;
        let features = products.width / 2;
        quantized.check(products.count, features);
        let from = products.address(self.value().size(), products.width);
        let (to, scales) = (quantized.values.address(1, features), quantized.scales.address());
        let (grid, width) = ([int(products.count)?.cast_unsigned(), 1], int(features)?);
        let shared = features * self.value().size() + THREADS as usize / 32 * size_of::<f32>();
        let shared = int(shared)?.cast_unsigned();
        let launch = Launch { grid, block: [THREADS, 1], shared };
        // SAFETY: the memory was checked.
        unsafe { self.launch("swiglu_quantized", launch, arguments!(from, to, scales, width)) }
    }
}

impl Weight {
    /// Fills rows from `row` on with values that are rounded to E4M3.
    ///
    /// # Errors
    /// If the device fails.
    pub(super) fn fill_quantized(&mut self, row: usize, values: &[f32]) -> Result<()> {
        let mut bytes = vec![0; values.len()];
        let rows = values.chunks_exact(self.inputs).zip(bytes.chunks_exact_mut(self.inputs));
        let scales: Vec<f32> = rows.map(|(values, bytes)| e4m3::narrow_row(values, bytes)).collect();
        self.fill_scaled(row, &bytes, &scales)
    }

    /// Fills rows from `row` on with values of E4M3 and their scales.
    ///
    /// # Errors
    /// If the device fails.
    pub fn fill_scaled(&mut self, row: usize, bytes: &[u8], scales: &[f32]) -> Result<()> {
        self.fill(row, bytes)?;
        let of_rows = self.scales.as_mut().expect("the weight has scales");
        of_rows.upload_at(row * size_of::<f32>(), bytemuck::cast_slice(scales))
    }
}
