//! The product of gates and ups that is activated at once, alone on an emulated GPU, against its definition in f64.

use half::{bf16, f16};
use rerank::engine::gpu::{GATE_ROWS, Gpu, Rows, Type};

use crate::emulated::Emulated;

/// A matrix row by row.
struct Matrix {
    width: usize,
    values: Vec<f32>,
}

impl Matrix {
    /// Values of a few bits, which are numbers of bf16 and of f16.
    fn new(rows: usize, width: usize, seed: usize) -> Self {
        let values = (0..rows * width).map(|index| ((index * 7919 + seed * 131) % 251) as f32 / 128. - 1.);
        Self { width, values: values.collect() }
    }

    fn row(&self, row: usize) -> &[f32] {
        &self.values[row * self.width..][..self.width]
    }
}

fn narrow(value: f32, kind: Type) -> u16 {
    if kind == Type::Bf16 { bf16::from_f32(value).to_bits() } else { f16::from_f32(value).to_bits() }
}

fn widen(bits: u16, kind: Type) -> f64 {
    if kind == Type::Bf16 { bf16::from_bits(bits).to_f64() } else { f16::from_bits(bits).to_f64() }
}

/// The bits of the results of the first rows of the left matrix.
fn multiply(gpu: &Gpu, (left, rows): (&Matrix, usize), [gates, ups]: [&Matrix; 2]) -> Vec<u16> {
    let inputs = left.width;
    let features = gates.values.len() / inputs;
    let upload = |values: &[f32]| {
        let bits: Vec<u16> = values.iter().map(|value| narrow(*value, gpu.value())).collect();
        let mut memory = gpu.memory(2 * bits.len()).unwrap();
        memory.upload(bytemuck::cast_slice(&bits)).unwrap();
        memory
    };
    let left = upload(&left.values[..rows * inputs]);
    let mut weight = gpu.weight(2 * features, inputs).unwrap();
    for row in (0..features).step_by(GATE_ROWS) {
        for (part, matrix) in [gates, ups].into_iter().enumerate() {
            let values = &matrix.values[row * inputs..][..GATE_ROWS * inputs];
            let bits: Vec<u16> = values.iter().map(|value| narrow(value / 16., gpu.value())).collect();
            weight.fill(2 * row + part * GATE_ROWS, bytemuck::cast_slice(&bits)).unwrap();
        }
    }
    let results = upload(&vec![f32::NAN; rows * features]);
    gpu.multiply_gated(Rows::new(&left, rows, inputs), &weight, Rows::new(&results, rows, features)).unwrap();
    let mut bits = vec![0u16; rows * features];
    results.download(bytemuck::cast_slice_mut(&mut bits)).unwrap();
    bits
}

fn expected(left: &[f32], gate: &[f32], up: &[f32]) -> f64 {
    let product = |weights: &[f32]| -> f64 {
        left.iter().zip(weights).map(|(left, weight)| f64::from(*left) * f64::from(*weight) / 16.).sum()
    };
    let gate = product(gate);
    gate / (1. + (-gate).exp()) * product(up)
}

#[test]
fn every_row_is_right_and_the_same_in_every_batch() {
    for (kind, tolerance, inputs, features) in [
        // Tiles of the left and the right edge, more steps than stages, and the last of them not whole.
        (Type::Bf16, 4e-3, 392, 136),
        // Fewer features than a tile, and fewer inputs than a step.
        (Type::F16, 5e-4, 40, 24),
    ] {
        let gpu = Gpu::new(Emulated::hopper(1 << 30), kind);
        assert!(gpu.has_gated(inputs, features));
        // Two clusters' rows: the last block has none.
        let rows = 300;
        let (left, gates, ups) =
            (Matrix::new(rows, inputs, 1), Matrix::new(features, inputs, 2), Matrix::new(features, inputs, 3));
        let all = multiply(&gpu, (&left, rows), [&gates, &ups]);
        for (index, bits) in all.iter().enumerate() {
            let (row, feature) = (index / features, index % features);
            let (expected, result) =
                (expected(left.row(row), gates.row(feature), ups.row(feature)), widen(*bits, kind));
            assert!((result - expected).abs() <= tolerance * (1. + expected.abs()), "{result}, not {expected}");
        }
        for rows in [1, 129] {
            assert_eq!(multiply(&gpu, (&left, rows), [&gates, &ups]), all[..rows * features]);
        }
    }
}

#[test]
fn shapes_that_do_not_fit_copies_of_tiles_have_another_way() {
    let gpu = |value, hopper| Gpu::new(if hopper { Emulated::hopper(1 << 30) } else { Emulated::new(1 << 30) }, value);
    assert!(gpu(Type::Bf16, true).has_gated(96, 104));
    for (value, hopper, inputs, features) in [
        (Type::Bf16, true, 100, 104),
        (Type::Bf16, true, 96, 100),
        (Type::F32, true, 96, 104),
        (Type::F16, false, 96, 104),
    ] {
        assert!(!gpu(value, hopper).has_gated(inputs, features), "{value:?}, {hopper}, {inputs}, {features}");
    }
}
