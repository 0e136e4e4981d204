//! The rate at which a GPU multiplies large matrices: what the products of a forward are measured by.

use std::time::Instant;

use anyhow::Result;

use super::device::Type;
use super::operations::{Gpu, Rows};

/// Rows and columns: so many that neither launches nor memory weigh in.
const SIDE: usize = 8192;
/// Products that are timed.
const TIMES: usize = 16;

impl Gpu {
    /// Operations a second of the library's product, in this type of activations; a multiply-add counts as two.
    ///
    /// # Errors
    /// If the device fails, or has no memory for three such matrices.
    pub fn peak(&self) -> Result<f64> {
        // Not zeros: a multiplier is faster and cooler on those.
        let row: Vec<u8> = (0..SIDE * self.value().size())
            .map(|index| match (self.value(), index % self.value().size()) {
                (Type::F32, 3) | (Type::Bf16, 1) => 0x3f,
                (Type::F16, 1) => 0x3c,
                _ => (index * 37 % 128) as u8,
            })
            .collect();
        let mut weight = self.weight(SIDE, SIDE)?;
        let [mut left, results] = [self.memory(SIDE * row.len())?, self.memory(SIDE * row.len())?];
        for index in 0..SIDE {
            weight.fill(index, &row)?;
            left.upload_at(index * row.len(), &row)?;
        }
        let (left, results) = (Rows::new(&left, SIDE, SIDE), Rows::new(&results, SIDE, SIDE));
        let times = |count: usize| -> Result<f64> {
            let started = Instant::now();
            (0..count).try_for_each(|_| self.multiply(left, &weight, 0..SIDE, results))?;
            self.device().finish()?;
            Ok(started.elapsed().as_secs_f64())
        };
        times(2)?;
        Ok((2 * SIDE * SIDE * SIDE * TIMES) as f64 / times(TIMES)?)
    }
}
