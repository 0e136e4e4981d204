//! Instruction-set levels: found once, at run time. Every level computes the same things; a higher one is faster.

use std::sync::OnceLock;

/// What the processor can do; a level includes those before it.
///
/// What is computed at a level runs its instructions. So others than this crate get only the levels that this processor has:
/// they can't write the higher variants down, and no text is parsed into one.
///
/// ```compile_fail,E0603
/// let level = rerank::engine::cpu::Level::Amx;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// What every processor of the architecture has: SSE2 on x86-64, NEON on AArch64.
    Plain,
    /// AVX2 and FMA.
    #[non_exhaustive]
    Avx2,
    /// AVX-512 F, BW, DQ and VL.
    #[non_exhaustive]
    Avx512,
    /// AVX-512-BF16 and VNNI: products of bf16 pairs and int8 quads.
    #[non_exhaustive]
    Avx512Bf16,
    /// AMX tiles of bf16 and int8.
    #[non_exhaustive]
    Amx,
}

const LEVELS: [Level; 5] = [Level::Plain, Level::Avx2, Level::Avx512, Level::Avx512Bf16, Level::Amx];

impl Level {
    /// The highest level of this processor that the system lets us use.
    pub fn available() -> Self {
        static AVAILABLE: OnceLock<Level> = OnceLock::new();
        *AVAILABLE.get_or_init(detect)
    }

    /// The levels that run on this machine, lowest first.
    pub fn all() -> impl Iterator<Item = Self> {
        LEVELS.into_iter().filter(|&level| level <= Self::available())
    }

    /// Whether it has instructions that multiply bf16 pairs.
    pub fn has_bf16_units(self) -> bool {
        self >= Self::Avx512Bf16
    }

    /// The level that users call so; this processor may not have it.
    pub(super) fn named(name: &str) -> Result<Self, String> {
        LEVELS.into_iter().find(|level| level.name() == name).ok_or_else(|| {
            let names: Vec<&str> = LEVELS.iter().map(|level| level.name()).collect();
            format!("{name:?} is no instruction set; use one of {}", names.join(", "))
        })
    }

    /// As users write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain if cfg!(target_arch = "aarch64") => "neon",
            Self::Plain => "plain",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
            Self::Avx512Bf16 => "avx512-bf16",
            Self::Amx => "amx",
        }
    }
}

impl std::fmt::Display for Level {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.name())
    }
}

/// Compiles a function for each level from one source, and gives it a first argument that selects the one that runs.
///
/// What it calls should be `#[inline(always)]`, so that it is compiled for the level too.
macro_rules! for_each_level {
    ($(#[$attribute:meta])* $visibility:vis fn $name:ident($($argument:ident: $type:ty),* $(,)?) $(-> $result:ty)? $body:block) => {
        $(#[$attribute])*
        $visibility fn $name(level: $crate::engine::cpu::Level, $($argument: $type),*) $(-> $result)? {
            /// `FMA`: whether multiply-adds are instructions.
            #[inline(always)]
            #[allow(clippy::extra_unused_type_parameters, clippy::too_many_arguments)]
            fn body<const FMA: bool>($($argument: $type),*) $(-> $result)? $body

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            fn avx2($($argument: $type),*) $(-> $result)? {
                body::<true>($($argument),*)
            }

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")]
            fn avx512($($argument: $type),*) $(-> $result)? {
                body::<true>($($argument),*)
            }

            match level {
                // SAFETY: only levels whose features the processor has come out of `Level::available` and `Level::all`.
                #[cfg(target_arch = "x86_64")]
                $crate::engine::cpu::Level::Avx2 => unsafe { avx2($($argument),*) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                level if level >= $crate::engine::cpu::Level::Avx512 => unsafe { avx512($($argument),*) },
                _ => body::<{ cfg!(target_arch = "aarch64") }>($($argument),*),
            }
        }
    };
}
pub(crate) use for_each_level;

#[cfg(target_arch = "x86_64")]
fn detect() -> Level {
    macro_rules! has {
        ($($feature:tt)*) => { $(std::arch::is_x86_feature_detected!($feature))&&* };
    }
    if !has!("avx2" "fma") {
        Level::Plain
    } else if !has!("avx512f" "avx512bw" "avx512dq" "avx512vl") {
        Level::Avx2
    } else if !has!("avx512bf16" "avx512vnni") {
        Level::Avx512
    } else if !crate::engine::cpu::gemm::amx::available() {
        Level::Avx512Bf16
    } else {
        Level::Amx
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn detect() -> Level {
    Level::Plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_named_and_ordered() {
        for level in LEVELS {
            assert_eq!(Level::named(level.name()), Ok(level));
        }
        assert!(LEVELS.is_sorted());
        assert!(Level::named("avx").unwrap_err().contains("avx512-bf16"));
        assert_eq!(Level::all().last(), Some(Level::available()));
    }
}
