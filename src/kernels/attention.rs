//! Attention over packed segments with grouped heads: two products and a softmax for each span and key head.
//!
//! A score is one product over `head_dim`, and a value is summed in blocks of keys at fixed positions; keys that a query
//! does not see add exact zeros. So a query's result is the same to the bit whether its prompt's beginning stands in a
//! segment of its own or not, and however many queries are computed with it.

use std::ops::Range;

use candle_core::{CpuStorage, CustomOp3, Device, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::precision::{Precision, f32_slice};

/// The largest head. Up to here gemm sums a score in one run, whatever the other dimensions; beyond, a score would depend
/// on how many are computed with it.
pub const MAX_HEAD_DIM: usize = 512;
/// Keys are summed in blocks of so many; gemm sums that many in one run, whatever the other dimensions.
const KEY_BLOCK: usize = 256;
/// Scores are held for so many query positions at once.
const QUERY_BLOCK: usize = 64;
/// Rows and columns are padded to multiples of this, clear of gemm's shortcuts for small products (see `product`).
const PADDING: usize = 32;

/// Which keys a query sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attend {
    /// Those up to its own position: a span's queries are the last positions of its keys.
    Causal,
    /// All of its span.
    Everything,
}

/// Consecutive queries that look at the same keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttentionSpan {
    /// Rows of the queries.
    pub queries: Range<usize>,
    /// Rows of the keys and values, in the order of their positions.
    pub keys: Vec<Range<usize>>,
}

/// The shape of the heads. Query head `h` uses key head `h / (query / key)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heads {
    /// Query heads; a multiple of the key heads.
    pub query: usize,
    /// Key and value heads.
    pub key: usize,
    /// Features of a head.
    pub head_dim: usize,
}

/// Who looks at whom, and how.
#[derive(Clone, Debug)]
pub struct Attention {
    /// The queries' spans, ascending; together they cover every query.
    pub spans: Vec<AttentionSpan>,
    /// Which keys of its span a query sees.
    pub attend: Attend,
    /// The shape of the heads.
    pub heads: Heads,
    /// To what the operands of both products are rounded.
    pub precision: Precision,
}

impl Attention {
    /// `softmax(q · kᵀ / √head_dim) · v` for every head.
    ///
    /// `queries (queries, query heads · head_dim)`, `keys` and `values (tokens, key heads · head_dim)`, all f32; the
    /// result has the shape of the queries.
    ///
    /// # Errors
    /// If a shape doesn't fit.
    pub fn forward(&self, queries: &Tensor, keys: &Tensor, values: &Tensor) -> Result<Tensor> {
        let round = |tensor| self.precision.round_tensor(tensor);
        round(queries)?.apply_op3_no_bwd(&round(keys)?, &round(values)?, self)
    }

    /// One span, one key head: `(queries, query heads of this key head, head_dim)`.
    fn span(&self, span: &AttentionSpan, key_head: usize, [queries, keys, values]: [&[f32]; 3]) -> Result<Vec<f32>> {
        let Heads { query, key, head_dim } = self.heads;
        let group = query / key;
        let key_count: usize = span.keys.iter().map(Range::len).sum();
        let gather = |rows: &[f32]| {
            let mut gathered = Vec::with_capacity(key_count.next_multiple_of(PADDING) * head_dim);
            for row in span.keys.iter().cloned().flatten() {
                gathered.extend_from_slice(&rows[(row * key + key_head) * head_dim..][..head_dim]);
            }
            gathered.resize(gathered.capacity(), 0.);
            Tensor::from_vec(gathered, (key_count.next_multiple_of(PADDING), head_dim), &Device::Cpu)
        };
        let (keys, values) = (gather(keys)?, gather(values)?);

        let mut output = Vec::with_capacity(span.queries.len() * group * head_dim);
        for start in span.queries.clone().step_by(QUERY_BLOCK) {
            let block = start..span.queries.end.min(start + QUERY_BLOCK);
            let mut rows: Vec<f32> = Vec::with_capacity((block.len() * group).next_multiple_of(PADDING) * head_dim);
            for query_row in block.clone() {
                rows.extend_from_slice(
                    &queries[(query_row * query + key_head * group) * head_dim..][..group * head_dim],
                );
            }
            rows.resize(rows.capacity(), 0.);
            let rows =
                Tensor::from_vec(rows, ((block.len() * group).next_multiple_of(PADDING), head_dim), &Device::Cpu)?;
            let visible = |query_row: usize| match self.attend {
                Attend::Causal => key_count - (span.queries.end - 1 - query_row),
                Attend::Everything => key_count,
            };
            let most = visible(block.end - 1);
            let scores = rows.matmul(&keys.narrow(0, 0, most.next_multiple_of(PADDING))?.t()?)?.to_vec2::<f32>()?;
            let seen: Vec<usize> = block.clone().flat_map(|row| std::iter::repeat_n(visible(row), group)).collect();
            output.extend(self.weigh(scores, &seen, &values)?);
        }
        Ok(output)
    }

    /// The softmax of each row's visible scores, times the values. Rows beyond `visible` are padding.
    fn weigh(&self, mut scores: Vec<Vec<f32>>, visible: &[usize], values: &Tensor) -> Result<Vec<f32>> {
        let head_dim = self.heads.head_dim;
        let scale = 1. / (head_dim as f32).sqrt();
        let mut sums = Vec::with_capacity(visible.len());
        for (row, &visible) in scores.iter_mut().zip(visible) {
            let largest = row[..visible].iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let mut sum = 0f64;
            for score in &mut row[..visible] {
                let weight = ((*score - largest) * scale).exp();
                sum += f64::from(weight);
                *score = self.precision.round(weight);
            }
            row[visible..].fill(0.);
            sums.push(sum as f32);
        }
        scores[visible.len()..].iter_mut().for_each(|row| row.fill(0.));

        let (padded, columns) = (scores.len(), scores[0].len());
        let mut output = vec![0f32; visible.len() * head_dim];
        for start in (0..columns).step_by(KEY_BLOCK) {
            let keys = KEY_BLOCK.min(columns - start);
            let weights: Vec<f32> = scores.iter().flat_map(|row| &row[start..start + keys]).copied().collect();
            let weights = Tensor::from_vec(weights, (padded, keys), &Device::Cpu)?;
            let block = weights.matmul(&values.narrow(0, start, keys)?)?.flatten_all()?.to_vec1::<f32>()?;
            output.iter_mut().zip(block).for_each(|(output, value)| *output += value);
        }
        for (row, sum) in output.chunks_exact_mut(head_dim).zip(sums) {
            row.iter_mut().for_each(|value| *value /= sum);
        }
        Ok(output)
    }

    fn check(&self, queries: &Layout, keys: &Layout, values: &Layout) -> Result<()> {
        let Heads { query, key, head_dim } = self.heads;
        let (rows, query_features) = queries.shape().dims2()?;
        let (tokens, key_features) = keys.shape().dims2()?;
        let mut next = 0;
        for span in &self.spans {
            let keys: usize = span.keys.iter().map(Range::len).sum();
            let inside = span.keys.iter().all(|range| range.end <= tokens) && span.queries.len() <= keys;
            if span.queries.start != next || span.queries.is_empty() || !inside {
                bail!("attention: {span:?} does not fit {rows} queries and {tokens} keys");
            }
            next = span.queries.end;
        }
        let features = query_features == query * head_dim && key_features == key * head_dim;
        if next != rows
            || !features
            || head_dim > MAX_HEAD_DIM
            || keys.dims() != values.dims()
            || key == 0
            || !query.is_multiple_of(key)
        {
            bail!("attention: {:?}, {:?} and {:?} for {:?}", queries.dims(), keys.dims(), values.dims(), self.heads);
        }
        Ok(())
    }
}

impl CustomOp3 for Attention {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
        s3: &CpuStorage,
        l3: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        self.check(l1, l2, l3)?;
        let Heads { query, key, head_dim } = self.heads;
        let tensors = [f32_slice(s1, l1)?, f32_slice(s2, l2)?, f32_slice(s3, l3)?];
        let tasks: Vec<(&AttentionSpan, usize)> =
            self.spans.iter().flat_map(|span| (0..key).map(move |key_head| (span, key_head))).collect();
        let results: Vec<Vec<f32>> =
            tasks.par_iter().map(|(span, key_head)| self.span(span, *key_head, tensors)).collect::<Result<_>>()?;

        let mut output = vec![0f32; tensors[0].len()];
        let width = query / key * head_dim;
        for ((span, key_head), result) in tasks.into_iter().zip(results) {
            for (row, values) in span.queries.clone().zip(result.chunks_exact(width)) {
                output[row * query * head_dim + key_head * width..][..width].copy_from_slice(values);
            }
        }
        Ok((CpuStorage::F32(output), l1.shape().clone()))
    }
}

#[cfg(test)]
// One range of keys is what is meant.
#[allow(clippy::single_range_in_vec_init)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition, in f64, key by key.
    fn definition(attention: &Attention, [queries, keys, values]: &[Vec<Vec<f32>>; 3]) -> Vec<Vec<f64>> {
        let Heads { query, key, head_dim } = attention.heads;
        let mut output = vec![vec![0f64; query * head_dim]; queries.len()];
        for span in &attention.spans {
            let rows: Vec<usize> = span.keys.iter().cloned().flatten().collect();
            for (index, row) in span.queries.clone().enumerate() {
                let visible = match attention.attend {
                    Attend::Causal => &rows[..rows.len() - span.queries.len() + index + 1],
                    Attend::Everything => &rows[..],
                };
                for head in 0..query {
                    let at = |feature: usize| head * head_dim + feature;
                    let key_at = |feature: usize| head / (query / key) * head_dim + feature;
                    let score = |other: usize| -> f64 {
                        (0..head_dim)
                            .map(|f| f64::from(queries[row][at(f)]) * f64::from(keys[other][key_at(f)]))
                            .sum::<f64>()
                            / (head_dim as f64).sqrt()
                    };
                    let largest = visible.iter().map(|&other| score(other)).fold(f64::NEG_INFINITY, f64::max);
                    let weights: Vec<f64> = visible.iter().map(|&other| (score(other) - largest).exp()).collect();
                    let sum: f64 = weights.iter().sum();
                    for feature in 0..head_dim {
                        output[row][at(feature)] = visible
                            .iter()
                            .zip(&weights)
                            .map(|(&other, weight)| weight / sum * f64::from(values[other][key_at(feature)]))
                            .sum();
                    }
                }
            }
        }
        output
    }

    fn random(rows: usize, features: usize) -> Tensor {
        Tensor::randn(0f32, 1., (rows, features), &Device::Cpu).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn it_is_softmax_attention(
            prefix in 0usize..90,
            own in proptest::collection::vec(1usize..150, 1..4),
            (key, group) in (1usize..4, 1usize..4),
            head_dim in 1usize..40,
            causal: bool,
        ) {
            let heads = Heads { query: key * group, key, head_dim };
            let tokens = prefix + own.iter().sum::<usize>();
            let mut spans = Vec::new();
            let mut start = prefix;
            if prefix > 0 {
                spans.push(AttentionSpan { queries: 0..prefix, keys: vec![0..prefix] });
            }
            for length in own {
                spans.push(AttentionSpan { queries: start..start + length, keys: vec![0..prefix, start..start + length] });
                start += length;
            }
            let attend = if causal { Attend::Causal } else { Attend::Everything };
            let attention = Attention { spans, attend, heads, precision: Precision::F32 };
            let tensors = [random(tokens, heads.query * head_dim), random(tokens, key * head_dim), random(tokens, key * head_dim)];
            let output = attention.forward(&tensors[0], &tensors[1], &tensors[2])?.to_vec2::<f32>()?;
            let expected = definition(&attention, &tensors.map(|tensor| tensor.to_vec2::<f32>().unwrap()));
            for (row, expected) in output.iter().flatten().zip(expected.iter().flatten()) {
                prop_assert!((f64::from(*row) - expected).abs() < 1e-5, "{} {}", row, expected);
            }
        }

        #[test]
        fn a_query_sees_the_same_through_a_prefix_and_in_one_piece(prefix in 1usize..600, own in 1usize..200, group in 1usize..4, head_dim in prop_oneof![1usize..40, Just(128), Just(MAX_HEAD_DIM)]) {
            let heads = Heads { query: 2 * group, key: 2, head_dim };
            let (tokens, width) = (prefix + own, 2 * head_dim);
            let (queries, keys, values) = (random(tokens, width * group), random(tokens, width), random(tokens, width));
            let run = |spans, queries: &Tensor| {
                Attention { spans, attend: Attend::Causal, heads, precision: Precision::F32 }
                    .forward(queries, &keys, &values)
                    .and_then(|output| output.to_vec2::<f32>())
            };
            let whole = run(vec![AttentionSpan { queries: 0..tokens, keys: vec![0..tokens] }], &queries)?;
            let parts = run(vec![
                AttentionSpan { queries: 0..prefix, keys: vec![0..prefix] },
                AttentionSpan { queries: prefix..tokens, keys: vec![0..prefix, prefix..tokens] },
            ], &queries)?;
            prop_assert_eq!(&whole, &parts);
            let last = AttentionSpan { queries: 0..1, keys: vec![0..prefix, prefix..tokens] };
            let last = run(vec![last], &queries.narrow(0, tokens - 1, 1)?)?;
            prop_assert_eq!(&whole[tokens - 1], &last[0]);
        }
    }
}
