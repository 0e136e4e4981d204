//! The left operand of a product, in blocks (see [`crate::engine::cpu::gemm::microkernel`]): a tile's activations, rounded and packed once for all
//! the products that read them.

use std::ops::Range;

use crate::engine::cpu::gemm::microkernel::{BLOCK, Format, SIDE, WORDS, left_sign};
use crate::engine::cpu::gemm::panels::{Features, PANEL, Panels};
use crate::engine::cpu::level::{Level, for_each_level};
use crate::engine::cpu::memory::Buffer;
use crate::engine::cpu::rounding::{Rounding, bf16_bits};
use crate::engine::cpu::rows::math::row_by_row;

/// Steps that a kernel runs through before it turns to the next rows: 1,024 bytes of each row. Whole numbers of a row have a scale for
/// each run.
pub(crate) const RUN: usize = 16;

/// `[32 rows][step]` of blocks.
#[derive(Default)]
pub struct Operand {
    words: Buffer<u32>,
    /// Of whole numbers: what a unit is worth, by run of steps and row.
    scales: Buffer<f32>,
    /// Of whole numbers: the largest magnitudes of each row in the run that is packed, lane by lane.
    most: Vec<Most>,
    form: Form,
    rows: usize,
}

/// Bits of a row's largest magnitudes.
type Most = [u32; PANEL];

/// What an operand looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form {
    pub(crate) level: Level,
    pub(crate) format: Format,
    pub(crate) rounding: Rounding,
    /// Steps of each row.
    pub(crate) steps: usize,
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
        if form.format.largest().is_some() {
            self.scales.reserve(form.steps.div_ceil(RUN) * rows);
            self.most.resize(rows, [0; PANEL]);
        }
        (self.form, self.rows) = (form, rows);
    }

    /// Rows, those of padding too.
    pub fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn form(&self) -> Form {
        self.form
    }

    /// The blocks of 32 rows, for some steps.
    #[inline]
    pub(crate) fn blocks(&self, block: usize, steps: Range<usize>) -> &[u32] {
        let start = block * self.form.steps;
        &self.words[(start + steps.start) * BLOCK..(start + steps.end) * BLOCK]
    }

    /// The scales of a run of steps, one for each row.
    pub(crate) fn scales(&self, run: usize) -> &[f32] {
        &self.scales[run * self.rows..][..self.rows]
    }

    /// Whether panels can be packed one by one: not where a scale depends on several.
    pub fn packs_single_panels(&self) -> bool {
        self.form.format.largest().is_none()
    }

    /// Packs `value · row scale · feature scale` of the panels, and zeros behind them.
    ///
    /// `row_scales` has one value for each row (or is empty: ones), `feature_scales` one for each feature (or is empty).
    pub fn pack(&mut self, panels: &Panels<'_>, row_scales: &[f32], feature_scales: &[f32]) {
        assert_eq!(panels.rows(), self.rows);
        let level = self.form.level;
        let scales = |panel: usize| Scales {
            rows: row_scales,
            features: feature_scales.as_chunks::<PANEL>().0.get(panel).unwrap_or(&[1.; PANEL]),
        };
        if let Some(whole) = self.form.format.largest() {
            let of_run = RUN * self.form.format.step() / PANEL;
            for start in (0..panels.count()).step_by(of_run) {
                let run = start..panels.count().min(start + of_run);
                self.most.fill([0; PANEL]);
                for panel in run.clone() {
                    largest(level, panels.panel(panel), scales(panel).features, &mut self.most);
                }
                self.pack_run((run, start / of_run), panels, scales, whole);
            }
        } else {
            (0..panels.count()).for_each(|panel| self.pack_panel(panel, panels.panel(panel), scales(panel)));
        }
        self.fill(panels.count());
    }

    /// Packs the panels of a run of whole numbers whose largest magnitudes are known, and become `whole`.
    fn pack_run<'a>(
        &mut self,
        (run, index): (Range<usize>, usize),
        panels: &Panels<'_>,
        scales: impl Fn(usize) -> Scales<'a>,
        whole: f32,
    ) {
        let units = &mut self.scales[index * self.rows..][..self.rows];
        let mut inverses = vec![0f32; self.rows];
        for (row, ((unit, inverse), most)) in units.iter_mut().zip(&mut inverses).zip(&self.most).enumerate() {
            let most = most.iter().fold(0, |most, &bits| most.max(bits));
            let scale = scales(run.start).row(row);
            *unit = f32::from_bits(most) * scale / whole;
            *inverse = if *unit == 0. { 0. } else { scale / *unit };
        }
        for panel in run {
            self.pack_integers(panel, panels.panel(panel), scales(panel).features, &inverses);
        }
    }

    fn pack_integers(&mut self, panel: usize, values: &[Features], features: &Features, scales: &[f32]) {
        let Form { level, format, steps, .. } = self.form;
        let words = Words { words: &mut self.words, steps, sign: left_sign(level) };
        match format {
            Format::Int16 => pack_int16(level, words, panel, values, features, scales),
            _ => pack_int8(level, words, panel, values, features, scales),
        }
    }

    /// Packs one panel, as it is. [`Operand::fill`] must be called after the last.
    pub fn pack_single(&mut self, panel: usize, values: &[Features]) {
        assert!(self.packs_single_panels());
        self.pack_panel(panel, values, Scales { rows: &[], features: &[1.; PANEL] });
    }

    /// Puts zeros behind so many panels, up to whole steps.
    pub fn fill(&mut self, panels: usize) {
        let end = (self.form.steps * self.form.format.step()).div_ceil(PANEL);
        if panels < end {
            let zeros = vec![[0.; PANEL]; self.rows];
            (panels..end)
                .for_each(|panel| self.pack_panel(panel, &zeros, Scales { rows: &[], features: &[0.; PANEL] }));
        }
    }

    /// Puts zeros behind so many features, up to the end of their step.
    pub fn clear_after(&mut self, features: usize) {
        let step = features / self.form.format.step();
        if step < self.form.steps {
            let mut words = Words { words: &mut self.words, steps: self.form.steps, sign: 0 };
            (0..self.rows).for_each(|row| words.of(row, step).fill(0));
        }
    }

    /// Packs 16 features of a row, as they are; `start` is a multiple of 16.
    #[inline(always)]
    pub(crate) fn put_sixteen(&mut self, row: usize, start: usize, values: &[f32; 16]) {
        let Form { format, rounding, steps, .. } = self.form;
        let mut words = Words { words: &mut self.words, steps, sign: 0 };
        if format == Format::Bf16 {
            let mut halves = [0u16; 16];
            for (half, value) in halves.iter_mut().zip(values) {
                *half = bf16_bits(*value);
            }
            let packed: [u32; 8] = bytemuck::cast(halves);
            words.of(row, start / 32).as_chunks_mut::<8>().0[start / 16 % 2] = packed;
        } else {
            for (word, value) in words.of(row, start / WORDS).iter_mut().zip(values) {
                *word = rounding.round(*value).to_bits();
            }
        }
    }

    fn pack_panel(&mut self, panel: usize, values: &[Features], scales: Scales<'_>) {
        let Form { level, format, rounding, steps } = self.form;
        assert!(values.len() == self.rows && (scales.rows.is_empty() || scales.rows.len() == self.rows));
        let words = Words { words: &mut self.words, steps, sign: left_sign(level) };
        match format {
            Format::Bf16 => pack_bf16(level, words, panel, values, scales),
            Format::F32 | Format::F32ByBf16 => pack_f32(level, words, panel, values, &scales, rounding),
            // Only zeros are packed without a run.
            Format::Int8 | Format::Int16 => {
                let zeros = vec![0.; self.rows];
                self.pack_integers(panel, values, scales.features, &zeros);
            }
        }
    }
}

/// By what a panel's values are multiplied; no rows are ones.
#[derive(Clone, Copy)]
struct Scales<'a> {
    rows: &'a [f32],
    features: &'a Features,
}

impl Scales<'_> {
    #[inline(always)]
    fn row(&self, row: usize) -> f32 {
        if self.rows.is_empty() { 1. } else { self.rows[row] }
    }
}

/// An operand's words, to write.
struct Words<'a> {
    words: &'a mut [u32],
    steps: usize,
    /// Put over each byte of int8.
    sign: u8,
}

impl Words<'_> {
    #[inline(always)]
    fn of(&mut self, row: usize, step: usize) -> &mut [u32; WORDS] {
        let index = (row / SIDE * self.steps + step) * SIDE + row % SIDE;
        &mut self.words.as_chunks_mut::<WORDS>().0[index]
    }
}

for_each_level! {
fn pack_bf16(words: Words<'_>, panel: usize, values: &[Features], scales: Scales<'_>) {
    let mut words = words;
    for (row, values) in values.iter().enumerate() {
        row_by_row();
        let scale = scales.row(row);
        let mut halves = [0u16; PANEL];
        for ((half, value), feature) in halves.iter_mut().zip(values).zip(scales.features) {
            *half = bf16_bits(value * scale * feature);
        }
        *words.of(row, panel) = bytemuck::cast(halves);
    }
}
}

for_each_level! {
fn pack_f32(words: Words<'_>, panel: usize, values: &[Features], scales: &Scales<'_>, rounding: Rounding) {
    let mut words = words;
    for (row, values) in values.iter().enumerate() {
        row_by_row();
        let scale = scales.row(row);
        let mut rounded = [0u32; PANEL];
        for ((word, value), feature) in rounded.iter_mut().zip(values).zip(scales.features) {
            *word = rounding.round(value * scale * feature).to_bits();
        }
        for (step, rounded) in (2 * panel..words.steps).zip(rounded.as_chunks::<WORDS>().0) {
            *words.of(row, step) = *rounded;
        }
    }
}
}

for_each_level! {
fn pack_int8(words: Words<'_>, panel: usize, values: &[Features], features: &Features, scales: &[f32]) {
    let mut words = words;
    for ((row, values), scale) in values.iter().enumerate().zip(scales) {
        row_by_row();
        let mut bytes = [0u8; PANEL];
        for ((byte, value), feature) in bytes.iter_mut().zip(values).zip(features) {
            *byte = nearest(value * feature * scale) as u8 ^ words.sign;
        }
        let bytes: [u32; WORDS / 2] = bytemuck::cast(bytes);
        words.of(row, panel / 2)[panel % 2 * (WORDS / 2)..][..WORDS / 2].copy_from_slice(&bytes);
    }
}
}

for_each_level! {
fn pack_int16(words: Words<'_>, panel: usize, values: &[Features], features: &Features, scales: &[f32]) {
    let mut words = words;
    for ((row, values), scale) in values.iter().enumerate().zip(scales) {
        row_by_row();
        let mut halves = [0u16; PANEL];
        for ((half, value), feature) in halves.iter_mut().zip(values).zip(features) {
            *half = nearest(value * feature * scale) as u16;
        }
        *words.of(row, panel) = bytemuck::cast(halves);
    }
}
}

for_each_level! {
/// Raises `most` to the bits of the largest magnitudes of each row. As whole numbers, bits of magnitudes are in the order of
/// the magnitudes, and those of a NaN are above all.
fn largest(values: &[Features], features: &Features, most: &mut [Most]) {
    for (values, most) in values.iter().zip(most) {
        row_by_row();
        for ((most, value), feature) in most.iter_mut().zip(values).zip(features) {
            *most = (*most).max((value * feature).abs().to_bits());
        }
    }
}
}

/// The nearest whole number, ties to even, of a value from −2,047 to 2,047, in the lowest 16 bits.
#[inline(always)]
pub(crate) fn nearest(value: f32) -> u32 {
    // Added to so large a number, the fraction is rounded away; the lowest bits hold the rest.
    const LARGE: f32 = 12_582_912.;
    (value + LARGE).to_bits()
}
