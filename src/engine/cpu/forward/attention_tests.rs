//! Attention on batches laid out as the decoder does, at every level that this machine has, against its definition in f64.

use std::ops::Range;

use proptest::prelude::*;

use super::tiles::Layout;
use crate::batch::{Batch, Segment};
use crate::engine::cpu::{Arithmetic, Attended, Attention, KeyValues, Level, PANEL, Panels, Sight};
use crate::model::{Heads, Mask};
use crate::precision::Precision;

/// Queries, keys and values, by token and feature.
struct Tensors {
    heads: Heads,
    queries: Vec<Vec<f32>>,
    keys: Vec<Vec<f32>>,
    values: Vec<Vec<f32>>,
}

fn random(rows: usize, features: usize, seed: u64) -> Vec<Vec<f32>> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 22) as f32 - 2.
    };
    (0..rows).map(|_| (0..features).map(|_| next()).collect()).collect()
}

impl Tensors {
    fn new(tokens: usize, heads: Heads) -> Self {
        let [queries, keys] = [heads.query, heads.key].map(|count| count * heads.head_dim);
        Self {
            heads,
            queries: random(tokens, queries, 1),
            keys: random(tokens, keys, 2),
            values: random(tokens, keys, 3),
        }
    }

    /// The definition for one query head of one token, which sees `seen` tokens.
    fn expected(&self, token: usize, head: usize, seen: &[usize], scale: f64) -> Vec<f64> {
        let Heads { head_dim, .. } = self.heads;
        let query = &self.queries[token][head * head_dim..][..head_dim];
        let key_head = head / self.heads.group();
        let of =
            |rows: &[Vec<f32>], token: usize, feature: usize| f64::from(rows[token][key_head * head_dim + feature]);
        let score = |other: usize| -> f64 {
            let product: f64 =
                (0..head_dim).map(|feature| f64::from(query[feature]) * of(&self.keys, other, feature)).sum();
            product * scale
        };
        let scores: Vec<f64> = seen.iter().map(|&other| score(other)).collect();
        let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let weights: Vec<f64> = scores.iter().map(|score| (score - most).exp()).collect();
        let sum: f64 = weights.iter().sum();
        let value = |feature: usize| -> f64 {
            weights.iter().zip(seen).map(|(weight, &other)| weight / sum * of(&self.values, other, feature)).sum()
        };
        (0..head_dim).map(value).collect()
    }

    /// Panels of one head of some tokens.
    fn panels(rows: &[Vec<f32>], head: usize, heads: Heads) -> Vec<f32> {
        let padded = rows.len().next_multiple_of(PANEL);
        let mut panels = vec![0f32; heads.panels() * padded * PANEL];
        for (row, values) in rows.iter().enumerate() {
            for (feature, value) in values[head * heads.head_dim..][..heads.head_dim].iter().enumerate() {
                panels[(feature / PANEL * padded + row) * PANEL + feature % PANEL] = *value;
            }
        }
        panels
    }

    /// The results of all tokens, computed in tiles of so many.
    fn run(&self, batch: &Batch, arithmetic: Arithmetic, sight: Sight, tile: usize) -> Vec<Vec<f32>> {
        let layout = Layout::new(batch);
        let stores = self.stores(&layout, arithmetic);
        let tokens = batch.token_ids.len();
        let ranges = (0..tokens).step_by(tile).map(|start| start..tokens.min(start + tile));
        ranges.flat_map(|range| self.attend((batch, &layout), range, &stores, sight)).collect()
    }

    /// The keys and values of all tokens.
    fn stores(&self, layout: &Layout, arithmetic: Arithmetic) -> KeyValues {
        let (heads, tokens) = (self.heads, self.keys.len());
        let mut stores = KeyValues::new(heads, arithmetic);
        stores.clear(layout.blocks);
        let writing = stores.write();
        let padded = tokens.next_multiple_of(PANEL);
        for head in 0..heads.key {
            let mut keys = Self::panels(&self.keys, head, heads);
            writing.put_keys(head, &Panels::new(&mut keys, padded), &layout.slots);
            let mut values = Self::panels(&self.values, head, heads);
            writing.put_values(head, &Panels::new(&mut values, padded), &layout.slots);
        }
        stores
    }

    /// The results of some tokens, computed in one tile.
    fn attend(
        &self,
        (batch, layout): (&Batch, &Layout),
        range: Range<usize>,
        stores: &KeyValues,
        sight: Sight,
    ) -> Vec<Vec<f32>> {
        let (heads, padded) = (self.heads, range.len().next_multiple_of(PANEL));
        let features = heads.query * heads.head_dim;
        let mut attention = Attention::new(stores, sight);
        let mut memory = vec![f32::NAN; features.next_multiple_of(PANEL) * padded];
        let mut panels = Panels::new(&mut memory, padded);
        let spans = layout.spans(batch, &range);
        for key_head in 0..heads.key {
            let group = key_head * heads.group()..(key_head + 1) * heads.group();
            let mut queries: Vec<f32> =
                group.flat_map(|head| Self::panels(&self.queries[range.clone()], head, heads)).collect();
            let queries = Panels::new(&mut queries, padded);
            attention.forward(&queries, &spans, key_head, stores, &mut Attended::Panels(&mut panels));
        }
        let value = |row: usize, feature: usize| panels.panel(feature / PANEL)[row][feature % PANEL];
        (0..range.len()).map(|row| (0..features).map(|feature| value(row, feature)).collect()).collect()
    }
}

/// A prefix of so many tokens, if any, and segments that continue it.
fn batch(prefix: usize, own: &[usize]) -> Batch {
    let mut batch = Batch::default();
    let mut push = |length: usize, first: usize, continues| {
        let start = batch.token_ids.len();
        batch.token_ids.extend(std::iter::repeat_n(0, length));
        batch.positions.extend((first as u32..).take(length));
        batch.segments.push(Segment { tokens: start..start + length, continues, pair: None });
    };
    if prefix > 0 {
        push(prefix, 0, None);
    }
    own.iter().for_each(|&length| push(length, prefix, (prefix > 0).then_some(0)));
    batch
}

fn heads() -> impl Strategy<Value = Heads> {
    let head_dim = prop_oneof![Just(128usize), Just(64), Just(16), Just(48), (1usize..40).prop_map(|half| 2 * half)];
    (1usize..4, 1usize..5, head_dim).prop_map(|(key, group, head_dim)| Heads { query: key * group, key, head_dim })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn it_is_softmax_attention(
        prefix in 0usize..90,
        own in proptest::collection::vec(1usize..150, 1..4),
        heads in heads(),
        causal: bool,
        window in proptest::option::of(0usize..200),
        sharpness in 0.5f64..1.5,
        tile in 1usize..300,
    ) {
        let batch = batch(prefix, &own);
        let tensors = Tensors::new(batch.token_ids.len(), heads);
        let mask = if causal { Mask::Causal } else { Mask::Bidirectional };
        let sight = Sight { mask, window, scale: heads.usual_scale() * sharpness };
        for level in Level::all() {
            for (precision, tolerance) in [(Precision::F32, 1e-5), (Precision::Bf16, 0.03), (Precision::F16, 4e-3)] {
                for arithmetic in Arithmetic::all(level, precision) {
                let results = tensors.run(&batch, arithmetic, sight, tile);
                for (index, segment) in batch.segments.iter().enumerate() {
                    let history: Vec<usize> = batch.history(index).into_iter().flatten().collect();
                    for token in [segment.tokens.start, segment.tokens.end - 1] {
                        let position = batch.positions[token] as usize;
                        let end = if causal { position + 1 } else { history.len() };
                        let near = |other: &usize| window.is_none_or(|window| other.abs_diff(position) <= window);
                        let seen: Vec<usize> = (0..end).filter(near).map(|other| history[other]).collect();
                        for head in 0..heads.query {
                            let expected = tensors.expected(token, head, &seen, sight.scale);
                            let values = &results[token][head * heads.head_dim..];
                            for (value, expected) in values.iter().zip(&expected) {
                                let difference = (f64::from(*value) - expected).abs();
                                // Scores are off by their rounding times the scale.
                                prop_assert!(difference < tolerance * sharpness.max(1.), "{arithmetic:?}: {value} {expected}");
                            }
                        }
                    }
                }
                }
            }
        }
    }

    #[test]
    fn a_query_sees_the_same_through_a_prefix_in_one_piece_and_in_any_tile(
        prefix in 1usize..400,
        own in 1usize..200,
        heads in heads(),
        window in proptest::option::of(0usize..400),
        tiles in (1usize..300, 1usize..300),
    ) {
        let tokens = prefix + own;
        let tensors = Tensors::new(tokens, heads);
        let sight = Sight { mask: Mask::Causal, window, scale: heads.usual_scale() };
        for level in Level::all() {
            for precision in [Precision::F32, Precision::Bf16] {
                for arithmetic in Arithmetic::all(level, precision) {
                let whole = tensors.run(&batch(0, &[tokens]), arithmetic, sight, tiles.0);
                let parts = tensors.run(&batch(prefix, &[own]), arithmetic, sight, tiles.1);
                prop_assert_eq!(&whole, &parts, "{:?}", arithmetic);
                }
            }
        }
    }
}

/// Keys that all count about the same, and values that add up. Operands are bf16, so that none but weights are rounded.
fn flat(tokens: usize, heads: Heads) -> Tensors {
    let mut tensors = Tensors::new(tokens, heads);
    tensors.queries.iter_mut().flatten().for_each(|value| *value *= 0.1);
    tensors.values.iter_mut().flatten().for_each(|value| *value = 1. + 0.1 * *value);
    let rows = [&mut tensors.queries, &mut tensors.keys, &mut tensors.values].into_iter().flatten();
    rows.flatten().for_each(|value| *value = half::bf16::from_f32(*value).to_f32());
    tensors
}

/// A first key that counts so much more than any other that none of them shows in an f32 beside it. Together they count.
fn peaked(tokens: usize, heads: Heads) -> Tensors {
    let mut tensors = flat(tokens, heads);
    tensors.queries.iter_mut().flatten().for_each(|value| *value = 1.);
    tensors.keys.iter_mut().flatten().for_each(|value| *value /= 128.);
    tensors.keys[0].fill(17. / (heads.head_dim as f32).sqrt());
    tensors.values[0].fill(-1.);
    tensors
}

#[test]
fn long_documents_are_summed_as_exactly_as_short_ones() {
    const TOKENS: usize = 8192;
    let heads = Heads { query: 2, key: 1, head_dim: 64 };
    let batch = batch(0, &[TOKENS]);
    let layout = Layout::new(&batch);
    let all = Level::all().flat_map(|level| Precision::ON_CPU.map(|precision| (level, precision)));
    let all: Vec<Arithmetic> = all.flat_map(|(level, precision)| Arithmetic::all(level, precision)).collect();
    // In f32 the peaked keys of the first chunk alone still lose digits beside the first of them.
    for (tensors, exact, rounded) in [(flat(TOKENS, heads), 1e-6, 1e-3), (peaked(TOKENS, heads), 1e-5, 3e-4)] {
        let seen: Vec<usize> = (0..TOKENS).collect();
        let sight = Sight { mask: Mask::Causal, window: None, scale: heads.usual_scale() };
        for &arithmetic in &all {
            let tolerance = match arithmetic.precision {
                Precision::F32 | Precision::Int16 => exact,
                Precision::F16 => 3e-4,
                Precision::Bf16 | Precision::Int8 | Precision::Fp8 => rounded,
            };
            let stores = tensors.stores(&layout, arithmetic);
            for range in [0..40, 4080..4120, TOKENS - 70..TOKENS] {
                let results = tensors.attend((&batch, &layout), range.clone(), &stores, sight);
                for (token, result) in [(range.start, results.first()), (range.end - 1, results.last())] {
                    let expected = tensors.expected(token, 1, &seen[..=token], heads.usual_scale());
                    for (value, expected) in result.unwrap()[heads.head_dim..].iter().zip(expected) {
                        let difference = (f64::from(*value) - expected).abs();
                        assert!(difference < tolerance, "{arithmetic:?} {token}: {value} {expected}");
                    }
                }
            }
        }
    }
}
