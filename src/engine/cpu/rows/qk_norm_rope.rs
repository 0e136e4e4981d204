//! What happens to the heads of queries and keys between their product and attention: RMSNorm of each head (Qwen3; most models
//! have none), then rotary position embedding (Su et al., 2021) in the half-split layout of GPT-NeoX: feature `i` of a head turns together
//! with feature `i + head_dim / 2`.

use crate::engine::cpu::Level;
use crate::engine::cpu::gemm::panels::{PANEL, Panels};
use crate::engine::cpu::level::for_each_level;
use crate::engine::cpu::rows::math::row_by_row;
use crate::engine::cpu::rows::rms_norm::Squares;
use crate::model::{Heads, Rotary};

impl Heads {
    /// Panels of a head; its last one is filled up with zeros.
    pub(crate) fn panels(self) -> usize {
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
    /// The tables of a rotary embedding, which reach nowhere yet.
    pub fn new(rotary: Rotary) -> Self {
        Self { frequencies: rotary.frequencies(), cosines: Vec::new(), sines: Vec::new() }
    }

    /// Cosines and sines, `(positions, head_dim / 2)` each, as far as they reach.
    pub fn tables(&self) -> [&[f32]; 2] {
        [&self.cosines, &self.sines]
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
pub struct QkNormRope<'a> {
    /// RMSNorm's weight, `head_dim` values; ones where there is no norm.
    pub weight: &'a [f32],
    /// RMSNorm's ε, if there is a norm.
    pub epsilon: Option<f32>,
    /// The angles, reaching to all positions.
    pub rope: &'a Rope,
}

impl QkNormRope<'_> {
    /// Normalizes and rotates each row of one head's panels; `positions` are those of the first rows, the others are padding.
    pub fn apply(&self, head: &mut Panels<'_>, positions: &[u32], level: Level) {
        let scales = match self.epsilon {
            None => vec![1.; head.rows()],
            Some(epsilon) => {
                let mut squares = Squares::default();
                squares.clear(head.rows());
                squares.add_all(head, level);
                squares.scales(self.weight.len(), epsilon, level)
            }
        };
        if (self.weight.len() / 2).is_multiple_of(PANEL) {
            rotate_panels(level, *self, head, positions, &scales);
        } else {
            rotate_rows(level, *self, head, positions, &scales);
        }
    }
}

for_each_level! {
/// Where features that rotate together are in the same place of different panels.
fn rotate_panels(operation: QkNormRope<'_>, head: &mut Panels<'_>, positions: &[u32], scales: &[f32]) {
    let half = operation.weight.len() / 2;
    let (weights, _) = operation.weight.as_chunks::<PANEL>();
    let (count, rows) = (half / PANEL, head.rows());
    let (first, second) = head.rows_mut().split_at_mut(count * rows);
    for panel in 0..count {
        let (first, second) = (&mut first[panel * rows..][..rows], &mut second[panel * rows..][..rows]);
        let (first_weight, second_weight) = (&weights[panel], &weights[count + panel]);
        for (((first, second), &position), scale) in first.iter_mut().zip(second).zip(positions).zip(scales) {
            row_by_row();
            let start = position as usize * half + panel * PANEL;
            let (Some(cosines), Some(sines)) =
                (operation.rope.cosines[start..].first_chunk::<PANEL>(), operation.rope.sines[start..].first_chunk::<PANEL>())
            else {
                unreachable!("the angles reach every position of a batch")
            };
            for lane in 0..PANEL {
                let real = first[lane] * (scale * first_weight[lane]);
                let imaginary = second[lane] * (scale * second_weight[lane]);
                first[lane] = real * cosines[lane] - imaginary * sines[lane];
                second[lane] = imaginary * cosines[lane] + real * sines[lane];
            }
        }
    }
}
}

for_each_level! {
/// Heads of any length.
fn rotate_rows(operation: QkNormRope<'_>, head: &mut Panels<'_>, positions: &[u32], scales: &[f32]) {
    let features = operation.weight.len();
    let half = features / 2;
    let mut values = vec![0f32; head.count() * PANEL];
    for ((row, &position), scale) in positions.iter().enumerate().zip(scales) {
        for (panel, values) in values.as_chunks_mut::<PANEL>().0.iter_mut().enumerate() {
            *values = head.panel(panel)[row];
        }
        for (value, weight) in values.iter_mut().zip(operation.weight) {
            *value *= scale * weight;
        }
        let start = position as usize * half;
        let (cosines, sines) = (&operation.rope.cosines[start..start + half], &operation.rope.sines[start..start + half]);
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
}
