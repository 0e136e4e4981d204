//! The rate at which a GPU multiplies large matrices: what the products of a forward are measured by.

use std::time::Instant;

use anyhow::Result;
use half::{bf16, f16};

use super::device::Type;
use super::operations::{Gpu, Rows};

/// Rows and columns: so many that neither launches nor memory weigh in.
const SIDE: usize = 8192;
/// Rows that differ.
const ROWS: usize = 61;
/// Products that are timed: enough for the clocks to settle.
const TIMES: usize = 100;

impl Gpu {
    /// Operations a second of the library's product, in this type of activations; a multiply-add counts as two.
    ///
    /// # Errors
    /// If the device fails, or has no memory for three such matrices.
    pub fn peak(&self) -> Result<f64> {
        // Of both signs and many sizes: a multiplier is faster and cooler on zeros and on values that are alike.
        let mut random = crate::bench::Random(0x5eed);
        let mut value = || random.below(1 << 16) as f32 / (1 << 15) as f32 - 1.;
        let row: Vec<u8> = (0..SIDE + ROWS)
            .flat_map(|_| match self.value() {
                Type::F32 => value().to_le_bytes().to_vec(),
                Type::Bf16 => bf16::from_f32(value()).to_le_bytes().to_vec(),
                Type::F16 => f16::from_f32(value()).to_le_bytes().to_vec(),
            })
            .collect();
        let (size, bytes) = (self.value().size(), SIDE * self.value().size());
        let mut weight = self.weight(SIDE, SIDE)?;
        let [mut left, results] = [self.memory(SIDE * bytes)?, self.memory(SIDE * bytes)?];
        for index in 0..SIDE {
            // Rows differ by where they begin.
            let row = &row[index % ROWS * size..][..bytes];
            weight.fill(index, row)?;
            left.upload_at(index * bytes, row)?;
        }
        let (left, results) = (Rows::new(&left, SIDE, SIDE), Rows::new(&results, SIDE, SIDE));
        let times = |count: usize| -> Result<f64> {
            let started = Instant::now();
            (0..count).try_for_each(|_| self.multiply(left, &weight, 0..SIDE, results))?;
            self.device().finish()?;
            Ok(started.elapsed().as_secs_f64())
        };
        times(TIMES / 10)?;
        Ok((2 * SIDE * SIDE * SIDE * TIMES) as f64 / times(TIMES)?)
    }
}
