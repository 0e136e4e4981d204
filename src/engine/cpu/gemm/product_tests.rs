//! Products at every level that this machine has, against their definition in f64.

use candle_core::DType;
use half::{bf16, f16};
use proptest::prelude::*;

use crate::checkpoint::StoredRows;
use crate::engine::cpu::gemm::microkernel::{BLOCK, Format, Kernel, Run, SIDE};
use crate::engine::cpu::{Arithmetic, Level, Linear, Operand, PANEL, Panels, Source, Squares, gate};
use crate::model::Activation;
use crate::precision::Precision;

/// Values from −1 to 1, always the same for a seed.
fn values(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 23) as f32 - 1.
    };
    (0..count).map(|_| next()).collect()
}

fn rounded(value: f32, precision: Precision) -> f64 {
    f64::from(match precision {
        Precision::F32 | Precision::Int8 | Precision::Int16 => value,
        Precision::Bf16 | Precision::Fp8 => bf16::from_f32(value).to_f32(),
        Precision::F16 => f16::from_f32(value).to_f32(),
    })
}

/// The panels of `rows` rows of `features` values each, filled up with zeros.
fn in_panels(rows: &[f32], features: usize) -> (Vec<f32>, usize) {
    let padded = (rows.len() / features).next_multiple_of(SIDE);
    let mut panels = vec![0f32; features.div_ceil(PANEL) * padded * PANEL];
    for (index, value) in rows.iter().enumerate() {
        let (row, feature) = (index / features, index % features);
        panels[(feature / PANEL * padded + row) * PANEL + feature % PANEL] = *value;
    }
    (panels, padded)
}

struct Case {
    rows: Vec<f32>,
    weights: Vec<f32>,
    inputs: usize,
    outputs: usize,
}

impl Case {
    fn new(rows: usize, inputs: usize, outputs: usize) -> Self {
        Self { rows: values(rows * inputs, 1), weights: values(outputs * inputs, 2), inputs, outputs }
    }

    /// By row and output. `add` is what stood there before.
    fn run(&self, arithmetic: Arithmetic, dtype: DType, add: Option<f32>) -> Vec<Vec<f32>> {
        let bytes: Vec<u8> = match dtype {
            DType::BF16 => self.weights.iter().flat_map(|value| bf16::from_f32(*value).to_le_bytes()).collect(),
            DType::F16 => self.weights.iter().flat_map(|value| f16::from_f32(*value).to_le_bytes()).collect(),
            _ => self.weights.iter().flat_map(|value| value.to_le_bytes()).collect(),
        };
        let sources: Vec<Source> = (0..self.outputs).map(|row| Some((0, row))).collect();
        let linear =
            Linear::new(&[&StoredRows { dtype, bytes: &bytes, inputs: self.inputs }], &sources, arithmetic).unwrap();
        let (mut panels, rows) = in_panels(&self.rows, self.inputs);
        let panels = Panels::new(&mut panels, rows);
        let mut operand = Operand::default();
        operand.reshape(linear.form(), rows);
        operand.pack(&panels, &[], &[]);
        let mut results = vec![add.unwrap_or(f32::NAN); linear.panels() * rows * PANEL];
        let mut results = Panels::new(&mut results, rows);
        let mut done = 0;
        match add {
            None => linear.forward(&operand, 0..linear.panels(), &mut results),
            Some(_) => {
                linear.add(&operand, 0, &mut results, |_| done += 1);
                assert_eq!(done, linear.panels());
            }
        }
        let value = |row: usize, output: usize| results.panel(output / PANEL)[row][output % PANEL];
        let row = |row: usize| (0..self.outputs).map(|output| value(row, output)).collect();
        (0..self.rows.len() / self.inputs).map(row).collect()
    }

    fn expected(&self, row: usize, output: usize, precision: Precision) -> f64 {
        let (row, output) = (&self.rows[row * self.inputs..], &self.weights[output * self.inputs..]);
        let product = |input: usize| rounded(row[input], precision) * rounded(output[input], precision);
        (0..self.inputs).map(product).sum()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn linear_layers_multiply(
        rows in prop_oneof![Just(1usize), Just(17), 1usize..100],
        inputs in 1usize..1500,
        outputs in 1usize..100,
        add in proptest::option::of(Just(0.5f32)),
    ) {
        let case = Case::new(rows, inputs, outputs);
        for level in Level::all() {
            for precision in Precision::ON_CPU {
                for arithmetic in Arithmetic::all(level, precision) {
                let results = case.run(arithmetic, DType::F32, add);
                // A byte has 7 bits: an error of 1/254 of the largest value for each of two operands. Numbers of 12 bits have 11.
                let of_value = match precision {
                    Precision::Int8 => 1.5e-2,
                    Precision::Int16 => 1.5e-2 / 16.,
                    _ => 3e-6,
                };
                let tolerance = of_value * (inputs as f64).sqrt() + 1e-6;
                for row in [0, rows / 2, rows - 1] {
                    for (output, value) in results[row].iter().enumerate() {
                        let expected = case.expected(row, output, precision) + f64::from(add.unwrap_or(0.));
                        prop_assert!((f64::from(*value) - expected).abs() < tolerance, "{arithmetic:?}: {value} {expected}");
                    }
                }
                }
            }
        }
    }

    #[test]
    fn a_row_is_the_same_alone_and_among_others(rows in 2usize..200, inputs in 1usize..1200, row in any::<prop::sample::Index>()) {
        let case = Case::new(rows, inputs, 40);
        let row = row.index(rows);
        let alone = Case { rows: case.rows[row * inputs..(row + 1) * inputs].to_vec(), weights: case.weights.clone(), ..case };
        for level in Level::all() {
            for precision in Precision::ON_CPU {
                for arithmetic in Arithmetic::all(level, precision) {
                prop_assert_eq!(&case.run(arithmetic, DType::F32, None)[row], &alone.run(arithmetic, DType::F32, None)[0]);
                }
            }
        }
    }

    #[test]
    fn whole_numbers_are_multiplied_alike_at_every_level(rows in 1usize..50, inputs in 1usize..2500, outputs in 1usize..50) {
        let case = Case::new(rows, inputs, outputs);
        for precision in [Precision::Int8, Precision::Int16] {
            let plain = case.run(Arithmetic::new(Level::Plain, precision), DType::BF16, None);
            for level in Level::all() {
                let results = case.run(Arithmetic::new(level, precision), DType::BF16, None);
                prop_assert_eq!(&results, &plain, "{} {:?}", level, precision);
            }
        }
    }

    #[test]
    fn a_product_goes_on_over_runs(steps in proptest::collection::vec(1usize..5, 1..5), add: bool) {
        let all: usize = steps.iter().sum();
        for level in Level::all() {
            for format in [Format::F32, Format::F32ByBf16, Format::Bf16, Format::Int8, Format::Int16] {
                if format == Format::Bf16 && level < Level::Avx512Bf16 {
                    continue;
                }
                let kernel = Kernel::new(level, format);
                kernel.prepare();
                let word = |value: &f32| value.to_bits();
                let left: Vec<u32> = values(all * BLOCK, 3).iter().map(word).collect();
                let right: Vec<u8> = values(all * format.right_bytes() / 4, 4).iter().flat_map(|value| value.to_le_bytes()).collect();
                let (mut whole, mut parts) = (vec![0u32; SIDE * SIDE], vec![0u32; SIDE * SIDE]);
                kernel.multiply(&left, &right, &mut whole, add, right.as_ptr());
                let mut rest = &left[..];
                let runs: Vec<Run> = steps.iter().map(|steps| {
                    let (run, others) = rest.split_at(steps * BLOCK);
                    rest = others;
                    Run::new(run)
                }).collect();
                // SAFETY: the runs are parts of `left`.
                unsafe { kernel.multiply_runs(&runs, &right, &mut parts, add, right.as_ptr()) };
                prop_assert_eq!(&whole, &parts, "{} {:?}", level, format);
            }
        }
    }
}

#[test]
fn narrow_checkpoints_are_read_exactly() {
    let case = Case::new(5, 77, 33);
    for dtype in [DType::BF16, DType::F16] {
        for level in Level::all() {
            let results = case.run(Arithmetic::new(level, Precision::F32), dtype, None);
            let weight = |value: f32| {
                if dtype == DType::BF16 { bf16::from_f32(value).to_f64() } else { f16::from_f32(value).to_f64() }
            };
            for (row, values) in results.iter().enumerate() {
                for (output, value) in values.iter().enumerate() {
                    let (row, output) = (&case.rows[row * 77..], &case.weights[output * 77..]);
                    let expected: f64 = (0..77).map(|input| f64::from(row[input]) * weight(output[input])).sum();
                    assert!((f64::from(*value) - expected).abs() < 1e-5, "{level} {dtype:?}: {value} {expected}");
                }
            }
        }
    }
}

#[test]
fn sums_of_the_largest_whole_numbers_fit() {
    // All products of a run are the largest that there are, of one sign.
    for sign in [1., -1.] {
        let case = Case { rows: vec![sign; 2 * 1500], weights: vec![1.; 1500], inputs: 1500, outputs: 1 };
        for level in Level::all() {
            for precision in [Precision::Int8, Precision::Int16] {
                let [first, second] = case.run(Arithmetic::new(level, precision), DType::F32, None).try_into().unwrap();
                for value in [first[0], second[0]] {
                    assert!((value - sign * 1500.).abs() < 1e-3, "{level} {precision:?}: {value}");
                }
            }
        }
    }
}

#[test]
fn what_is_not_finite_is_not_lost() {
    for bad in [f32::NAN, f32::INFINITY] {
        let mut case = Case::new(3, 100, 10);
        case.rows[150] = bad;
        for level in Level::all() {
            for precision in Precision::ON_CPU {
                for arithmetic in Arithmetic::all(level, precision) {
                    let results = case.run(arithmetic, DType::F32, None);
                    let finite = |row: usize| results[row].iter().all(|value| value.is_finite());
                    assert_eq!([finite(0), finite(1), finite(2)], [true, false, true], "{arithmetic:?} {bad}");
                }
            }
        }
    }
}

#[test]
fn rows_are_normalized_and_activated() {
    let rows = values(50 * 70, 5);
    for level in Level::all() {
        let (mut panels, padded) = in_panels(&rows, 70);
        let panels = Panels::new(&mut panels, padded);
        let mut squares = Squares::default();
        squares.clear(padded);
        squares.add_all(&panels, level);
        for (row, scale) in squares.scales(70, 1e-3, level).iter().take(50).enumerate() {
            let mean = rows[row * 70..(row + 1) * 70].iter().map(|value| f64::from(value * value)).sum::<f64>() / 70.;
            assert!((f64::from(*scale) * (mean + 1e-3).sqrt() - 1.).abs() < 1e-6, "{level}");
        }
        let (mut wide, padded) = in_panels(&values(40 * 64, 6).iter().map(|value| value * 90.).collect::<Vec<_>>(), 64);
        let wide = Panels::new(&mut wide, padded);
        let mut results = vec![0f32; padded * PANEL];
        let mut results = Panels::new(&mut results, padded);
        gate(level, Activation::Silu, &wide, &mut results);
        for row in 0..40 {
            for lane in 0..PANEL {
                let (gate, up) = (f64::from(wide.panel(0)[row][lane]), f64::from(wide.panel(1)[row][lane]));
                let expected = gate / (1. + (-gate).exp()) * up;
                let value = f64::from(results.panel(0)[row][lane]);
                assert!((value - expected).abs() <= 1e-5 * expected.abs() + 1e-30, "{level}: {value} {expected}");
            }
        }
    }
}
