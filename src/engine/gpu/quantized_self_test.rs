//! The self-test of products of E4M3: on this card they must be those of the numbers that the rows became, whether they are added or
//! not, and to the precision that sums of the numbers have.

use anyhow::{Result, ensure};

use super::device::{Memory, Type};
use super::operations::{Gpu, Rows};
use super::quantized::Quantized;
use crate::random::Random;

/// Rows: more than a tile has.
const ROWS: usize = 300;
/// Inputs: several steps.
const INPUTS: usize = 528;
/// Outputs: the last tile is not whole.
const OUTPUTS: usize = 208;
/// How far a result may be off, as a share of one and its size: a tenth of what rounding to E4M3 is worth, and many times what was
/// computed for sums of 14 bits, which tensor cores make of such numbers between one addition in f32 and the next.
const TOLERANCE: f32 = 0.01;

impl Gpu {
    /// Tests products of E4M3, if linear layers multiply that.
    ///
    /// # Errors
    /// If the device fails, or they are wrong: the user has asked for them by name.
    pub fn self_test_quantized(&self) -> Result<()> {
        if !self.quantizes {
            return Ok(());
        }
        let mut random = Random(0xe4e3);
        // Sums are about as large as one.
        let mut values = |count: usize, scale: f32| -> Vec<f32> {
            (0..count).map(|_| (random.below(1 << 16) as f32 / (1 << 15) as f32 - 1.) * scale).collect()
        };
        let left = self.narrowed(&values(ROWS * INPUTS, 3.))?;
        let (bytes, scales) = (self.memory(ROWS * INPUTS)?, self.vector(&vec![f32::NAN; ROWS])?);
        let quantized = Quantized { values: Rows::new(&bytes, ROWS, INPUTS), scales: &scales };
        self.quantize(Rows::new(&left, ROWS, INPUTS), quantized)?;
        let mut weight = self.weight(OUTPUTS, INPUTS)?;
        weight.fill_quantized(0, &values(OUTPUTS * INPUTS, 0.05))?;
        // Not numbers, so that what is not written is seen.
        let results = self.narrowed(&vec![f32::NAN; ROWS * OUTPUTS])?;
        let sums = self.vector(&vec![1.; ROWS * OUTPUTS])?;
        self.multiply(quantized, &weight, 0..OUTPUTS, Rows::new(&results, ROWS, OUTPUTS))?;
        self.multiply_add(quantized, &weight, Rows::new(&sums, ROWS, OUTPUTS))?;
        let expected = self.expected([&bytes, &scales], &weight.memory, weight.scales.as_ref())?;
        let (results, sums) = (self.widened(&results)?, self.with_value(Type::F32).widened(&sums)?);
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

    /// The products of what stands in memory.
    fn expected(
        &self,
        [bytes, scales]: [&Memory; 2],
        weights: &Memory,
        of_outputs: Option<&Memory>,
    ) -> Result<Vec<f32>> {
        let read = |memory: &Memory| -> Result<Vec<f32>> {
            let mut bytes = vec![0; memory.bytes()];
            memory.download(&mut bytes)?;
            Ok(bytes.iter().map(|byte| super::e4m3::widened(*byte)).collect())
        };
        let exact = self.with_value(Type::F32);
        let (left, right, of_rows) = (read(bytes)?, read(weights)?, exact.widened(scales)?);
        let of_outputs = of_outputs.map(|scales| exact.widened(scales)).transpose()?.unwrap_or_default();
        let mut expected = Vec::with_capacity(ROWS * OUTPUTS);
        for (row, scale) in left.chunks_exact(INPUTS).zip(of_rows) {
            for (output, of_output) in right.chunks_exact(INPUTS).zip(&of_outputs) {
                let sum: f32 = row.iter().zip(output).map(|(left, right)| left * right).sum();
                expected.push(sum * scale * of_output);
            }
        }
        Ok(expected)
    }
}
