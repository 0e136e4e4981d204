//! The running softmax of streaming attention (Milakov and Gimelshein, 2018): 32 queries side by side, keys below one
//! another, so that nothing is summed across lanes.

use crate::engine::cpu::attention::columns::Visible;
use crate::engine::cpu::gemm::microkernel::{Format, SIDE, WORDS};
use crate::engine::cpu::level::for_each_level;
use crate::engine::cpu::rounding::Rounding;
use crate::engine::cpu::rows::math::{exp2, multiply_add};

/// One value for each of 32 queries.
pub(crate) type Lanes = [f32; SIDE];

/// What is known of 32 queries' scores so far.
pub(crate) struct Softmax {
    /// Largest score.
    most: Lanes,
    /// `−most · scale`
    base: Lanes,
    /// Sum of `2^(score · scale + base)`.
    sum: Lanes,
    /// Scores are multiplied by this, `log₂ e` included.
    scale: f32,
    visible: Visible,
    /// The positions of keys that all queries see.
    all_see: std::ops::Range<usize>,
}

/// In which form weights are handed on.
#[derive(Clone, Copy)]
pub(crate) struct WeightForm {
    pub(crate) format: Format,
    pub(crate) rounding: Rounding,
}

impl Softmax {
    /// Every query sees at least one key.
    pub(crate) fn new(scale: f32, visible: Visible) -> Self {
        let first = visible.first.iter().copied().max().unwrap_or(0) as usize;
        let end = visible.end.iter().copied().min().unwrap_or(0) as usize;
        let all_see = first..end;
        Self { most: [f32::NEG_INFINITY; SIDE], base: [f32::INFINITY; SIDE], sum: [0.; SIDE], scale, visible, all_see }
    }

    #[inline(always)]
    fn step_body<const FMA: bool>(
        &mut self,
        scores: &mut [Lanes],
        first: usize,
        form: WeightForm,
        weights: &mut [u32],
    ) -> Lanes {
        let old = self.most;
        if first < self.all_see.start {
            hide(scores, first, |position, lane| position >= self.visible.first[lane]);
        }
        if first + scores.len() > self.all_see.end {
            let seen = self.all_see.end.saturating_sub(first);
            hide(&mut scores[seen..], first + seen, |position, lane| position < self.visible.end[lane]);
        }
        let mut most = old;
        for scores in scores.iter() {
            for (most, &score) in most.iter_mut().zip(scores) {
                *most = if score > *most { score } else { *most };
            }
        }
        self.most = most;
        let mut factors = [1f32; SIDE];
        if most != old {
            for ((factor, base), &most) in factors.iter_mut().zip(&mut self.base).zip(&most) {
                let new = -most * self.scale;
                // The very difference by which weights from now on are smaller.
                *factor = if *base == new { 1. } else { exp2::<FMA>(new - *base) };
                *base = new;
            }
        }
        let sums = self.weigh::<FMA>(scores, form, weights);
        for ((sum, factor), weights) in self.sum.iter_mut().zip(&factors).zip(&sums) {
            *sum = *sum * factor + weights;
        }
        factors
    }

    /// Returns the sums of the weights.
    #[inline(always)]
    fn weigh<const FMA: bool>(&self, scores: &[Lanes], form: WeightForm, weights: &mut [u32]) -> Lanes {
        let scale = self.scale;
        // A query that has seen no key yet, as its window begins later, weighs all of them 0.
        let base = self.base.map(|base| if base == f32::INFINITY { 0. } else { base });
        let mut sum = [0f32; SIDE];
        let mut weigh = |scores: &Lanes| -> Lanes {
            let mut weights = [0f32; SIDE];
            for lane in 0..SIDE {
                weights[lane] = exp2::<FMA>(multiply_add::<FMA>(scores[lane], scale, base[lane]));
                sum[lane] += weights[lane];
            }
            weights
        };
        // 16 words for each of 16 queries, and then those of the other 16 queries.
        let (halves, _) = weights.as_chunks_mut::<{ WORDS * WORDS }>();
        let keys_per_word = if form.format == Format::Bf16 { 2 } else { 1 };
        for (word, keys) in scores.chunks_exact(keys_per_word).enumerate() {
            let mut words = [0u32; SIDE];
            if keys_per_word == 2 {
                let (first, second) = (weigh(&keys[0]), weigh(&keys[1]));
                for lane in 0..SIDE {
                    // To the nearest bf16; weights are not negative, and on which side a tie falls makes no difference.
                    let bits = |weight: f32| weight.to_bits().wrapping_add(0x8000);
                    words[lane] = bits(first[lane]) >> 16 | bits(second[lane]) & 0xffff_0000;
                }
            } else {
                let values = weigh(&keys[0]);
                for lane in 0..SIDE {
                    words[lane] = form.rounding.round(values[lane]).to_bits();
                }
            }
            let (step, word) = (word / WORDS, word % WORDS);
            halves[2 * step][word * WORDS..][..WORDS].copy_from_slice(&words[..WORDS]);
            halves[2 * step + 1][word * WORDS..][..WORDS].copy_from_slice(&words[WORDS..]);
        }
        sum
    }

    /// By what the weighted sums must be multiplied at the end.
    pub(crate) fn finish(&self) -> Lanes {
        self.sum.map(|sum| 1. / sum)
    }
}

/// Lowers the scores of keys that are not seen, from position `first` on.
#[inline(always)]
fn hide(scores: &mut [Lanes], first: usize, sees: impl Fn(u32, usize) -> bool) {
    for (key, scores) in scores.iter_mut().enumerate() {
        let position = (first + key) as u32;
        for (lane, score) in scores.iter_mut().enumerate() {
            *score = if sees(position, lane) { *score } else { f32::NEG_INFINITY };
        }
    }
}

for_each_level! {
/// Turns the scores of keys from position `first` on (a multiple of 32 of them) into weights, in blocks of the right operand.
/// Returns by how much what was summed before must be multiplied.
pub(crate) fn step(softmax: &mut Softmax, scores: &mut [Lanes], first: usize, form: WeightForm, weights: &mut [u32]) -> Lanes {
    softmax.step_body::<FMA>(scores, first, form, weights)
}
}
