//! The rate at which this machine multiplies matrices when nothing is loaded or stored: what the products are measured by.

use std::time::{Duration, Instant};

use rayon::prelude::*;

use crate::engine::cpu::Arithmetic;
use crate::engine::cpu::gemm::microkernel::{BLOCK, Format, Kernel, SIDE, WORDS};

/// Operations a second of all threads together, for the operands of linear layers on bf16 weights; a multiply-add counts as
/// two.
///
/// On AMX it is the rate of the product instruction alone; elsewhere that of the kernel on operands that stay in the L1
/// cache.
pub fn peak(arithmetic: Arithmetic, time: Duration) -> f64 {
    let format = arithmetic.linear(candle_core::DType::BF16);
    let threads = rayon::current_num_threads();
    let rates: Vec<f64> =
        (0..threads).into_par_iter().with_max_len(1).map(|_| rate(arithmetic, format, time)).collect();
    rates.iter().sum()
}

fn rate(arithmetic: Arithmetic, format: Format, time: Duration) -> f64 {
    const STEPS: usize = 4;
    let kernel = Kernel::new(arithmetic.level, format);
    kernel.prepare();
    // Not zeros: a multiplier is faster and cooler on those.
    let left: Vec<u32> = (0..(STEPS * BLOCK) as u32).map(|word| 0x3f80_3f81 ^ word & 0x7f).collect();
    let right: Vec<u8> = vec![0x3d; STEPS * format.right_bytes()];
    let mut results = vec![0u32; SIDE * SIDE];
    let block = (SIDE * SIDE * WORDS * 2 * format.step() / WORDS) as f64;
    let started = Instant::now();
    let mut operations = 0.;
    while started.elapsed() < time {
        #[cfg(target_arch = "x86_64")]
        if arithmetic.level == crate::engine::cpu::Level::Amx && matches!(format, Format::Bf16 | Format::Int8) {
            operations += crate::engine::cpu::gemm::amx::products(format == Format::Int8, 2000) as f64 * block / 4.;
            continue;
        }
        for _ in 0..100 {
            kernel.multiply(&left, &right, &mut results, false, right.as_ptr());
        }
        operations += 100. * STEPS as f64 * block;
    }
    operations / started.elapsed().as_secs_f64()
}
