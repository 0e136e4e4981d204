//! How a run computes: the precision that `--dtype auto` chooses, and the kernels that are fastest on the processor.

use anyhow::Result;

use crate::device::Opened;
use crate::engine::Target;
use crate::engine::cpu::{Arithmetic, Instructions, Level, Measured, Unit, Units, VARIABLE, measure};
use crate::precision::Precision;

/// How a run computes, and why so.
#[derive(Clone, Copy, Debug)]
pub struct Compute {
    /// The precision of products.
    pub precision: Precision,
    instructions: Instructions,
    units: Units,
    /// The speed of instructions for bf16, if a choice needed the measurement.
    measured: Option<Measured>,
    /// The precision of the checkpoint, if that decided the choice.
    stored: Option<Stored>,
}

/// The precision of a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// That in which the weights are stored, or in which they were before they were quantized.
    pub precision: Precision,
    /// Whether they are quantized.
    pub is_quantized: bool,
}

impl Stored {
    /// Weights that are stored one by one in this precision.
    pub const fn whole(precision: Precision) -> Self {
        Self { precision, is_quantized: false }
    }

    /// What `precision` is to the weights: the end of a sentence.
    fn relation(self) -> &'static str {
        if self.is_quantized { "in which quantized weights are computed" } else { "in which the checkpoint is stored" }
    }
}

impl Compute {
    /// Takes the `requested` precision, or else chooses one for the checkpoint, by a measurement where that is needed.
    /// `stored` is the precision of the checkpoint; a model without weights has none.
    ///
    /// # Errors
    /// If the measurement fails.
    pub fn choose(
        device: &Opened,
        instructions: Instructions,
        requested: Option<Precision>,
        stored: Option<Stored>,
    ) -> Result<Self> {
        let on_cpu = matches!(device, Opened::Cpu);
        let stored = stored.filter(|_| on_cpu && requested.is_none());
        let rounds = matches!(requested, Some(Precision::Bf16 | Precision::Int8)) || stored.is_some();
        let measured =
            if on_cpu && rounds && instructions.is_open() { Some(measure(instructions.level)?) } else { None };
        let units = instructions.units(measured);
        let own =
            if on_cpu { automatic(stored.map(|stored| stored.precision), units.products) } else { Precision::Bf16 };
        Ok(Self { precision: requested.unwrap_or(own), instructions, units, measured, stored })
    }

    /// The level of the processor's instructions.
    pub fn level(&self) -> Level {
        self.instructions.level
    }

    /// The device with the precision and the kernels of this run.
    ///
    /// # Errors
    /// If the device has no such precision.
    pub fn target(&self, device: &Opened) -> Result<Target> {
        let Self { precision, units, instructions: Instructions { level, .. }, .. } = *self;
        device.target(Arithmetic { level, units, precision })
    }

    /// The precision that `--dtype auto` chose, the reason, and how to get the other; none if the user named a precision.
    pub fn reason(&self) -> Option<String> {
        let level = self.instructions.level;
        let speedup = self.products_speedup();
        let stored = self.stored?;
        let relation = stored.relation();
        let reason = match (stored.precision, self.precision) {
            (Precision::Bf16, Precision::Bf16) => {
                let why = match speedup {
                    Some(speedup) => format!("and whose products are {speedup:.1} times as fast here as f32's"),
                    None => format!("and whose instructions {VARIABLE} selects"),
                };
                format!("bf16, {relation}, {why}; --dtype f32 rounds nothing")
            }
            (Precision::Bf16, _) => {
                let why = match speedup {
                    Some(speedup) => format!(
                        "because bf16, {relation}, is not clearly faster on this processor ({speedup:.1} times as fast)"
                    ),
                    None if level.has_bf16_units() => format!("because {VARIABLE} selects f32's instructions"),
                    None => format!("because {level} has no instructions for products of bf16"),
                };
                match stored.is_quantized {
                    true => format!("f32, {why}; --dtype bf16 rounds"),
                    false => format!("f32, {why}; --dtype bf16 rounds as the checkpoint does"),
                }
            }
            (Precision::F16, _) => format!(
                "f32, which holds the checkpoint's f16 exactly and is as fast; --dtype f16 rounds activations too{}",
                self.faster_bf16().map(|speedup| format!(", {speedup}")).unwrap_or_default()
            ),
            (precision, _) => {
                let other =
                    self.faster_bf16().unwrap_or_else(|| "--dtype bf16 rounds and is no faster here".to_owned());
                format!("{}, {relation}; {other}", precision.name())
            }
        };
        Some(format!("dtype: {reason}"))
    }

    /// How a run that took long could be faster, as far as that was measured.
    pub fn hint(&self) -> Option<String> {
        let speedup = self.faster_bf16().filter(|_| self.stored.is_some() && self.precision == Precision::F32)?;
        Some(format!("hint: {speedup}"))
    }

    /// The result of the measurement, for users who want every detail.
    pub fn measurement(&self) -> Option<String> {
        let Measured { products, took } = self.measured?;
        Some(format!(
            "measured in {:.1} ms: instructions for bf16 are {:.2} times as fast as those for f32",
            took.as_secs_f64() * 1e3,
            products.speedup()
        ))
    }

    fn faster_bf16(&self) -> Option<String> {
        let speedup = self.products_speedup().filter(|_| self.units.products == Unit::Bf16)?;
        Some(format!("--dtype bf16 multiplies {speedup:.1} times as fast on this processor, and rounds"))
    }

    /// How many times as fast bf16 is as f32 in linear layers, if that decided the choice.
    fn products_speedup(&self) -> Option<f64> {
        let measured = self.measured.filter(|_| self.instructions.products.is_none())?;
        Some(measured.products.speedup())
    }
}

/// What `auto` means on the processor: the checkpoint's own precision where the processor is clearly faster in it than in f32,
/// else f32. It never is in f16, which is multiplied as f32.
fn automatic(stored: Option<Precision>, products: Unit) -> Precision {
    match (stored, products) {
        (Some(Precision::Bf16), Unit::Bf16) => Precision::Bf16,
        _ => Precision::F32,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::engine::cpu::{Level, Times};

    fn compute(precision: Precision, times: Option<(u64, u64)>, products: Option<Unit>) -> Compute {
        let times =
            times.map(|(bf16, f32)| Times { bf16: Duration::from_micros(bf16), f32: Duration::from_micros(f32) });
        let measured = times.map(|times| Measured { products: times, took: times.bf16 });
        let level = if measured.is_none() && products.is_none() { Level::Avx2 } else { Level::Avx512Bf16 };
        let instructions = Instructions { level, products, attention: None };
        let units = instructions.units(measured);
        let stored = Some(Stored::whole(precision));
        Compute {
            precision: automatic(stored.map(|stored| stored.precision), units.products),
            instructions,
            units,
            measured,
            stored,
        }
    }

    #[test]
    fn auto_is_the_checkpoints_precision_where_that_is_clearly_faster() {
        use Precision::{Bf16, F16, F32};
        let (fast, slow) = (Some((16, 31)), Some((122, 99)));
        for (stored, times, forced, precision, expected) in [
            (Bf16, fast, None, Bf16, &["bf16", "1.9 times", "--dtype f32"][..]),
            (Bf16, slow, None, F32, &["f32", "0.8 times", "--dtype bf16"]),
            (Bf16, None, None, F32, &["f32", "avx2", "--dtype bf16"]),
            (Bf16, slow, Some(Unit::Bf16), Bf16, &["bf16", VARIABLE, "--dtype f32"]),
            (Bf16, fast, Some(Unit::F32), F32, &["f32", VARIABLE, "--dtype bf16"]),
            (F32, fast, None, F32, &["f32", "--dtype bf16", "1.9 times"]),
            (F32, slow, None, F32, &["f32", "--dtype bf16", "no faster"]),
            (F16, slow, None, F32, &["f32", "exactly", "--dtype f16"]),
        ] {
            let compute = compute(stored, times, forced);
            let reason = compute.reason().unwrap();
            assert_eq!(compute.precision, precision, "{reason}");
            assert!(expected.iter().all(|part| reason.contains(part)), "{reason}");
        }
    }

    #[test]
    fn a_hint_is_given_only_where_it_is_true() {
        let hint = |stored, times, forced| compute(stored, times, forced).hint();
        assert!(hint(Precision::F32, Some((16, 31)), None).unwrap().contains("bf16 multiplies 1.9 times"));
        assert_eq!(hint(Precision::F32, Some((122, 99)), None), None);
        assert_eq!(hint(Precision::F32, None, None), None);
        assert_eq!(hint(Precision::Bf16, Some((16, 31)), None), None);
        assert_eq!(hint(Precision::Bf16, Some((122, 99)), None), None);
    }

    #[test]
    fn a_precision_that_the_user_named_is_taken() {
        let instructions = Instructions { level: Level::available(), products: None, attention: None };
        for precision in Precision::ON_CPU {
            let chosen =
                Compute::choose(&Opened::Cpu, instructions, Some(precision), Some(Stored::whole(Precision::Bf16)))
                    .unwrap();
            assert_eq!((chosen.precision, chosen.reason(), chosen.hint()), (precision, None, None));
        }
        let chosen = Compute::choose(&Opened::Cpu, instructions, None, None).unwrap();
        assert_eq!((chosen.precision, chosen.reason()), (Precision::F32, None));
    }
}
