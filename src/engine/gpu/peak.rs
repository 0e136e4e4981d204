//! The rates at which a GPU multiplies large matrices and copies memory: what the steps of a forward are measured by.

use std::time::Instant;

use anyhow::Result;

use super::e4m3;
use super::operations::{Gpu, Rows};
use super::quantized::{Operand, Quantized};

/// Rows and columns: so many that neither launches nor memory weigh in, or fewer where a model leaves little memory.
const SIDES: [usize; 3] = [8192, 4096, 2048];
/// Rows that differ.
const ROWS: usize = 61;
/// Products, and copies, that are timed: enough for the clocks to settle.
const TIMES: usize = 100;

/// What a GPU reaches where nothing else limits it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ceilings {
    /// Operations a second of the library's product, of what linear layers multiply; a multiply-add counts as two.
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
        let row: Vec<f32> = (0..side + ROWS).map(|_| value()).collect();
        let bytes = side * if self.quantizes() { 1 } else { self.value().size() };
        let mut weight = self.weight(side, side)?;
        let mut left = self.memory(side * bytes)?;
        let [results, scales] = [self.memory(side * side * self.value().size())?, self.vector(&vec![1.; side])?];
        // Rows differ by where they begin.
        let narrowed = |start: usize| {
            let row = &row[start..][..side];
            if !self.quantizes() {
                return (self.value().narrowed(row), None);
            }
            let mut narrow = vec![0; bytes];
            let scale = e4m3::narrow_row(row, &mut narrow);
            (narrow, Some(scale))
        };
        let rows: Vec<(Vec<u8>, Option<f32>)> = (0..ROWS).map(narrowed).collect();
        for (index, (narrow, scale)) in rows.iter().cycle().take(side).enumerate() {
            match scale {
                Some(scale) => weight.fill_scaled(index, narrow, &[*scale])?,
                None => weight.fill(index, narrow)?,
            }
            left.upload_at(index * bytes, narrow)?;
        }
        let [left_rows, result_rows] = [&left, &results].map(|memory| Rows::new(memory, side, side));
        let operand = match self.quantizes() {
            true => Operand::from(Quantized { values: left_rows, scales: &scales }),
            false => left_rows.into(),
        };
        let mut seconds = self.seconds(|| self.multiply(operand, &weight, 0..side, result_rows))?;
        // Others than cuBLASLt multiply no 8-bit floats.
        if !self.quantizes() {
            let product = self.product(operand, (&weight, 0..side), result_rows, false);
            // SAFETY: the memory was checked.
            let free = self.seconds(|| unsafe { self.device().multiply_freely(&product) })?;
            seconds = seconds.min(free);
        }
        let operations = (2 * side * side * side) as f64 / seconds;
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
