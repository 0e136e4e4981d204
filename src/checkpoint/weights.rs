//! Tensors of safetensors files, looked up by name and checked against the shape that the configuration demands.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use candle_core::DType;
use memmap2::UncheckedAdvice;
use safetensors::Dtype;

use super::rows::{RowSource, StoredRows};
use super::safetensors_file::{Entry, Mapped};
use super::tensor_names::{Harmless, harmless, instead};

use crate::engine::cpu::Precision;
use crate::model::{Architecture, HeadOutput, Tensor};
use crate::random::Random;

/// The tensors of one checkpoint, in one file or in several, read where they are needed.
pub struct Weights {
    files: Vec<Mapped>,
    names: String,
    /// bf16, little-endian, of which every tensor is a part where there are no files.
    random: Vec<u8>,
}

impl Weights {
    /// Maps the files and reads their headers.
    ///
    /// # Errors
    /// If a file can't be read, is cut off or not safetensors.
    pub fn open(paths: &[PathBuf]) -> Result<Self> {
        let files = paths.iter().map(|path| Mapped::open(path)).collect::<Result<_>>()?;
        let names = match paths {
            [path] => path.display().to_string(),
            _ => {
                let folder = paths.first().and_then(|path| path.parent()).unwrap_or(Path::new("."));
                format!("{} ({} shards)", folder.display(), paths.len())
            }
        };
        Ok(Self { files, names, random: Vec::new() })
    }

    /// Weights of any name and shape up to `largest` values, normally distributed about 0 (vectors are ones). Only their
    /// speed is like that of real ones.
    pub fn random(largest: usize) -> Self {
        let mut random = Random(0x00c0_ffee);
        // A sum of uniform values is near enough to a normal one.
        let mut value = || (0..4).map(|_| random.below(1 << 20) as f32 / (1 << 20) as f32 - 0.5).sum::<f32>() * 0.05;
        let random = (0..largest).flat_map(|_| half::bf16::from_f32(value()).to_le_bytes()).collect();
        Self { files: Vec::new(), names: "random weights".to_owned(), random }
    }

    /// Checks all tensors that a model reads, before memory is allocated by the sizes that its configuration gives, and that
    /// there are no others. Returns what is there and not used.
    ///
    /// # Errors
    /// If a tensor is missing, of another shape or type, there twice, or there and not read though it may matter.
    pub fn check(&self, architecture: &Architecture) -> Result<Vec<String>> {
        let mut read = HashSet::new();
        for tensor in architecture.tensors() {
            let (_, entry) = self.find(tensor)?;
            self.dtype(tensor, entry)?;
            read.insert(&tensor.name);
        }
        let mut seen = HashSet::new();
        for name in self.files.iter().flat_map(|file| file.tensors.keys()) {
            ensure!(seen.insert(name), "{}: tensor {name} is there twice, in two files", self.names);
        }
        let mut unread: Vec<&String> = seen.into_iter().filter(|name| !read.contains(*name)).collect();
        unread.sort_unstable();
        // More of the head that is in use, such as its bias, would change the scores.
        let of_head = |name: &str| name.starts_with(architecture.head_prefix()) && !name.ends_with("head.weight");
        let (heads, others): (Vec<_>, Vec<_>) = unread
            .into_iter()
            .filter(|name| !matches!(harmless(name), Some(Harmless::Table)))
            .partition(|name| matches!(harmless(name), Some(Harmless::Head)) && !of_head(name));
        ensure!(
            others.is_empty(),
            "{}: there are tensors that are not part of the model that config.json describes ({} layers): {}; is it this \
             checkpoint's config.json?",
            self.names,
            architecture.layers.len(),
            some(&others)
        );
        let heads = heads.into_iter().filter(|name| !(name.as_str() == LM_HEAD && self.is_tied(architecture)));
        let heads: Vec<_> = heads.collect();
        if heads.is_empty() {
            return Ok(Vec::new());
        }
        Ok(vec![format!("the checkpoint has heads that config.json does not use: {}", some(&heads))])
    }

    /// Whether the head that the checkpoint has is the embedding, as its configuration states.
    fn is_tied(&self, architecture: &Architecture) -> bool {
        let embedding = &architecture.embedding.tokens.name;
        let bytes = |name: &str| self.files.iter().find_map(|file| Some(file.bytes(file.tensors.get(name)?)));
        matches!(&architecture.head.output, HeadOutput::Vocabulary(head) if head.name == *embedding)
            && bytes(LM_HEAD).is_some_and(|head| bytes(embedding) == Some(head))
    }

    /// The precision in which more than half of the values are stored, else f32. Checkpoints in 16 bits often keep a few
    /// vectors, or their head, in f32.
    pub fn precision(&self) -> Precision {
        if !self.random.is_empty() {
            return Precision::Bf16;
        }
        let entries = || self.files.iter().flat_map(|file| file.tensors.values());
        let bytes =
            |dtype: Dtype| entries().filter(|entry| entry.dtype == dtype).map(|entry| entry.length).sum::<usize>();
        // A value of f32 has twice as many bytes.
        let [f32, bf16, f16] = [bytes(Dtype::F32) / 2, bytes(Dtype::BF16), bytes(Dtype::F16)];
        match (bf16 > f32 + f16, f16 > f32 + bf16) {
            (true, _) => Precision::Bf16,
            (_, true) => Precision::F16,
            _ => Precision::F32,
        }
    }

    /// The rows of a matrix.
    ///
    /// # Errors
    /// If it is missing, of another shape, or of a type other than f32, f16 and bf16.
    pub fn matrix(&self, tensor: &Tensor) -> Result<Box<dyn RowSource + '_>> {
        Ok(Box::new(self.stored(tensor)?))
    }

    /// A vector, widened to f32.
    ///
    /// # Errors
    /// As [`Weights::matrix`].
    pub fn vector(&self, tensor: &Tensor) -> Result<Vec<f32>> {
        if !self.random.is_empty() {
            return Ok(vec![1.; tensor.rows.len()]);
        }
        let rows = self.stored(tensor)?;
        let mut values = vec![0f32; tensor.rows.len()];
        StoredRows { inputs: values.len(), ..rows }.row(0, &mut values);
        Ok(values)
    }

    /// One row of a matrix, widened to f32; the others are not read.
    ///
    /// # Errors
    /// As [`Weights::matrix`], and if there is no such row.
    pub fn row(&self, tensor: &Tensor, row: usize) -> Result<Vec<f32>> {
        let rows = tensor.rows.len();
        ensure!(row < rows, "{}: tensor {} has {rows} rows, and token {row} none", self.names, tensor.name);
        let mut values = vec![0f32; tensor.inputs()];
        self.stored(tensor)?.row(row, &mut values);
        Ok(values)
    }

    fn stored(&self, tensor: &Tensor) -> Result<StoredRows<'_>> {
        let (dtype, bytes) = if self.random.is_empty() {
            let (file, entry) = self.find(tensor)?;
            (self.dtype(tensor, entry)?, file.bytes(entry))
        } else {
            (DType::BF16, self.random.as_slice())
        };
        let inputs = tensor.inputs();
        let size = inputs.checked_mul(dtype.size_in_bytes()).context("a row is too long")?;
        let [start, end] = [tensor.rows.start, tensor.rows.end].map(|row| row.checked_mul(size));
        let bytes = start.zip(end).and_then(|(start, end)| bytes.get(start..end));
        let bytes = bytes.with_context(|| format!("{}: tensor {} has fewer rows", self.names, tensor.name))?;
        Ok(StoredRows { dtype, bytes, inputs })
    }

    /// Lets go of the memory that a tensor's pages take; they are read again if it is.
    pub fn release(&self, tensor: &Tensor) {
        let found = self.files.iter().find_map(|file| file.tensors.get(&tensor.name).map(|entry| (file, entry)));
        let Some((file, entry)) = found else { return };
        // SAFETY: the mapping is of a file and never written to: what is dropped is read from the file again.
        // Only memory depends on it.
        let _ = unsafe { file.memory.unchecked_advise_range(UncheckedAdvice::DontNeed, entry.start, entry.length) };
    }

    fn find(&self, tensor: &Tensor) -> Result<(&Mapped, &Entry)> {
        let Tensor { name, shape, .. } = tensor;
        let found = self.files.iter().find_map(|file| file.tensors.get(name).map(|entry| (file, entry)));
        let Some((file, entry)) = found else {
            let names = self.files.iter().flat_map(|file| file.tensors.keys()).map(String::as_str);
            bail!("{}: tensor {name} is missing; {}", self.names, instead(name, names))
        };
        ensure!(
            entry.shape == *shape,
            "{}: tensor {name} has shape {:?}, and config.json demands {shape:?}",
            self.names,
            entry.shape
        );
        Ok((file, entry))
    }

    fn dtype(&self, tensor: &Tensor, entry: &Entry) -> Result<DType> {
        match entry.dtype {
            Dtype::F32 => Ok(DType::F32),
            Dtype::F16 => Ok(DType::F16),
            Dtype::BF16 => Ok(DType::BF16),
            other => {
                bail!("{}: tensor {} is of type {other:?}; rerank reads f32, f16 and bf16", self.names, tensor.name)
            }
        }
    }
}

/// A language model's matrix of rows for each token that may come next.
const LM_HEAD: &str = "lm_head.weight";
const LONGEST_SHOWN: usize = 100;

/// The first of many names.
fn some(names: &[&String]) -> String {
    // Nothing bounds what a file may call a tensor.
    let shown: Vec<String> = names.iter().take(3).map(|name| name.chars().take(LONGEST_SHOWN).collect()).collect();
    let more = names.len() - shown.len();
    if more == 0 { shown.join(", ") } else { format!("{} and {more} more", shown.join(", ")) }
}
