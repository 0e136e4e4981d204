//! The stored tensors that one quantized matrix consists of, found by name and checked before their values are read.

use anyhow::{Context, Result, ensure};
use safetensors::Dtype;

use super::super::Weights;

/// A stored tensor.
#[derive(Clone, Copy)]
pub(super) struct Part<'a> {
    /// The file that it is in, and its name there.
    place: &'a str,
    name: &'a str,
    pub(super) dtype: Dtype,
    pub(super) shape: &'a [usize],
    /// The values, little-endian.
    pub(super) bytes: &'a [u8],
}

impl Part<'_> {
    /// The beginning of a message.
    pub(super) fn described(&self) -> String {
        format!("{}: tensor {}", self.place, self.name)
    }

    /// Checks the type and the shape.
    ///
    /// # Errors
    /// A sentence with those that are stored and those that are needed.
    pub(super) fn check(&self, dtypes: &[Dtype], shape: &[usize]) -> Result<()> {
        self.check_type(dtypes)?;
        ensure!(
            self.shape == shape,
            "{} has shape {:?}, and the model's config.json, with how it is quantized, demands {shape:?}; is it this \
             checkpoint's config.json?",
            self.described(),
            self.shape
        );
        Ok(())
    }

    /// Checks the type.
    ///
    /// # Errors
    /// A sentence with the one that is stored and those that can be read.
    pub(super) fn check_type(&self, dtypes: &[Dtype]) -> Result<()> {
        let known = || dtypes.iter().map(|dtype| format!("{dtype:?}")).collect::<Vec<_>>().join(", ");
        ensure!(
            dtypes.contains(&self.dtype),
            "{} is of type {:?}; as a part of quantized weights, rerank reads it in {}",
            self.described(),
            self.dtype,
            known()
        );
        Ok(())
    }

    /// How many values there are.
    pub(super) fn count(&self) -> usize {
        self.shape.iter().product()
    }

    /// The values of a tensor of 32-bit integers.
    pub(super) fn integers(&self) -> impl Iterator<Item = i32> {
        self.bytes.as_chunks().0.iter().map(|bytes| i32::from_le_bytes(*bytes))
    }
}

/// A quantized matrix under the name that its module has in the checkpoint.
pub(super) struct Module<'a> {
    weights: &'a Weights,
    /// The name of the method by which it is quantized.
    method: &'static str,
    /// The module's name in the checkpoint, and the one that transformers gives it.
    pub(super) name: String,
    described: String,
    /// Its shape before it was quantized.
    pub(super) outputs: usize,
    pub(super) inputs: usize,
    /// The stored names of the parts that were taken.
    pub(super) taken: Vec<&'a str>,
}

impl<'a> Module<'a> {
    pub(super) fn new(
        weights: &'a Weights,
        method: &'static str,
        [name, described]: [&str; 2],
        [outputs, inputs]: [usize; 2],
    ) -> Self {
        let (name, described) = (name.to_owned(), described.to_owned());
        Self { weights, method, name, described, outputs, inputs, taken: Vec::new() }
    }

    /// The names that a configuration may mean it by.
    pub(super) fn names(&self) -> [&str; 2] {
        [&self.name, &self.described]
    }

    /// Whether there is a part of this name.
    pub(super) fn has(&self, part: &str) -> bool {
        self.weights.stored_entry(&format!("{}.{part}", self.name)).is_some()
    }

    /// A part that not every module has.
    pub(super) fn optional(&mut self, part: &str) -> Option<Part<'a>> {
        let (stored, file, entry) = self.weights.stored_entry(&format!("{}.{part}", self.name))?;
        self.taken.push(stored);
        let (place, name) = self.weights.place(stored);
        Some(Part { place, name, dtype: entry.dtype, shape: &entry.shape, bytes: file.bytes(entry) })
    }

    /// A part that every module has.
    ///
    /// # Errors
    /// If it is missing.
    pub(super) fn part(&mut self, part: &str) -> Result<Part<'a>> {
        self.optional(part).with_context(|| self.missing(part))
    }

    /// The error of a part that is missing.
    pub(super) fn missing(&self, part: &str) -> String {
        let Self { method, name, .. } = self;
        format!(
            "{}: tensor {name}.{part} is missing, without which the weights of {name}, which are quantized by {method}, can't be read; \
             is the model complete?",
            self.place()
        )
    }

    /// The file or files of the checkpoint.
    pub(super) fn place(&self) -> &'a str {
        self.weights.description()
    }
}

/// How many words so many values take.
pub(super) fn words(values: usize, bits: usize) -> usize {
    values.saturating_mul(bits).div_ceil(32)
}
