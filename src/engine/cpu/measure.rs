//! What this processor's units of bf16 are worth: some have them and are slower with them than with multiply-adds of f32.
//!
//! Measured at every start, in a few milliseconds, and not remembered in a file: a machine may be another one tomorrow
//! (a container that moved, a home directory on a network), and nothing has to be found, locked or thrown away. Both units
//! take turns at the same small work, and the shortest time of each counts, so that whatever else the machine does has to
//! disturb all turns of one unit and none of the other's to change the choice. Known processors are far from the threshold on
//! either side; where the times come near it, the measurement goes on for longer.
//!
//! Linear layers are measured, and attention takes the same unit: softmax brings both units closer together there, and a
//! processor on which they are 1.1 times apart changed its choice, and with it the bits of scores, from one start to the next.

use std::time::{Duration, Instant};

use anyhow::Result;
use candle_core::DType;
use half::bf16;

use crate::checkpoint::StoredRows;
use crate::engine::cpu::arithmetic::{Arithmetic, Unit, Units};
use crate::engine::cpu::gemm::linear::Linear;
use crate::engine::cpu::gemm::microkernel::SIDE;
use crate::engine::cpu::gemm::operand::Operand;
use crate::engine::cpu::gemm::panels::Panels;
use crate::engine::cpu::gemm::weight::Source;
use crate::engine::cpu::level::Level;
use crate::precision::Precision;

/// The units of bf16 are used where they are so many times as fast as those of f32.
const MIN_SPEEDUP: f64 = 1.25;
/// The relative distance from [`MIN_SPEEDUP`] within which the measurement goes on.
const NEAR: f64 = 0.12;
/// Turns of each unit before the times are looked at.
const TURNS: usize = 12;
/// How often the times are looked at, at most.
const LOOKS: usize = 6;

/// The shortest time that each unit took for the same work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// The time in units of bf16.
    pub bf16: Duration,
    /// The time in multiply-adds of f32.
    pub f32: Duration,
}

/// What was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measured {
    /// The times of a linear layer.
    pub products: Times,
    /// What all this took.
    pub took: Duration,
}

impl Times {
    /// How many times as fast the units of bf16 are.
    pub fn speedup(self) -> f64 {
        self.f32.as_secs_f64() / self.bf16.as_secs_f64().max(1e-9)
    }

    /// The unit to use: that of bf16 where it is clearly faster, as that of f32 rounds less on the way.
    pub fn faster(self) -> Unit {
        if self.speedup() >= MIN_SPEEDUP { Unit::Bf16 } else { Unit::F32 }
    }

    /// Lets both units take turns. `turn` does the work once and returns the time that it took.
    fn of(mut turn: impl FnMut(Unit) -> Duration) -> Self {
        let mut times = Self { bf16: Duration::MAX, f32: Duration::MAX };
        for _ in 0..LOOKS {
            for _ in 0..TURNS {
                times.bf16 = times.bf16.min(turn(Unit::Bf16));
                times.f32 = times.f32.min(turn(Unit::F32));
            }
            if (times.speedup() / MIN_SPEEDUP - 1.).abs() > NEAR {
                break;
            }
        }
        times
    }
}

/// Measures the units of a level that has both.
///
/// # Errors
/// As [`Linear::new`].
pub fn measure(level: Level) -> Result<Measured> {
    let started = Instant::now();
    let arithmetic = |unit| Arithmetic { level, units: Units::both(unit), precision: Precision::Bf16 };
    let [mut bf16, mut f32] = [Layer::new(arithmetic(Unit::Bf16))?, Layer::new(arithmetic(Unit::F32))?];
    let products = Times::of(|unit| timed(|| if unit == Unit::Bf16 { bf16.run() } else { f32.run() }));
    Ok(Measured { products, took: started.elapsed() })
}

fn timed(work: impl FnOnce()) -> Duration {
    let started = Instant::now();
    work();
    started.elapsed()
}

/// Values about 0; multipliers are faster and cooler on zeros.
fn values(count: usize) -> impl Iterator<Item = f32> {
    (0..count as u32).map(|index| (index.wrapping_mul(0x9e37_79b9) >> 8) as f32 / (1 << 23) as f32 - 1.)
}

/// A part of a linear layer: its operands stay in the L2 cache, as those of a tile do.
struct Layer {
    linear: Linear,
    input: Operand,
    results: Vec<f32>,
}

impl Layer {
    const ROWS: usize = 2 * SIDE;
    const INPUTS: usize = 1024;
    const OUTPUTS: usize = 2 * SIDE;

    fn new(arithmetic: Arithmetic) -> Result<Self> {
        let bytes: Vec<u8> =
            values(Self::OUTPUTS * Self::INPUTS).flat_map(|value| bf16::from_f32(value).to_le_bytes()).collect();
        let matrix = StoredRows { dtype: DType::BF16, bytes: &bytes, inputs: Self::INPUTS };
        let sources: Vec<Source> = (0..Self::OUTPUTS).map(|row| Some((0, row))).collect();
        let linear = Linear::new(&[&matrix], &sources, arithmetic)?;
        let mut rows: Vec<f32> = values(Self::ROWS * Self::INPUTS).collect();
        let mut input = Operand::default();
        input.reshape(linear.form(), Self::ROWS);
        input.pack(&Panels::new(&mut rows, Self::ROWS), &[], &[]);
        Ok(Self { linear, input, results: vec![0.; Self::ROWS * Self::OUTPUTS] })
    }

    fn run(&mut self) {
        let mut results = Panels::new(&mut self.results, Self::ROWS);
        self.linear.forward(&self.input, 0..self.linear.panels(), &mut results);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(bf16: u64, f32: u64) -> Times {
        Times { bf16: Duration::from_micros(bf16), f32: Duration::from_micros(f32) }
    }

    #[test]
    fn units_of_bf16_are_used_where_they_are_clearly_faster() {
        // AMX, Zen 5, nearly the same, and a processor whose bf16 instruction runs at less than half of the FMA's rate.
        let cases = [(10, 90, Unit::Bf16), (16, 31, Unit::Bf16), (30, 31, Unit::F32), (122, 99, Unit::F32)];
        for (bf16, f32, faster) in cases {
            assert_eq!(times(bf16, f32).faster(), faster, "{bf16} µs and {f32} µs");
        }
        assert!((times(16, 32).speedup() - 2.).abs() < 1e-9);
    }

    #[test]
    fn a_choice_withstands_what_else_the_machine_does() {
        // Of ten turns, seven take up to four times as long.
        let mut turn = 0u64;
        let mut disturbed = |unit: Unit| {
            turn += 1;
            let disturbance = if turn * 7 % 10 < 7 { 100 + turn * 37 % 300 } else { 100 };
            Duration::from_micros(if unit == Unit::Bf16 { 16 } else { 31 } * disturbance / 100)
        };
        for _ in 0..50 {
            assert_eq!(Times::of(&mut disturbed), times(16, 31));
        }
    }

    #[test]
    fn a_close_race_is_run_for_longer() {
        let turns = |f32: u64| {
            let mut turns = 0;
            let _ = Times::of(|unit| {
                turns += 1;
                Duration::from_micros(if unit == Unit::Bf16 { 100 } else { f32 })
            });
            turns
        };
        assert_eq!([turns(200), turns(99), turns(126)], [2 * TURNS, 2 * TURNS, 2 * TURNS * LOOKS]);
    }

    #[test]
    fn the_work_of_both_units_can_be_done_at_every_level_that_has_them() {
        for level in Level::all().filter(|level| level.has_bf16_units()) {
            let times = measure(level).unwrap().products;
            assert!(times.bf16 > Duration::ZERO && times.f32 < Duration::MAX, "{level}: {times:?}");
        }
    }
}
