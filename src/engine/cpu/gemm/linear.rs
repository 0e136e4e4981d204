//! Linear layers: `y = x · Wᵀ`, without bias, on packed weights.
//!
//! A tile's product goes panel by panel: 32 outputs for all rows, run by run of 1,024 bytes of the inner dimension, so that
//! the weights of a run (32 KiB) stay in the L1 cache while the rows stream past them out of L2. The results of a panel
//! (32 KiB for 256 rows) are handed on before the next is computed.

use std::ops::Range;

use anyhow::{Result, ensure};
use candle_core::DType;

use crate::checkpoint::RowSource;
use crate::engine::cpu::gemm::microkernel::{Format, Kernel, SIDE};
use crate::engine::cpu::gemm::operand::{Form, Operand, RUN};
use crate::engine::cpu::gemm::panels::{Features, Panels};
use crate::engine::cpu::gemm::scales::Scales;
use crate::engine::cpu::gemm::weight::{Packed, Source, pack, runs};
use crate::engine::cpu::level::for_each_level;
use crate::engine::cpu::memory::Buffer;
use crate::engine::cpu::rows::math::row_by_row;
use crate::engine::cpu::{Arithmetic, Level};

/// Steps after which [`Linear::add`] goes through the panels anew: with more, the rows of a tile don't stay in an L2 cache of
/// 2 MiB. A multiple of a run.
const PART: usize = 2 * RUN;

/// A layer's weights, packed once, or anew whenever they are needed.
pub struct Linear {
    weight: Packed,
    kernel: Kernel,
    form: Form,
    outputs: usize,
}

impl Linear {
    /// Packs the outputs that `sources` name, in that order, out of matrices of the same inputs.
    ///
    /// # Errors
    /// If the matrices' inputs or types differ.
    pub fn new(matrices: &[&dyn RowSource], sources: &[Source], arithmetic: Arithmetic) -> Result<Self> {
        let mut linear = Self::unpacked(matrices, sources.len(), arithmetic)?;
        linear.pack(matrices, sources, Buffer::default());
        Ok(linear)
    }

    /// A layer of so many outputs that can't be multiplied with until [`Linear::pack`] has packed them.
    ///
    /// # Errors
    /// If the matrices' inputs differ.
    pub fn unpacked(matrices: &[&dyn RowSource], outputs: usize, arithmetic: Arithmetic) -> Result<Self> {
        let Some(first) = matrices.first() else { anyhow::bail!("a linear layer needs weights") };
        ensure!(
            matrices.iter().all(|matrix| matrix.inputs() == first.inputs()),
            "weights that are multiplied together differ in their inputs"
        );
        // Narrow only if all are.
        let narrow = matrices.iter().all(|matrix| matrix.stored_as() == DType::BF16);
        let Arithmetic { level, precision, .. } = arithmetic;
        let format = arithmetic.linear(if narrow { DType::BF16 } else { DType::F32 });
        let steps = format.steps(first.inputs());
        let form = Form { level, format: format.left(), rounding: precision.rounding(), steps };
        Ok(Self { kernel: Kernel::new(level, format), form, outputs, weight: Packed::default() })
    }

    /// Packs the outputs that `sources` name, as many as the layer has, into `memory`. The matrices are those that the layer was
    /// made for.
    pub fn pack(&mut self, matrices: &[&dyn RowSource], sources: &[Source], memory: Buffer<u8>) {
        assert_eq!(sources.len(), self.outputs);
        self.weight = pack(matrices, sources, self.form, self.kernel.format(), memory);
    }

    /// Gives up the packed weights for their memory.
    pub fn unpack(&mut self) -> Buffer<u8> {
        std::mem::take(&mut self.weight).bytes
    }

    /// What its input must look like.
    pub fn form(&self) -> Form {
        self.form
    }

    /// Panels of outputs.
    pub fn panels(&self) -> usize {
        self.outputs.div_ceil(SIDE)
    }

    /// Some panels of the outputs, replacing what stood in `results`.
    pub fn forward(&self, input: &Operand, panels: Range<usize>, results: &mut Panels<'_>) {
        self.product((input, 0), 0..self.form.steps, panels, results, false);
    }

    /// Adds the outputs to `results`. The input's steps stand for the layer's inputs from `first` on.
    ///
    /// Where the sums can't go there at once, the sums of a panel are finished first: a residual stream is so much larger
    /// than what is added to it that f32 would lose digits, word by word.
    ///
    /// `done` is called with each panel of results when it is finished.
    pub fn add(&self, input: &Operand, first: usize, results: &mut Panels<'_>, mut done: impl FnMut(&[Features])) {
        let start = first / self.form.format.step();
        assert_eq!(start * self.form.format.step(), first);
        let end = self.form.steps.min(start + input.form().steps);
        let rows = results.rows();
        let mut sums = vec![0f32; rows * SIDE];
        for part in (start..end).step_by(PART) {
            let steps = part..end.min(part + PART);
            let last = steps.end == end;
            for panel in 0..self.panels() {
                let panels = panel..panel + 1;
                if self.adds_directly(&steps) {
                    self.product((input, start), steps.clone(), panels.clone(), &mut results.part(panels), true);
                } else {
                    let mut sums = Panels::new(&mut sums, rows);
                    self.product((input, start), steps.clone(), panels, &mut sums, false);
                    add_rows(self.form.level, results.panel_mut(panel), sums.panel(0));
                }
                if last {
                    done(results.panel(panel));
                }
            }
        }
    }

    /// Whether sums of some steps are added right onto the results: products of bf16 on tiles, and whole numbers of one run,
    /// which become a single f32.
    fn adds_directly(&self, steps: &Range<usize>) -> bool {
        match self.form.format {
            Format::Bf16 => self.form.level == Level::Amx,
            Format::Int8 | Format::Int16 => steps.len() <= RUN,
            Format::F32 | Format::F32ByBf16 => false,
        }
    }

    /// `base` is the layer's step at which the input begins.
    fn product(
        &self,
        (input, base): (&Operand, usize),
        steps: Range<usize>,
        panels: Range<usize>,
        results: &mut Panels<'_>,
        add: bool,
    ) {
        let form = input.form();
        assert!(form.format == self.form.format && form.steps >= steps.end - base && input.rows() == results.rows());
        assert!(panels.end <= self.panels() && steps.end <= self.form.steps);
        self.kernel.prepare();
        let (blocks, first_panel, block_bytes) =
            (input.rows() / SIDE, panels.start, self.kernel.format().right_bytes());
        for panel in panels {
            for run in runs(steps.len()) {
                let right = |panel: usize| {
                    let start = panel * self.form.steps + steps.start + run.start;
                    start * block_bytes..(start + run.len()) * block_bytes
                };
                // The same run of the next panel; past the end it is only a hint.
                let soon = self.weight.bytes.as_ptr().wrapping_add(right(panel + 1).start);
                let share = run.len() * block_bytes / blocks;
                let weights = &self.weight.bytes[right(panel)];
                let add = add || run.start > 0;
                for block in 0..blocks {
                    let of_input = steps.start - base + run.start..steps.start - base + run.end;
                    let (rows, soon) = (input.blocks(block, of_input.clone()), soon.wrapping_add(block * share));
                    let results = results.block_mut(panel - first_panel, block);
                    if self.form.format.largest().is_some() {
                        let scales = Scales {
                            rows: &input.scales(of_input.start / RUN).as_chunks().0[block],
                            outputs: self.weight.panel_scales(panel),
                            lowered: self.weight.lowered(panel, (steps.start + run.start) / RUN),
                        };
                        self.kernel.multiply_scaled((rows, weights), &scales, results, add, soon);
                    } else {
                        self.kernel.multiply(rows, weights, results, add, soon);
                    }
                }
            }
        }
    }
}

for_each_level! {
fn add_rows(results: &mut [Features], sums: &[Features]) {
    for (result, sum) in results.iter_mut().zip(sums) {
        row_by_row();
        for (result, sum) in result.iter_mut().zip(sum) {
            *result += sum;
        }
    }
}

}
