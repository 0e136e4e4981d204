//! What happens to the heads of queries and keys between their product and attention: RMSNorm of each head (Qwen3), then
//! rotary position embedding (Su et al., 2021) in the half-split layout of GPT-NeoX: feature `i` of a head turns together
//! with feature `i + head_dim / 2`.

use super::Level;
use super::level::for_each_level;
use super::math::{multiply_add, sum_of_lanes};
use super::panels::{PANEL, Panels};

/// The shape of the heads. Query head `h` uses key head `h / (query / key)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heads {
    /// Query heads; a multiple of the key heads.
    pub query: usize,
    /// Key and value heads.
    pub key: usize,
    /// Features of a head, an even number.
    pub head_dim: usize,
}

impl Heads {
    /// Query heads that look at one key head.
    pub fn group(self) -> usize {
        self.query / self.key
    }

    /// Panels of a head; its last one is filled up with zeros.
    pub fn panels(self) -> usize {
        self.head_dim.div_ceil(PANEL)
    }
}

/// Cosines and sines by position, as far as they were needed.
pub struct Rope {
    frequencies: Vec<f32>,
    /// `(positions, head_dim / 2)`.
    cosines: Vec<f32>,
    sines: Vec<f32>,
}

impl Rope {
    /// For heads of `head_dim` features; `theta` is the base of the frequencies.
    pub fn new(head_dim: usize, theta: f64) -> Self {
        let frequencies = (0..head_dim / 2)
            .map(|pair| 1. / theta.powf(f64::from((2 * pair) as f32 / head_dim as f32)) as f32)
            .collect();
        Self { frequencies, cosines: Vec::new(), sines: Vec::new() }
    }

    /// Makes the table reach to the first `positions` positions.
    ///
    /// The angles are computed in f32 as the reference (transformers) does: at position 30,000 the rounding of
    /// `position · frequency` is visible in the result.
    pub fn reach(&mut self, positions: usize) {
        for position in self.cosines.len() / self.frequencies.len()..positions {
            for frequency in &self.frequencies {
                let (sine, cosine) = f64::from(position as f32 * frequency).sin_cos();
                self.cosines.push(cosine as f32);
                self.sines.push(sine as f32);
            }
        }
    }
}

/// What is done to a head.
#[derive(Clone, Copy)]
pub struct HeadTurn<'a> {
    /// RMSNorm's weight, `head_dim` values.
    pub weight: &'a [f32],
    /// RMSNorm's ε.
    pub epsilon: f32,
    /// The angles, reaching to all positions.
    pub rope: &'a Rope,
}

impl HeadTurn<'_> {
    /// Normalizes and turns each row of one head's panels; `positions` are those of the first rows, the others are padding.
    pub fn apply(&self, head: &mut Panels<'_>, positions: &[u32], level: Level) {
        apply(level, *self, head, positions);
    }
}

for_each_level! {
    fn apply(turn: HeadTurn<'_>, head: &mut Panels<'_>, positions: &[u32]) {
        let features = turn.weight.len();
        // Known to the compiler, the usual length takes half the time.
        if features == 128 && head.count() == 4 {
            let mut values = [0f32; 128];
            return rows::<FMA>(turn, head, positions, &mut values);
        }
        rows::<FMA>(turn, head, positions, &mut vec![0f32; head.count() * PANEL]);
    }
}

#[inline(always)]
fn rows<const FMA: bool>(turn: HeadTurn<'_>, head: &mut Panels<'_>, positions: &[u32], values: &mut [f32]) {
    let features = if values.len() == 128 { 128 } else { turn.weight.len() };
    let half = features / 2;
    for (row, &position) in positions.iter().enumerate() {
        for (panel, values) in values.as_chunks_mut::<PANEL>().0.iter_mut().enumerate() {
            *values = head.panel(panel)[row];
        }
        let mut sums = [0f32; 16];
        for values in values.as_chunks::<16>().0 {
            for (sum, value) in sums.iter_mut().zip(values) {
                *sum = multiply_add::<FMA>(*value, *value, *sum);
            }
        }
        let scale = 1. / (sum_of_lanes(&sums) / features as f32 + turn.epsilon).sqrt();
        for (value, weight) in values[..features].iter_mut().zip(&turn.weight[..features]) {
            *value *= scale * weight;
        }
        let start = position as usize * half;
        let (cosines, sines) = (&turn.rope.cosines[start..start + half], &turn.rope.sines[start..start + half]);
        let (first, second) = values[..features].split_at_mut(half);
        for (((first, second), cosine), sine) in first.iter_mut().zip(second).zip(cosines).zip(sines) {
            let (real, imaginary) = (*first, *second);
            *first = real * cosine - imaginary * sine;
            *second = imaginary * cosine + real * sine;
        }
        for (panel, values) in values.as_chunks::<PANEL>().0.iter().enumerate() {
            head.panel_mut(panel)[row] = *values;
        }
    }
}
