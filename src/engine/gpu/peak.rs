//! The rates at which a GPU multiplies large matrices and copies memory: what the steps of a forward are measured by.

use std::time::Instant;

use anyhow::Result;
use half::{bf16, f16};

use super::device::Type;
use super::operations::{Gpu, Rows};

/// Rows and columns: so many that neither launches nor memory weigh in, or fewer where a model leaves little memory.
const SIDES: [usize; 3] = [8192, 4096, 2048];
/// Rows that differ.
const ROWS: usize = 61;
/// Products, and copies, that are timed: enough for the clocks to settle.
const TIMES: usize = 100;

/// What a GPU reaches where nothing else limits it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ceilings {
    /// Operations a second of the library's product, in this type of activations; a multiply-add counts as two.
    pub operations: f64,
    /// Bytes a second to and from memory, those read and those written together.
    pub bytes: f64,
}

impl Gpu {
    /// Measures both, in less than a second on a large card.
    ///
    /// # Errors
    /// If the device fails, or has no memory for three large matrices.
    pub fn ceilings(&self) -> Result<Ceilings> {
        let free_memory = self.device().free_memory()?;
        let fits = |side: &usize| 3 * side * side * self.value().size() <= free_memory;
        let [.., least] = SIDES;
        let side = SIDES.into_iter().find(fits).unwrap_or(least);
        // Of both signs and many sizes: a multiplier is faster and cooler on zeros and on values that are alike.
        let mut random = crate::random::Random(0x5eed);
        let mut value = || random.below(1 << 16) as f32 / (1 << 15) as f32 - 1.;
        let row: Vec<u8> = (0..side + ROWS)
            .flat_map(|_| match self.value() {
                Type::F32 => value().to_le_bytes().to_vec(),
                Type::Bf16 => bf16::from_f32(value()).to_le_bytes().to_vec(),
                Type::F16 => f16::from_f32(value()).to_le_bytes().to_vec(),
            })
            .collect();
        let (size, bytes) = (self.value().size(), side * self.value().size());
        let mut weight = self.weight(side, side)?;
        let [mut left, results] = [self.memory(side * bytes)?, self.memory(side * bytes)?];
        for index in 0..side {
            // Rows differ by where they begin.
            let row = &row[index % ROWS * size..][..bytes];
            weight.fill(index, row)?;
            left.upload_at(index * bytes, row)?;
        }
        let [left_rows, result_rows] = [&left, &results].map(|memory| Rows::new(memory, side, side));
        let ours = self.seconds(|| self.multiply(left_rows, &weight, 0..side, result_rows))?;
        let product = self.product(left_rows, (&weight, 0..side), result_rows, false);
        // SAFETY: the memory was checked.
        let free = self.seconds(|| unsafe { self.device().multiply_freely(&product) })?;
        let operations = (2 * side * side * side) as f64 / ours.min(free);
        // SAFETY: both memories have as many bytes.
        let copy = || unsafe { self.device().copy(left.address(), results.address(), side * bytes) };
        Ok(Ceilings { operations, bytes: (2 * side * bytes) as f64 / self.seconds(copy)? })
    }

    /// What one of many in a row takes.
    fn seconds(&self, work: impl Fn() -> Result<()>) -> Result<f64> {
        let times = |count: usize| -> Result<f64> {
            let started = Instant::now();
            (0..count).try_for_each(|_| work())?;
            self.device().finish()?;
            Ok(started.elapsed().as_secs_f64())
        };
        times(TIMES / 10)?;
        Ok(times(TIMES)? / TIMES as f64)
    }
}
