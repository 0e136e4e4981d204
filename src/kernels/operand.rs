//! The left operand of a product, in blocks (see [`super::block`]): a tile's activations, rounded and packed once for all
//! the products that read them.

use super::block::{BLOCK, Format, SIDE, WORDS};
use super::level::{Level, for_each_level};
use super::memory::Buffer;
use super::panels::{Features, PANEL, Panels};
use super::precision::{Rounding, bf16_bits};

/// Steps that a kernel runs through before it turns to the next rows: 1,024 bytes of each row.
pub(super) const RUN: usize = 16;

/// `[32 rows][step]` of blocks.
#[derive(Default)]
pub struct Operand {
    words: Buffer<u32>,
    /// Of int8: what a byte's unit is worth, by run of steps and row.
    scales: Buffer<f32>,
    form: Form,
    rows: usize,
}

/// What an operand looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form {
    pub(super) level: Level,
    pub(super) format: Format,
    pub(super) rounding: Rounding,
    /// Steps of each row.
    pub(super) steps: usize,
}

impl Default for Form {
    fn default() -> Self {
        Self { level: Level::Plain, format: Format::F32, rounding: Rounding::None, steps: 0 }
    }
}

impl Form {
    /// The same for rows of so many values.
    pub fn of(self, values: usize) -> Self {
        Self { steps: self.format.steps(values), ..self }
    }
}

impl Operand {
    /// Makes room for `rows` rows, a multiple of 32. What a row does not fill must be filled with zeros.
    pub fn reshape(&mut self, form: Form, rows: usize) {
        assert!(rows.is_multiple_of(SIDE));
        self.words.reserve(rows / SIDE * form.steps * BLOCK);
        if form.format == Format::Int8 {
            self.scales.reserve(form.steps.div_ceil(RUN) * rows);
        }
        (self.form, self.rows) = (form, rows);
    }

    /// Rows, those of padding too.
    pub fn rows(&self) -> usize {
        self.rows
    }

    pub(super) fn form(&self) -> Form {
        self.form
    }

    /// The blocks of 32 rows, for some steps.
    #[inline]
    pub(super) fn blocks(&self, block: usize, steps: std::ops::Range<usize>) -> &[u32] {
        let start = block * self.form.steps;
        &self.words[(start + steps.start) * BLOCK..(start + steps.end) * BLOCK]
    }

    /// The scales of a run of steps, one for each row.
    pub(super) fn scales(&self, run: usize) -> &[f32] {
        &self.scales[run * self.rows..][..self.rows]
    }

    /// Packs `value · row scale · feature scale` of the panels, and zeros behind them.
    ///
    /// `row_scales` has one value for each row (or is empty: ones), `feature_scales` one for each feature (or is empty).
    pub fn pack(&mut self, panels: &Panels<'_>, row_scales: &[f32], feature_scales: &[f32]) {
        assert_eq!(panels.rows(), self.rows);
        pack(self.form.level, self, panels, row_scales, feature_scales);
    }
}

for_each_level! {
    fn pack(operand: &mut Operand, panels: &Panels<'_>, row_scales: &[f32], feature_scales: &[f32]) {
        let ones = [1f32; PANEL];
        let features = |panel: usize| -> &Features {
            feature_scales.as_chunks::<PANEL>().0.get(panel).unwrap_or(&ones)
        };
        let row_scale = |row: usize| row_scales.get(row).copied().unwrap_or(1.);
        let Form { format, rounding, steps, .. } = operand.form;
        // Panels that fill the steps to the end; those behind the last are zeros.
        let all = (steps * format.step()).div_ceil(PANEL);
        let zeros = [[0f32; PANEL]];
        for panel in 0..all {
            let inside = panel < panels.count();
            let values = |row: usize| -> &Features {
                if inside { &panels.panel(panel)[row] } else { &zeros[0] }
            };
            match format {
                Format::Bf16 => {
                    for row in 0..operand.rows {
                        let (values, scale, features) = (values(row), row_scale(row), features(panel));
                        let mut halves = [0u16; PANEL];
                        for ((half, value), feature) in halves.iter_mut().zip(values).zip(features) {
                            *half = bf16_bits(value * scale * feature);
                        }
                        let words: [u32; WORDS] = bytemuck::cast(halves);
                        *row_words(&mut operand.words, steps, row, panel) = words;
                    }
                }
                Format::F32 | Format::F32ByBf16 => {
                    for row in 0..operand.rows {
                        let (values, scale, features) = (values(row), row_scale(row), features(panel));
                        let mut words = [0u32; PANEL];
                        for ((word, value), feature) in words.iter_mut().zip(values).zip(features) {
                            *word = rounding.round(value * scale * feature).to_bits();
                        }
                        let (words, _) = words.as_chunks::<WORDS>();
                        for (half, words) in words.iter().enumerate() {
                            if 2 * panel + half < steps {
                                *row_words(&mut operand.words, steps, row, 2 * panel + half) = *words;
                            }
                        }
                    }
                }
                Format::Int8 => {
                    let run = panel / (2 * RUN);
                    if panel.is_multiple_of(2 * RUN) {
                        let end = panels.count().min(panel + 2 * RUN);
                        let scales = &mut operand.scales[run * operand.rows..][..operand.rows];
                        largest(panels, panel.min(end)..end, feature_scales, scales);
                        for (row, scale) in scales.iter_mut().enumerate() {
                            *scale *= row_scale(row) / 127.;
                        }
                    }
                    for row in 0..operand.rows {
                        let scale = operand.scales[run * operand.rows + row];
                        let scale = if scale == 0. { 0. } else { row_scale(row) / scale };
                        let (values, features) = (values(row), features(panel));
                        let mut bytes = [0i8; PANEL];
                        for ((byte, value), feature) in bytes.iter_mut().zip(values).zip(features) {
                            *byte = to_byte(value * feature * scale);
                        }
                        let words: [u32; WORDS / 2] = bytemuck::cast(bytes);
                        row_words(&mut operand.words, steps, row, panel / 2)[panel % 2 * 8..][..8].copy_from_slice(&words);
                    }
                }
            }
        }
    }
}

/// The largest magnitude of each row in some panels.
#[inline(always)]
fn largest(panels: &Panels<'_>, range: std::ops::Range<usize>, feature_scales: &[f32], results: &mut [f32]) {
    let ones = [1f32; PANEL];
    results.fill(0.);
    for panel in range {
        let features = feature_scales.as_chunks::<PANEL>().0.get(panel).unwrap_or(&ones);
        for (values, result) in panels.panel(panel).iter().zip(results.iter_mut()) {
            let (mut most, mut poison) = ([0f32; 16], [0f32; 16]);
            for half in 0..2 {
                for lane in 0..16 {
                    let value = (values[half * 16 + lane] * features[half * 16 + lane]).abs();
                    most[lane] = if value > most[lane] { value } else { most[lane] };
                    // Stays zero unless a value is not finite; a comparison alone would lose a NaN.
                    poison[lane] += value * 0.;
                }
            }
            let most = most.iter().fold(*result, |most, &value| if value > most { value } else { most });
            *result = most + poison.iter().sum::<f32>();
        }
    }
}

/// The nearest whole number from −127 to 127, ties to even.
#[inline(always)]
pub(super) fn to_byte(value: f32) -> i8 {
    // Added to so large a number, the fraction is rounded away; the lowest bits hold the rest.
    const LARGE: f32 = 12_582_912.;
    let value = value.clamp(-127., 127.);
    (value + LARGE).to_bits() as i8
}

#[inline(always)]
fn row_words(words: &mut [u32], steps: usize, row: usize, step: usize) -> &mut [u32; WORDS] {
    let index = (row / SIDE * steps + step) * SIDE + row % SIDE;
    &mut words.as_chunks_mut::<WORDS>().0[index]
}
