//! Products on AMX tiles (Intel, from Sapphire Rapids on), through inline assembly: the intrinsics are not stable.
//!
//! Four tiles of 16 × 16 results stay in registers; a step loads two tiles of each operand and multiplies them crosswise:
//!
//! ```text
//!             right 6   right 7
//! left 4        0         1
//! left 5        2         3
//! ```
//!
//! What bounds it is the way from the L2 cache to L1 (about 28 bytes a cycle, measured, where a step consumes 64): so the
//! right operand's blocks of a run of steps stay in L1 while the left ones stream past them with the hint not to stay there,
//! and the run that comes next is fetched into L2 meanwhile.

use std::arch::asm;
use std::arch::x86_64::{__cpuid, __cpuid_count};
use std::cell::Cell;

use crate::engine::cpu::gemm::microkernel::Run;

/// Whether the processor has tiles of bf16 and int8, and the system lets us use them.
pub(crate) fn available() -> bool {
    const BF16_TILE_INT8: u32 = 1 << 22 | 1 << 24 | 1 << 25;
    if __cpuid(0).eax < 7 || __cpuid_count(7, 0).edx & BF16_TILE_INT8 != BF16_TILE_INT8 {
        return false;
    }
    permitted()
}

/// Asks the kernel for the tiles' room in the saved state of this process' threads (Linux 5.16).
#[cfg(target_os = "linux")]
fn permitted() -> bool {
    const ARCH_REQ_XCOMP_PERM: libc::c_int = 0x1023;
    const XFEATURE_XTILEDATA: libc::c_ulong = 18;
    // SAFETY: the call touches no memory of ours.
    unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0 }
}

#[cfg(not(target_os = "linux"))]
fn permitted() -> bool {
    false
}

/// Eight tiles of 16 rows of 64 bytes, in the form of `LDTILECFG`.
#[repr(C, align(64))]
struct Configuration {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    row_bytes: [u16; 16],
    rows: [u8; 16],
}

/// Shapes this thread's tiles, once.
#[inline]
pub(crate) fn configure() {
    thread_local! {
        static CONFIGURED: Cell<bool> = const { Cell::new(false) };
    }
    if CONFIGURED.get() {
        return;
    }
    let mut row_bytes = [0; 16];
    row_bytes[..8].fill(64);
    let mut rows = [0; 16];
    rows[..8].fill(16);
    let configuration = Configuration { palette: 1, start_row: 0, reserved: [0; 14], row_bytes, rows };
    // SAFETY: reads 64 bytes; tiles are not used by compiled code. Kernels are only chosen where `available`. The memory is
    // an operand, so that the compiler keeps what was written there.
    unsafe { asm!("ldtilecfg [{}]", in(reg) &raw const configuration, options(nostack, readonly)) };
    CONFIGURED.set(true);
}

macro_rules! kernel {
    ($name:ident, $product:literal, $doc:literal) => {
        #[doc = $doc]
        ///
        /// # Safety
        /// The operands hold the runs' steps, of which each has one at least, the results 32 × 32; this thread's tiles are
        /// configured.
        pub(crate) unsafe fn $name(runs: &[Run], right: *const u8, results: *mut u32, add: bool, soon: *const u8) {
            // SAFETY: all addresses are inside the blocks that the caller vouches for; prefetches don't fault. The tiles that
            // are written are declared so.
            unsafe {
                asm!(
                    "test {steps:e}, {steps:e}",
                    "jz 4f",
                    "tileloadd tmm0, [{results} + {stride} * 2]",
                    "tileloadd tmm1, [{results} + {stride} * 2 + 64]",
                    "tileloadd tmm2, [{lower} + {stride} * 2]",
                    "tileloadd tmm3, [{lower} + {stride} * 2 + 64]",
                    "jmp 5f",
                    "4:",
                    "tilezero tmm0",
                    "tilezero tmm1",
                    "tilezero tmm2",
                    "tilezero tmm3",
                    "5:",
                    "mov {left}, [{runs}]",
                    "mov {steps}, [{runs} + 8]",
                    "add {runs}, 16",
                    "tileloaddt1 tmm4, [{left} + {stride}]",
                    "tileloadd tmm6, [{right} + {stride}]",
                    "tileloaddt1 tmm5, [{left} + {stride} + 1024]",
                    "tileloadd tmm7, [{right} + {stride} + 1024]",
                    "add {right}, 2048",
                    "dec {steps}",
                    "jz 3f",
                    "2:",
                    concat!($product, " tmm0, tmm4, tmm6"),
                    "prefetcht2 [{soon}]",
                    "prefetcht2 [{soon} + 64]",
                    concat!($product, " tmm1, tmm4, tmm7"),
                    "tileloaddt1 tmm4, [{left} + {stride} + 2048]",
                    concat!($product, " tmm2, tmm5, tmm6"),
                    "prefetcht2 [{soon} + 128]",
                    "prefetcht2 [{soon} + 192]",
                    "tileloadd tmm6, [{right} + {stride}]",
                    concat!($product, " tmm3, tmm5, tmm7"),
                    "tileloaddt1 tmm5, [{left} + {stride} + 3072]",
                    "tileloadd tmm7, [{right} + {stride} + 1024]",
                    "add {soon}, 256",
                    "add {left}, 2048",
                    "add {right}, 2048",
                    "dec {steps}",
                    "jnz 2b",
                    "3:",
                    concat!($product, " tmm0, tmm4, tmm6"),
                    concat!($product, " tmm1, tmm4, tmm7"),
                    concat!($product, " tmm2, tmm5, tmm6"),
                    concat!($product, " tmm3, tmm5, tmm7"),
                    "cmp {runs}, {end}",
                    "jne 5b",
                    "prefetcht2 [{soon}]",
                    "prefetcht2 [{soon} + 64]",
                    "prefetcht2 [{soon} + 128]",
                    "prefetcht2 [{soon} + 192]",
                    "tilestored [{results} + {stride} * 2], tmm0",
                    "tilestored [{results} + {stride} * 2 + 64], tmm1",
                    "tilestored [{lower} + {stride} * 2], tmm2",
                    "tilestored [{lower} + {stride} * 2 + 64], tmm3",
                    runs = inout(reg) runs.as_ptr() => _,
                    end = in(reg) runs.as_ptr_range().end,
                    // Whether to add, at first.
                    steps = inout(reg) usize::from(add) => _,
                    left = out(reg) _,
                    right = inout(reg) right => _,
                    soon = inout(reg) soon => _,
                    stride = in(reg) 64usize,
                    results = in(reg) results,
                    lower = in(reg) results.add(16 * 32),
                    out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                    out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                    options(nostack),
                );
            }
        }
    };
}
kernel!(bf16, "tdpbf16ps", "Words of two bf16. See [`crate::engine::cpu::gemm::microkernel::Multiply`].");
kernel!(int8, "tdpbssd", "Words of four signed bytes. See [`crate::engine::cpu::gemm::microkernel::Multiply`].");

/// Four products of tiles, over and over, with nothing loaded in between: as fast as it gets. Returns how many were done.
pub(crate) fn products(int8: bool, turns: usize) -> usize {
    macro_rules! turns {
        ($product:literal) => {
            // SAFETY: only tiles are touched, and they are declared; the caller runs where they are configured.
            unsafe {
                asm!(
                    "2:",
                    concat!($product, " tmm0, tmm4, tmm6"),
                    concat!($product, " tmm1, tmm4, tmm7"),
                    concat!($product, " tmm2, tmm5, tmm6"),
                    concat!($product, " tmm3, tmm5, tmm7"),
                    "dec {turns}",
                    "jnz 2b",
                    turns = inout(reg) turns.max(1) => _,
                    out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                    out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                    options(nostack, nomem),
                );
            }
        };
    }
    if int8 {
        turns!("tdpbssd");
    } else {
        turns!("tdpbf16ps");
    }
    4 * turns.max(1)
}
