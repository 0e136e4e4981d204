//! Rows of quantized weights: integers become numbers by the scale of their group, and by a zero point or an offset.

use candle_core::DType;
use half::{bf16, f16};
use safetensors::Dtype;

use super::codes::{Codes, awq_shift, column};
use super::parts::Part;
use crate::checkpoint::RowSource;

/// The types that scales are stored in.
pub(super) const SCALES: [Dtype; 3] = [Dtype::F32, Dtype::F16, Dtype::BF16];

/// Which number of a table belongs to an output and a group of inputs.
#[derive(Clone, Copy)]
pub(super) struct Layout {
    /// Outputs that share a number.
    pub(super) outputs: usize,
    /// Numbers from an output, or a block of them, to the next.
    pub(super) output_stride: usize,
    /// Numbers from a group to the next.
    pub(super) group_stride: usize,
}

impl Layout {
    /// A row for each output, a column for each group.
    pub(super) fn by_output(groups: usize) -> Self {
        Self { outputs: 1, output_stride: groups, group_stride: 1 }
    }

    /// A row for each group, a column for each output.
    pub(super) fn by_group(outputs: usize) -> Self {
        Self { outputs: 1, output_stride: 1, group_stride: outputs }
    }

    /// One number for all.
    pub(super) fn single() -> Self {
        Self { outputs: 1, output_stride: 0, group_stride: 0 }
    }

    fn place(self, output: usize, group: usize) -> usize {
        output / self.outputs * self.output_stride + group * self.group_stride
    }
}

/// Numbers by output and group.
#[derive(Clone, Copy)]
pub(super) struct Numbers<'a> {
    part: Part<'a>,
    layout: Layout,
}

impl<'a> Numbers<'a> {
    /// The part's type and shape are checked already.
    pub(super) fn new(part: Part<'a>, layout: Layout) -> Self {
        Self { part, layout }
    }

    fn of(&self, output: usize, group: usize) -> f32 {
        let place = self.layout.place(output, group);
        let Part { dtype, bytes, .. } = self.part;
        match dtype {
            Dtype::F32 => f32::from_le_bytes(number(bytes, place)),
            Dtype::BF16 => bf16::from_le_bytes(number(bytes, place)).to_f32(),
            Dtype::F16 => f16::from_le_bytes(number(bytes, place)).to_f32(),
            // A power of two; 255 is not a number.
            Dtype::F8_E8M0 => match number::<1>(bytes, place) {
                [255] => f32::NAN,
                [exponent] => 2f64.powi(i32::from(exponent) - 127) as f32,
            },
            _ => f32::from(i8::from_le_bytes(number(bytes, place))),
        }
    }
}

#[expect(clippy::indexing_slicing, reason = "sizes of parts are checked before they become rows")]
fn number<const SIZE: usize>(bytes: &[u8], place: usize) -> [u8; SIZE] {
    bytes.as_chunks().0[place]
}

/// What is subtracted from the integers, or added to the products.
pub(super) enum Zeros<'a> {
    /// The same for all.
    Same(f32),
    /// Numbers, to which the middle of unsigned integers is added.
    Numbers(Numbers<'a>, f32),
    /// Packed as the integers of a row are, a row for each group.
    ByGroup { bytes: &'a [u8], stride: usize, bits: u32, stored: StoredZero },
    /// Packed in columns of words, a column for each group.
    ByOutput { bytes: &'a [u8], groups: usize, bits: u32 },
    /// Packed in words of 8 outputs in AWQ's order, a row for each group.
    Awq { bytes: &'a [u8], words: usize },
    /// No zero point; this is added to the product of integer and scale.
    Offsets(Numbers<'a>),
}

/// How GPTQ stores a zero point.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum StoredZero {
    /// As it is.
    Whole,
    /// Less one, of fields of 2, 4 or 8 bits. One is added to all fields of a word at once, so that the carry of a field that is
    /// full goes into the next: this undoes how GPTQModel subtracts it.
    LessOneByWord,
    /// Less one, of fields of 3 bits, some of which are in two words: each field by itself, a full one becoming 0.
    LessOneByField,
}

impl Zeros<'_> {
    fn of(&self, output: usize, group: usize) -> f32 {
        match self {
            Self::Same(zero) => *zero,
            Self::Numbers(numbers, middle) => numbers.of(output, group) + middle,
            Self::Offsets(numbers) => numbers.of(output, group),
            Self::ByGroup { bytes, stride, bits, stored } => {
                let words = bytes.as_chunks().0.iter().skip(group * stride).take(*stride);
                packed(words.map(|word| u32::from_le_bytes(*word)), output, *bits, *stored)
            }
            Self::ByOutput { bytes, groups, bits } => {
                packed(column(bytes, group, *groups), output, *bits, StoredZero::Whole)
            }
            Self::Awq { bytes, words } => {
                let word = u32::from_le_bytes(number(bytes, group * words + output / 8));
                (word >> awq_shift(output) & 15) as f32
            }
        }
    }
}

/// A field of a stream of words.
fn packed(words: impl Iterator<Item = u32>, index: usize, bits: u32, stored: StoredZero) -> f32 {
    let first = index * bits as usize;
    let mut words = words.skip(first / 32);
    let [low, high] = std::array::from_fn(|_| words.next().unwrap_or_default());
    // A one in each field.
    let ones = u32::MAX / ((1 << bits) - 1);
    let low = if stored == StoredZero::LessOneByWord { low.wrapping_add(ones) } else { low };
    let both = u64::from(low) | u64::from(high) << 32;
    let field = both >> (first % 32);
    let field = if stored == StoredZero::LessOneByField { field + 1 } else { field };
    (field & ((1 << bits) - 1)) as f32
}

/// Which group an input belongs to.
pub(super) enum Groups {
    /// Groups of so many inputs, one after the other; the last may have fewer.
    Size(usize),
    /// The group of each input, all below the count.
    Of(Vec<u32>, usize),
}

/// A quantized matrix, or some of its rows.
pub(super) struct QuantizedRows<'a> {
    pub(super) codes: Codes<'a>,
    pub(super) scales: Numbers<'a>,
    pub(super) zeros: Zeros<'a>,
    pub(super) groups: Groups,
    pub(super) inputs: usize,
    /// The stored row that is the first.
    pub(super) first: usize,
}

/// How integers of a group become numbers.
#[derive(Clone, Copy)]
struct Group {
    scale: f32,
    zero: f32,
}

impl QuantizedRows<'_> {
    fn group(&self, row: usize, group: usize) -> Group {
        Group { scale: self.scales.of(row, group), zero: self.zeros.of(row, group) }
    }
}

impl RowSource for QuantizedRows<'_> {
    fn inputs(&self) -> usize {
        self.inputs
    }

    fn stored_as(&self) -> DType {
        DType::F32
    }

    fn form(&self) -> String {
        match self.codes.bits() {
            Some(bits) => format!("int{bits}"),
            None => "fp8".to_owned(),
        }
    }

    fn is_quantized(&self) -> bool {
        true
    }

    fn row(&self, row: usize, values: &mut [f32]) {
        let row = self.first + row;
        self.codes.read(row, values);
        let adds = matches!(self.zeros, Zeros::Offsets(_));
        match &self.groups {
            Groups::Size(size) => {
                for (group, values) in values.chunks_mut(*size).enumerate() {
                    let Group { scale, zero } = self.group(row, group);
                    if adds {
                        values.iter_mut().for_each(|value| *value = *value * scale + zero);
                    } else {
                        values.iter_mut().for_each(|value| *value = (*value - zero) * scale);
                    }
                }
            }
            Groups::Of(of_inputs, count) => {
                let groups: Vec<Group> = (0..*count).map(|group| self.group(row, group)).collect();
                for (value, &group) in values.iter_mut().zip(of_inputs) {
                    let Some(Group { scale, zero }) = groups.get(group as usize) else { continue };
                    *value = (*value - zero) * scale;
                }
            }
        }
    }

    fn stored_rows(&self, _: std::ops::Range<usize>) -> Option<&[u8]> {
        None
    }
}
