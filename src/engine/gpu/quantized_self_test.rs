//! The self-test of linear layers in E4M3: on this card, rows must become the nearest numbers, and products be those of the numbers,
//! whether they are added or not, to the precision that sums of the numbers have.

use anyhow::{Result, ensure};

use super::device::{Memory, Type};
use super::e4m3::{LARGEST, widened};
use super::operations::{Gpu, Rows};
use super::quantized::Quantized;
use crate::random::Random;

/// Rows: more than a tile has.
const ROWS: usize = 300;
/// Inputs: several steps.
const INPUTS: usize = 528;
/// Outputs: the last tile is not whole.
const OUTPUTS: usize = 208;
/// How far a product may be off, as a share of one and its size: a tenth of what rounding to E4M3 is worth, and many times what was
/// computed for sums of 14 bits, which tensor cores make of such numbers between one addition in f32 and the next.
const TOLERANCE: f32 = 0.01;
/// How far a rounded value may be off: half a step of three bits, as a share of it, and half a step of the smallest numbers.
const HALF_STEP: f32 = 1. / 16.;
const HALF_LEAST_STEP: f32 = 1. / 1024.;
/// What is added to that for what two kernels compute in another order.
const ALLOWANCE: f32 = 1.02;

/// Rows that are rounded, and where they go.
struct SelfTest<'a> {
    gpu: &'a Gpu,
    /// In the type of activations.
    rows: Memory,
    bytes: Memory,
    scales: Memory,
    random: Random,
}

impl Gpu {
    /// Tests rounding and products, if linear layers multiply E4M3.
    ///
    /// # Errors
    /// If the device fails, or they are wrong: the user has asked for them by name.
    pub fn self_test_quantized(&self) -> Result<()> {
        if !self.quantizes {
            return Ok(());
        }
        let mut test = SelfTest::new(self)?;
        test.norm()?;
        test.swiglu()?;
        test.products()
    }
}

impl<'a> SelfTest<'a> {
    fn new(gpu: &'a Gpu) -> Result<Self> {
        // Not numbers, so that what is not written is seen.
        let scales = gpu.vector(&vec![f32::NAN; ROWS])?;
        let rows = gpu.narrowed(&vec![f32::NAN; ROWS * INPUTS])?;
        Ok(Self { gpu, rows, bytes: gpu.memory(ROWS * INPUTS)?, scales, random: Random(0xe4e3) })
    }

    fn values(&mut self, count: usize, scale: f32) -> Vec<f32> {
        (0..count).map(|_| (self.random.below(1 << 16) as f32 / (1 << 15) as f32 - 1.) * scale).collect()
    }

    fn rows(&self) -> Rows<'_> {
        Rows::new(&self.rows, ROWS, INPUTS)
    }

    fn quantized(&self) -> Quantized<'_> {
        Quantized { values: Rows::new(&self.bytes, ROWS, INPUTS), scales: &self.scales }
    }

    fn norm(&mut self) -> Result<()> {
        let (hidden, weight) = (self.values(ROWS * INPUTS, 5.), self.values(INPUTS, 2.));
        let (hidden, weight) = (self.gpu.vector(&hidden)?, self.gpu.vector(&weight)?);
        let hidden = Rows::new(&hidden, ROWS, INPUTS);
        self.gpu.rms_norm(hidden, &weight, 1e-6, self.rows())?;
        self.gpu.rms_norm_quantized(hidden, &weight, 1e-6, self.quantized())?;
        self.check_rounding("norms")
    }

    fn swiglu(&mut self) -> Result<()> {
        let products = self.values(2 * ROWS * INPUTS, 4.);
        let products = self.gpu.narrowed(&products)?;
        let products = Rows::new(&products, ROWS, 2 * INPUTS);
        self.gpu.swiglu(products, self.rows())?;
        self.gpu.swiglu_quantized(products, self.quantized())?;
        self.check_rounding("SwiGLU")
    }

    /// Checks that the bytes are the nearest numbers to the rows, each of its scale.
    fn check_rounding(&self, of: &str) -> Result<()> {
        let values = self.gpu.widened(&self.rows)?;
        let rounded = values.chunks_exact(INPUTS).zip(self.numbers()?.chunks_exact(INPUTS)).all(|(row, rounded)| {
            let largest = row.iter().fold(0f32, |largest, value| largest.max(value.abs()));
            let least = HALF_LEAST_STEP * largest / LARGEST;
            let is_near = |(value, rounded): (&f32, &f32)| {
                (value - rounded).abs() <= ALLOWANCE * (HALF_STEP * value.abs()).max(least) + least
            };
            row.iter().zip(rounded).all(is_near)
        });
        ensure!(
            rounded,
            "--dtype fp8: this GPU does not round {of} to the nearest 8-bit floats; please report it, and use --dtype bf16"
        );
        Ok(())
    }

    /// What the bytes and their scales are.
    fn numbers(&self) -> Result<Vec<f32>> {
        let scales = self.gpu.with_value(Type::F32).widened(&self.scales)?;
        let bytes = read(&self.bytes)?;
        Ok(bytes.iter().enumerate().map(|(index, byte)| widened(*byte) * scales[index / INPUTS]).collect())
    }

    fn products(&mut self) -> Result<()> {
        // Sums are about as large as one.
        let (rows, weights) = (self.values(ROWS * INPUTS, 3.), self.values(OUTPUTS * INPUTS, 0.05));
        self.rows = self.gpu.narrowed(&rows)?;
        self.gpu.quantize(self.rows(), self.quantized())?;
        self.check_rounding("rows")?;
        let mut weight = self.gpu.weight(OUTPUTS, INPUTS)?;
        weight.fill_quantized(0, &weights)?;
        let results = self.gpu.narrowed(&vec![f32::NAN; ROWS * OUTPUTS])?;
        let sums = self.gpu.vector(&vec![1.; ROWS * OUTPUTS])?;
        self.gpu.multiply(self.quantized(), &weight, 0..OUTPUTS, Rows::new(&results, ROWS, OUTPUTS))?;
        self.gpu.multiply_add(self.quantized(), &weight, Rows::new(&sums, ROWS, OUTPUTS))?;
        let exact = self.gpu.with_value(Type::F32);
        let (results, sums) = (self.gpu.widened(&results)?, exact.widened(&sums)?);
        let of_outputs = weight.scales.as_ref().map(|scales| exact.widened(scales)).transpose()?.unwrap_or_default();
        let expected = expected(&self.numbers()?, &read(&weight.memory)?, &of_outputs);
        let deviation = |(result, expected): (f32, &f32)| (result - expected).abs() / (1. + expected.abs());
        let deviations = results.into_iter().zip(&expected).map(deviation);
        let deviations = deviations.chain(sums.into_iter().map(|sum| sum - 1.).zip(&expected).map(deviation));
        // What is not a number is the largest in this order.
        let most = deviations.max_by(f32::total_cmp).unwrap_or(f32::NAN);
        ensure!(
            most <= TOLERANCE,
            "--dtype fp8: products of 8-bit floats are off by {most} on this GPU; please report it, and use --dtype bf16"
        );
        Ok(())
    }
}

fn read(memory: &Memory) -> Result<Vec<u8>> {
    let mut bytes = vec![0; memory.bytes()];
    memory.download(&mut bytes)?;
    Ok(bytes)
}

/// The products of rows with weights of E4M3 and a scale for each output.
fn expected(rows: &[f32], weights: &[u8], of_outputs: &[f32]) -> Vec<f32> {
    let weights: Vec<f32> = weights.iter().map(|byte| widened(*byte)).collect();
    let of_row = |row: &[f32]| -> Vec<f32> {
        let outputs = weights.chunks_exact(INPUTS).zip(of_outputs);
        let sum = |weights: &[f32]| row.iter().zip(weights).map(|(left, right)| left * right).sum::<f32>();
        outputs.map(|(weights, scale)| sum(weights) * scale).collect()
    };
    rows.chunks_exact(INPUTS).flat_map(of_row).collect()
}
