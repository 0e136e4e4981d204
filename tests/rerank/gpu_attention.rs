//! Attention alone on an emulated GPU, over thousands of keys, against its definition in f64.

use std::ops::Range;
use std::sync::Arc;

use half::{bf16, f16};
use rerank::engine::gpu::{Attending, Gpu, KeyRange, QueryTile, Rows, Type};
use rerank::model::{Heads, Mask};

use crate::emulated::Emulated;

/// Keys of the prompt.
const KEYS: usize = 8192;
/// Its last positions, whose queries are computed.
const QUERIES: usize = 3;
const HEAD_DIM: usize = 64;
/// Queries, keys and values of a token in a row.
const WIDTH: usize = 3 * HEAD_DIM;

/// Rows of tokens.
type Products = Vec<[f32; WIDTH]>;

/// Keys that all count about the same, and values that add up. All are numbers of bf16, and of f16.
fn flat() -> Products {
    let value = |index: usize, scale: f32| ((index * 7919 % 251) as f32 - 125.) * scale;
    let row = |token: usize| {
        std::array::from_fn(|column| match column / HEAD_DIM {
            0 | 1 => value(token * WIDTH + column, 1. / 512.),
            _ => 1. + value(token * WIDTH + column, 1. / 128.).trunc() / 8.,
        })
    };
    (0..KEYS).map(row).collect()
}

/// A first key that counts so much more than any other that none of them shows in an f32 beside it. Together they count.
fn peaked() -> Products {
    let mut rows = flat();
    for row in &mut rows {
        row[..HEAD_DIM].fill(1.);
        row[HEAD_DIM..2 * HEAD_DIM].iter_mut().for_each(|value| *value /= 128.);
    }
    rows[0][HEAD_DIM..2 * HEAD_DIM].fill(17. / 8.);
    rows[0][2 * HEAD_DIM..].fill(-1.);
    rows
}

/// The definition, for the query of a token that sees so many keys.
fn expected(rows: &Products, token: usize, sees: Range<usize>) -> Vec<f64> {
    let score = |other: usize| -> f64 {
        let product = (0..HEAD_DIM).map(|f| f64::from(rows[token][f]) * f64::from(rows[other][HEAD_DIM + f]));
        product.sum::<f64>() / (HEAD_DIM as f64).sqrt()
    };
    let scores: Vec<f64> = sees.clone().map(score).collect();
    let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = scores.iter().map(|score| (score - most).exp()).collect();
    let sum: f64 = weights.iter().sum();
    let value = |feature: usize| {
        let values = rows[sees.clone()].iter().map(|row| f64::from(row[2 * HEAD_DIM + feature]));
        weights.iter().zip(values).map(|(weight, value)| weight / sum * value).sum()
    };
    (0..HEAD_DIM).map(value).collect()
}

fn bytes(values: impl Iterator<Item = f32>, value: Type) -> Vec<u8> {
    match value {
        Type::F32 => values.flat_map(f32::to_ne_bytes).collect(),
        Type::Bf16 => values.flat_map(|value| bf16::from_f32(value).to_ne_bytes()).collect(),
        Type::F16 => values.flat_map(|value| f16::from_f32(value).to_ne_bytes()).collect(),
    }
}

fn widened(bytes: &[u8], value: Type) -> Vec<f32> {
    match value {
        Type::F32 => bytes.as_chunks().0.iter().map(|bytes| f32::from_ne_bytes(*bytes)).collect(),
        Type::Bf16 => bytes.as_chunks().0.iter().map(|bytes| bf16::from_ne_bytes(*bytes).to_f32()).collect(),
        Type::F16 => bytes.as_chunks().0.iter().map(|bytes| f16::from_ne_bytes(*bytes).to_f32()).collect(),
    }
}

/// Which queries are computed, and how.
struct Call<'a> {
    tiles: &'a [QueryTile],
    /// Where the second of two ranges begins.
    boundary: usize,
    late: bool,
    window: Option<usize>,
}

/// A tile of consecutive queries.
fn tile(queries: Range<usize>) -> QueryTile {
    QueryTile {
        first_row: queries.start as i32,
        rows: queries.len() as i32,
        position: queries.start as i32,
        first_range: 0,
        ranges: 2,
        visible: queries.end as i32,
    }
}

/// The results of all rows, of which those of other queries are no numbers.
fn attend(rows: &Products, device: &Arc<Emulated>, value: Type, call: &Call) -> Vec<f32> {
    let gpu = Gpu::new(device.clone(), value);
    let upload = |bytes: &[u8]| {
        let mut memory = gpu.memory(bytes.len()).unwrap();
        memory.upload(bytes).unwrap();
        memory
    };
    let products = upload(&bytes(rows.iter().flatten().copied(), value));
    let tiles = upload(bytemuck::cast_slice(call.tiles));
    let range = |start: usize, end: usize| KeyRange {
        position: start as i32,
        token: start as i32,
        length: (end - start) as i32,
    };
    let ranges = upload(bytemuck::cast_slice(&[range(0, call.boundary), range(call.boundary, rows.len())]));
    let results = gpu.memory(rows.len() * HEAD_DIM * value.size()).unwrap();
    let queries = Rows::new(&products, rows.len(), WIDTH);
    let (none, all) = (tiles.view(0..0), tiles.view(0..tiles.bytes()));
    let attending = Attending {
        queries,
        keys: queries.from_column(HEAD_DIM),
        values: queries.from_column(2 * HEAD_DIM),
        results: Rows::new(&results, rows.len(), HEAD_DIM),
        tiles: if call.late { none } else { all },
        late_tiles: if call.late { all } else { none },
        ranges: ranges.view(0..ranges.bytes()),
        mask: Mask::Causal,
        window: call.window,
        scale: 1. / (HEAD_DIM as f64).sqrt(),
    };
    // SAFETY: the tiles and ranges are those of the rows that were made above.
    unsafe { gpu.attend(&attending, Heads { query: 1, key: 1, head_dim: HEAD_DIM }).unwrap() };
    let mut found = vec![0; rows.len() * HEAD_DIM * value.size()];
    results.download(&mut found).unwrap();
    widened(&found, value)
}

/// Those of the last queries.
fn attend_last(
    rows: &Products,
    device: &Arc<Emulated>,
    value: Type,
    (late, window): (bool, Option<usize>),
) -> Vec<f32> {
    let first = rows.len() - QUERIES;
    let call = Call { tiles: &[tile(first..rows.len())], boundary: 1000, late, window };
    attend(rows, device, value, &call)[first * HEAD_DIM..].to_vec()
}

/// A GPU on which attention of early or of late queries runs on a kernel.
fn device(kernel: &str) -> Arc<Emulated> {
    if kernel.contains("hopper") { Emulated::hopper(1 << 30) } else { Emulated::new(1 << 30) }
}

/// Some rows see fewer keys than others of their tile, or of their part of it. What there is too much must not show.
#[test]
fn a_query_has_the_same_bits_in_every_tile() {
    // All scores are the same and far from 1, and values alternate between neighbours in bf16: where a query sees as many of one as
    // of the other, the last bit of a sum decides.
    let row = |token: usize| {
        std::array::from_fn(|column| match column / HEAD_DIM {
            0 => 3.,
            1 => 2.125,
            _ => 1. + (column % HEAD_DIM + token % 2) as f32 / 128.,
        })
    };
    let rows: Products = (0..200).map(row).collect();
    // Tiles of keys end at 64 and 128, and a worker's rows at 104.
    let queries = 40..140;
    for kernel in ["attend_bf16_64", "attend_hopper_early_bf16_64", "attend_hopper_late_bf16_64"] {
        let results = |tiles: &[QueryTile]| {
            let device = device(kernel);
            let call = Call { tiles, boundary: 70, late: kernel.contains("late"), window: None };
            let results = attend(&rows, &device, Type::Bf16, &call);
            assert!(device.launched.lock().unwrap().iter().any(|launched| launched == kernel), "{kernel}");
            let bits = results.iter().map(|result| result.to_bits());
            bits.skip(queries.start * HEAD_DIM).take(queries.len() * HEAD_DIM).collect::<Vec<_>>()
        };
        let size = if kernel.contains("hopper") { 128 } else { 64 };
        let together: Vec<_> = queries.clone().step_by(size).map(|at| tile(at..queries.end.min(at + size))).collect();
        let alone: Vec<_> = queries.clone().map(|query| tile(query..query + 1)).collect();
        assert_eq!(results(&together), results(&alone), "{kernel}");
    }
}

#[test]
fn thousands_of_keys_are_summed_as_exactly_as_few() {
    let cases = [flat(), peaked()].map(|rows| {
        let expected: Vec<f64> =
            (KEYS - QUERIES..KEYS).flat_map(|token| expected(&rows, token, 0..token + 1)).collect();
        (rows, expected)
    });
    for (kernel, value, tolerance) in [
        ("attend_plain_f32", Type::F32, 1e-5),
        // The results themselves are rounded to 16 bits, which is more than what is lost in sums.
        ("attend_f16_64", Type::F16, 5e-4),
        ("attend_hopper_early_f16_64", Type::F16, 5e-4),
        ("attend_hopper_late_f16_64", Type::F16, 5e-4),
        ("attend_bf16_64", Type::Bf16, 4e-3),
        ("attend_hopper_late_bf16_64", Type::Bf16, 4e-3),
    ] {
        for (rows, expected) in &cases {
            let device = device(kernel);
            let results = attend_last(rows, &device, value, (kernel.contains("late"), None));
            assert!(device.launched.lock().unwrap().iter().any(|launched| launched == kernel), "{kernel}");
            assert_eq!(results.len(), expected.len());
            for (result, expected) in results.iter().zip(expected) {
                assert!((f64::from(*result) - expected).abs() < tolerance, "{kernel}: {result} {expected}");
            }
        }
    }
}

#[test]
fn what_stands_outside_of_a_window_is_not_read() {
    let mut rows = flat();
    for window in [0, 1, 63, 64, 130] {
        let first = KEYS - QUERIES;
        let expected: Vec<f64> =
            (first..KEYS).flat_map(|token| expected(&rows, token, token - window..token + 1)).collect();
        // Tiles of keys that no query sees.
        let unseen = (first - window) / 64 * 64;
        rows[..unseen].iter_mut().for_each(|row| row[HEAD_DIM..].fill(f32::NAN));
        for (kernel, value, tolerance) in [
            ("attend_plain_f32", Type::F32, 1e-5),
            ("attend_windows_f16_64", Type::F16, 5e-4),
            ("attend_windows_bf16_64", Type::Bf16, 4e-3),
        ] {
            let device = Emulated::hopper(1 << 30);
            let results = attend_last(&rows, &device, value, (false, Some(window)));
            assert_eq!(*device.launched.lock().unwrap(), [kernel]);
            assert_eq!(results.len(), expected.len());
            for (result, expected) in results.iter().zip(&expected) {
                assert!((f64::from(*result) - expected).abs() < tolerance, "{kernel}, {window}: {result} {expected}");
            }
        }
        rows = flat();
    }
}
