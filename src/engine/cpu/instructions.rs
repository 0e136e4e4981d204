//! What the environment forces: a level of instructions, and the units of bf16 products.

use crate::engine::cpu::arithmetic::{Unit, Units};
use crate::engine::cpu::level::Level;
use crate::engine::cpu::measure::Measured;

/// Forces what is chosen otherwise: `LEVEL`, `products=UNIT` and `attention=UNIT`, joined by slashes. What
/// [`super::Arithmetic::kernel_class`] returns of a run in bf16 can be put there as it is.
pub const VARIABLE: &str = "RERANK_INSTRUCTIONS";

/// The level that is used, and the units that the user insists on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instructions {
    /// The level.
    pub level: Level,
    /// The unit of linear layers, if it is forced.
    pub products: Option<Unit>,
    /// The unit of attention, if it is forced.
    pub attention: Option<Unit>,
}

impl Instructions {
    /// The highest level, or what the environment variable `RERANK_INSTRUCTIONS` forces.
    ///
    /// # Errors
    /// A sentence, if that can't be understood or is not available.
    pub fn from_environment() -> Result<Self, String> {
        let forced = std::env::var_os(VARIABLE).unwrap_or_default();
        Self::parse(&forced.to_string_lossy(), Level::available()).map_err(|problem| format!("{VARIABLE}: {problem}"))
    }

    fn parse(forced: &str, available: Level) -> Result<Self, String> {
        let (mut level, mut products, mut attention) = (None, None, None);
        for part in forced.split('/').filter(|_| !forced.is_empty()) {
            let is_new = match part.split_once('=') {
                None => level.replace(Level::named(part)?).is_none(),
                Some(("products", unit @ ("int8" | "int16"))) => {
                    return Err(format!("products={unit} is what --dtype {unit} computes; leave it out"));
                }
                Some(("products", unit)) => products.replace(parse_unit(unit)?).is_none(),
                Some(("attention", unit)) => attention.replace(parse_unit(unit)?).is_none(),
                Some((name, _)) => return Err(format!("{name:?} is no choice; use products= or attention=")),
            };
            if !is_new {
                return Err(format!("{forced:?} makes one choice twice"));
            }
        }
        let level = level.unwrap_or(available);
        if level > available {
            return Err(format!("this machine has no {level}; its best is {available}"));
        }
        if [products, attention].contains(&Some(Unit::Bf16)) && !level.has_bf16_units() {
            return Err(format!("{level} has no instructions for products of bf16; use f32"));
        }
        Ok(Self { level, products, attention })
    }

    /// What is open here as it was in a run with this class of kernels, as far as the processor has that: a measurement could
    /// decide otherwise.
    pub fn as_in(self, class: &str) -> Self {
        let open = class.replace("/products=int8", "").replace("/products=int16", "");
        let Ok(earlier) = Self::parse(&open, Level::available()) else { return self };
        let level = if self.level == Level::available() { earlier.level } else { self.level };
        if level != earlier.level {
            return self;
        }
        Self { level, products: self.products.or(earlier.products), attention: self.attention.or(earlier.attention) }
    }

    /// Whether a measurement would decide anything.
    pub fn is_open(self) -> bool {
        self.level.has_bf16_units() && (self.products.is_none() || self.attention.is_none())
    }

    /// The units that run: those that are forced, else the one that is faster in linear layers.
    pub fn units(self, measured: Option<Measured>) -> Units {
        let faster = measured.map_or(Unit::F32, |measured| measured.products.faster());
        Units { products: self.products.unwrap_or(faster), attention: self.attention.unwrap_or(faster) }
    }
}

fn parse_unit(name: &str) -> Result<Unit, String> {
    let unit = [Unit::Bf16, Unit::F32].into_iter().find(|unit| unit.name() == name);
    unit.ok_or_else(|| format!("{name:?} is no unit; use bf16 or f32"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::engine::cpu::measure::Times;

    #[test]
    fn a_level_and_units_are_forced() {
        use Level::{Amx, Avx2, Avx512Bf16};
        let is = |level, products, attention| Ok(Instructions { level, products, attention });
        for (forced, available, expected) in [
            ("", Amx, is(Amx, None, None)),
            ("avx2", Amx, is(Avx2, None, None)),
            ("products=f32", Amx, is(Amx, Some(Unit::F32), None)),
            ("attention=bf16/avx512-bf16", Amx, is(Avx512Bf16, None, Some(Unit::Bf16))),
            ("avx512-bf16/products=bf16/attention=f32", Avx512Bf16, is(Avx512Bf16, Some(Unit::Bf16), Some(Unit::F32))),
            ("avx2/products=f32", Avx2, is(Avx2, Some(Unit::F32), None)),
        ] {
            assert_eq!(Instructions::parse(forced, available), expected, "{forced}");
        }
    }

    #[test]
    fn a_run_that_is_resumed_has_the_kernels_that_it_had() {
        let best = Level::available();
        let open = Instructions { level: best, products: None, attention: None };
        let forced = Instructions { level: Level::Plain, products: None, attention: Some(Unit::F32) };
        assert_eq!(
            open.as_in("plain/products=f32/attention=f32"),
            Instructions { level: Level::Plain, products: Some(Unit::F32), attention: Some(Unit::F32) }
        );
        assert_eq!(open.as_in(&format!("{best}/products=int8/attention=f32")).products, None);
        assert_eq!(open.as_in("cuda"), open);
        assert_eq!(forced.as_in("plain/products=f32/attention=f32").products, Some(Unit::F32));
        if best != Level::Plain {
            assert_eq!(forced.as_in(&format!("{best}/products=f32/attention=f32")), forced);
        }
    }

    #[test]
    fn attention_takes_the_unit_that_is_faster_in_linear_layers() {
        let measured = |bf16, f32| {
            let [bf16, f32] = [bf16, f32].map(Duration::from_micros);
            Some(Measured { products: Times { bf16, f32 }, took: Duration::ZERO })
        };
        let open = Instructions { level: Level::Avx512Bf16, products: None, attention: None };
        assert_eq!(open.units(measured(16, 31)), Units::both(Unit::Bf16));
        assert_eq!(open.units(measured(122, 99)), Units::both(Unit::F32));
        let forced = Instructions { products: Some(Unit::Bf16), ..open };
        assert_eq!(forced.units(measured(122, 99)), Units { products: Unit::Bf16, attention: Unit::F32 });
    }

    #[test]
    fn what_can_not_be_had_is_refused_by_name() {
        for (forced, named) in [
            ("mmx", "avx512-bf16"),
            ("amx", "its best is avx512-bf16"),
            ("avx2/products=bf16", "avx2 has no instructions"),
            ("avx512-bf16/products=int8", "--dtype int8"),
            ("avx512-bf16/softmax=f32", "softmax"),
            ("attention=f16", "f16"),
            ("avx2/avx512", "twice"),
            ("products=f32/products=f32", "twice"),
            ("avx2/", "\"\""),
        ] {
            let problem = Instructions::parse(forced, Level::Avx512Bf16).unwrap_err();
            assert!(problem.contains(named), "{forced}: {problem}");
        }
    }
}
