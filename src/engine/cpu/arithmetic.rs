//! How products are computed: on which instructions, with which units where several can do it, and to what operands are
//! rounded.

use candle_core::DType;

use crate::engine::cpu::gemm::microkernel::Format;
use crate::engine::cpu::level::Level;
use crate::precision::Precision;

/// What multiplies operands that are rounded to bf16. The sums differ by rounding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Products of bf16 pairs: AVX-512-BF16 or AMX tiles.
    Bf16,
    /// Fused multiply-adds of f32.
    F32,
}

impl Unit {
    /// As users write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bf16 => "bf16",
            Self::F32 => "f32",
        }
    }
}

/// The units of each kind of product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Units {
    /// Those of linear layers in bf16.
    pub products: Unit,
    /// Those of attention in bf16 and int8.
    pub attention: Unit,
}

impl Units {
    /// The same unit for everything.
    pub const fn both(unit: Unit) -> Self {
        Self { products: unit, attention: unit }
    }
}

/// How products are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arithmetic {
    /// On which instructions.
    pub level: Level,
    /// With which units, where operands are rounded to bf16.
    pub units: Units,
    /// To what operands are rounded.
    pub precision: Precision,
}

impl Arithmetic {
    /// With the level's units of bf16, if it has any.
    pub fn new(level: Level, precision: Precision) -> Self {
        let unit = if level.has_bf16_units() { Unit::Bf16 } else { Unit::F32 };
        Self { level, units: Units::both(unit), precision }
    }

    /// One of each class of kernels that a precision has on a level.
    pub fn all(level: Level, precision: Precision) -> impl Iterator<Item = Self> {
        let units = |count: usize| [Unit::F32, Unit::Bf16].into_iter().take(count);
        let (products, attention) = match precision {
            _ if !level.has_bf16_units() => (1, 1),
            Precision::F32 | Precision::F16 | Precision::Int16 => (1, 1),
            Precision::Int8 => (1, 2),
            Precision::Bf16 | Precision::Fp8 => (2, 2),
        };
        units(products)
            .flat_map(move |products| units(attention).map(move |attention| Units { products, attention }))
            .map(move |units| Self { level, units, precision })
    }

    /// The class of kernels that run: scores of one class and precision are the same to the bit on every machine.
    ///
    /// As in `avx512-bf16/products=bf16/attention=f32`.
    pub fn kernel_class(self) -> String {
        let products = match self.linear(DType::BF16) {
            Format::Int8 => "int8",
            Format::Int16 => "int16",
            Format::Bf16 => "bf16",
            Format::F32 | Format::F32ByBf16 => "f32",
        };
        let attention = if self.attention() == Format::Bf16 { "bf16" } else { "f32" };
        format!("{}/products={products}/attention={attention}", self.level)
    }

    /// The form of a linear layer's operands, for weights that come as `checkpoint`.
    pub(crate) fn linear(self, checkpoint: DType) -> Format {
        match self.precision {
            Precision::Int8 => Format::Int8,
            Precision::Int16 => Format::Int16,
            // The processor has no products of fp8: devices refuse it before a forward is chosen.
            Precision::Bf16 | Precision::Fp8 if self.units.products == Unit::Bf16 => Format::Bf16,
            Precision::Bf16 | Precision::Fp8 => Format::F32ByBf16,
            Precision::F32 if checkpoint == DType::BF16 => Format::F32ByBf16,
            Precision::F32 | Precision::F16 => Format::F32,
        }
    }

    /// The bytes of a packed weight, for weights that come as `checkpoint`.
    pub fn weight_bytes(self, checkpoint: DType) -> usize {
        match self.linear(checkpoint) {
            Format::Int8 => 1,
            Format::Bf16 | Format::F32ByBf16 | Format::Int16 => 2,
            Format::F32 => 4,
        }
    }

    /// The form of attention's operands.
    pub(crate) fn attention(self) -> Format {
        match self.precision {
            Precision::Bf16 | Precision::Int8 | Precision::Fp8 if self.units.attention == Unit::Bf16 => Format::Bf16,
            _ => Format::F32,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_names_what_runs() {
        let class = |level, products, attention, precision| {
            Arithmetic { level, units: Units { products, attention }, precision }.kernel_class()
        };
        use Unit::{Bf16, F32};
        let level = Level::Avx512Bf16;
        for (products, attention, precision, expected) in [
            (Bf16, F32, Precision::Bf16, "avx512-bf16/products=bf16/attention=f32"),
            (F32, Bf16, Precision::Bf16, "avx512-bf16/products=f32/attention=bf16"),
            (Bf16, F32, Precision::Int8, "avx512-bf16/products=int8/attention=f32"),
            (Bf16, Bf16, Precision::Int16, "avx512-bf16/products=int16/attention=f32"),
            (Bf16, Bf16, Precision::F32, "avx512-bf16/products=f32/attention=f32"),
            (Bf16, Bf16, Precision::F16, "avx512-bf16/products=f32/attention=f32"),
        ] {
            assert_eq!(class(level, products, attention, precision), expected);
        }
    }

    #[test]
    fn every_class_is_there_once() {
        for (level, classes) in
            [(Level::Avx2, [1; 5]), (Level::Avx512Bf16, [1, 4, 1, 2, 1]), (Level::Amx, [1, 4, 1, 2, 1])]
        {
            for (precision, count) in Precision::ON_CPU.into_iter().zip(classes) {
                let classes: Vec<String> = Arithmetic::all(level, precision).map(Arithmetic::kernel_class).collect();
                let distinct: std::collections::BTreeSet<&String> = classes.iter().collect();
                assert_eq!((classes.len(), distinct.len()), (count, count), "{level} {precision:?}");
                assert!(distinct.contains(&Arithmetic::new(level, precision).kernel_class()));
            }
        }
    }
}
