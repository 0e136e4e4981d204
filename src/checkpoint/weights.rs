//! Tensors of safetensors files, looked up by name and checked against the shape that the configuration demands.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use candle_core::DType;
use memmap2::UncheckedAdvice;
use safetensors::Dtype;

use super::adapter::Merged;
use super::gguf::Gguf;
use super::quantized::Quantization;
use super::rows::{RowSource, StoredRows};
use super::safetensors_file::{Entry, Mapped};
use super::tensor_names::{instead, stored_names};

use crate::model::Tensor;
use crate::precision::Precision;
use crate::random::Random;

/// The tensors of one checkpoint, in one file or in several, read where they are needed.
pub struct Weights {
    files: Vec<Mapped>,
    names: String,
    /// Folders of modules that have weights of their own, and their files.
    folders: Vec<(String, String)>,
    /// The model in GGUF, in place of the files.
    gguf: Option<Arc<Gguf>>,
    /// bf16, little-endian, of which every tensor is a part where there are no files.
    random: Vec<u8>,
    /// How matrices are quantized, if they are.
    quantization: Option<Quantization>,
    /// What is merged into the weights.
    pub(super) adapter: Option<Box<Merged>>,
}

/// A tensor as it was found.
pub(super) struct Found<'a> {
    pub(super) rows: Box<dyn RowSource + 'a>,
    /// The names of the stored tensors that it consists of.
    pub(super) names: Vec<&'a str>,
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
        Ok(Self {
            files,
            names,
            folders: Vec::new(),
            gguf: None,
            random: Vec::new(),
            quantization: None,
            adapter: None,
        })
    }

    /// States how matrices are quantized.
    #[must_use]
    pub fn quantized(self, quantization: Option<Quantization>) -> Self {
        Self { quantization, ..self }
    }

    /// How matrices are quantized, if they are.
    pub fn quantization(&self) -> Option<&Quantization> {
        self.quantization.as_ref()
    }

    /// Whether there is a tensor that nothing but quantized matrices have, in files whose configuration may stand elsewhere.
    pub fn looks_quantized(&self) -> bool {
        self.names().any(|name| name.ends_with(".qweight"))
    }

    /// The weights of a model in GGUF.
    pub(crate) fn of_gguf(gguf: Arc<Gguf>) -> Self {
        let names = match gguf.files() {
            [file] => file.path.display().to_string(),
            files => format!("{} ({} parts)", gguf.metadata().path().display(), files.len()),
        };
        Self {
            files: Vec::new(),
            names,
            folders: Vec::new(),
            gguf: Some(gguf),
            random: Vec::new(),
            quantization: None,
            adapter: None,
        }
    }

    /// The model in GGUF, if that is what has them.
    pub(super) fn gguf(&self) -> Option<&Gguf> {
        self.gguf.as_deref()
    }

    /// Adds the weights of a module's folder, whose tensors are called `folder/name`.
    ///
    /// # Errors
    /// As [`Weights::open`].
    pub(super) fn add_folder(&mut self, folder: &str, path: &Path) -> Result<()> {
        let mut file = Mapped::open(path)?;
        file.tensors = file.tensors.into_iter().map(|(name, entry)| (format!("{folder}/{name}"), entry)).collect();
        self.files.push(file);
        self.folders.push((folder.to_owned(), path.display().to_string()));
        Ok(())
    }

    /// The file that a tensor is looked for in, or all of them, and its name there.
    pub(super) fn place<'a>(&'a self, name: &'a str) -> (&'a str, &'a str) {
        if let Some((_, own, ..)) = self.gguf().and_then(|gguf| gguf.locate(name)) {
            return (&self.names, own);
        }
        let in_folder =
            |(folder, path): &'a (String, String)| Some((path.as_str(), name.strip_prefix(folder)?.strip_prefix('/')?));
        self.folders.iter().find_map(in_folder).unwrap_or((&self.names, name))
    }

    /// Weights of any name and shape up to `largest` values, normally distributed about 0 (vectors are ones). Only their
    /// speed is like that of real ones.
    pub fn random(largest: usize) -> Self {
        let mut random = Random(0x00c0_ffee);
        // A sum of uniform values is near enough to a normal one.
        let mut value = || (0..4).map(|_| random.below(1 << 20) as f32 / (1 << 20) as f32 - 0.5).sum::<f32>() * 0.05;
        let random = (0..largest).flat_map(|_| half::bf16::from_f32(value()).to_le_bytes()).collect();
        let names = "random weights".to_owned();
        Self { files: Vec::new(), names, folders: Vec::new(), gguf: None, random, quantization: None, adapter: None }
    }

    /// Whether there is a tensor of this name, as transformers would find it.
    pub(super) fn has(&self, tensor: &Tensor) -> bool {
        if self.adapter.as_ref().is_some_and(|merged| merged.whole(&tensor.name).is_some()) {
            return true;
        }
        if let Some(gguf) = self.gguf() {
            return gguf.locate(&tensor.name).is_some();
        }
        self.locate(&tensor.name).is_some() || self.has_quantized(tensor)
    }

    /// Whether a tensor is there as a quantized matrix.
    pub(super) fn has_quantized(&self, tensor: &Tensor) -> bool {
        self.quantization.as_ref().is_some_and(|quantization| quantization.has(self, tensor))
    }

    /// The names of all tensors, as they are stored; those that are in several files come several times.
    pub(super) fn names(&self) -> impl Iterator<Item = &String> {
        self.files.iter().flat_map(|file| file.tensors.keys()).chain(self.gguf().into_iter().flat_map(Gguf::names))
    }

    /// The bytes of a tensor by its stored name.
    pub(super) fn stored_bytes(&self, name: &str) -> u64 {
        if let Some(gguf) = self.gguf() {
            return gguf.locate(name).map_or(0, |(.., stored)| stored.length as u64);
        }
        self.files.iter().find_map(|file| file.tensors.get(name)).map_or(0, |entry| entry.length as u64)
    }

    /// The files.
    pub(super) fn files(&self) -> &[Mapped] {
        &self.files
    }

    /// The checkpoint, as a message names it.
    pub(super) fn description(&self) -> &str {
        &self.names
    }

    /// The precision in which more than half of the values are stored, else f32; of a quantized checkpoint that which its
    /// configuration states, else bf16. Checkpoints in 16 bits often keep a few vectors, or their head, in f32.
    pub fn precision(&self) -> Precision {
        if !self.random.is_empty() {
            return Precision::Bf16;
        }
        if let Some(quantization) = &self.quantization {
            return quantization.precision();
        }
        if let Some(gguf) = self.gguf() {
            return gguf.precision();
        }
        let entries = || self.files.iter().flat_map(|file| file.tensors.values());
        let bytes =
            |dtype: Dtype| entries().filter(|entry| entry.dtype == dtype).map(|entry| entry.length).sum::<usize>();
        // A value of f32 has twice as many bytes, one of f64 four times, and it is computed in f32.
        let f32 = bytes(Dtype::F32) / 2 + bytes(Dtype::F64) / 4;
        let [bf16, f16] = [bytes(Dtype::BF16), bytes(Dtype::F16)];
        match (bf16 > f32 + f16, f16 > f32 + bf16) {
            (true, _) => Precision::Bf16,
            (_, true) => Precision::F16,
            _ => Precision::F32,
        }
    }

    /// Whether matrices are quantized.
    pub fn is_quantized(&self) -> bool {
        self.quantization.is_some() || self.gguf().is_some_and(|gguf| gguf.is_quantized())
    }

    /// The rows of a matrix.
    ///
    /// # Errors
    /// If it is missing, of another shape, or of another type than f64, f32, f16 and bf16.
    pub fn matrix(&self, tensor: &Tensor) -> Result<Box<dyn RowSource + '_>> {
        Ok(self.find(tensor)?.rows)
    }

    /// A vector, widened to f32.
    ///
    /// # Errors
    /// As [`Weights::matrix`].
    pub fn vector(&self, tensor: &Tensor) -> Result<Vec<f32>> {
        if !self.random.is_empty() {
            return Ok(vec![1.; tensor.rows.len()]);
        }
        let is_whole = self.adapter.as_ref().is_some_and(|merged| merged.whole(&tensor.name).is_some());
        let mut values = match self.gguf().filter(|_| !is_whole) {
            Some(gguf) => gguf.vector(tensor)?,
            None => {
                let (_, rows) = self.stored(tensor)?;
                let mut values = vec![0f32; tensor.rows.len()];
                StoredRows { inputs: values.len(), ..rows }.row(0, &mut values);
                values
            }
        };
        if let Some(merged) = &self.adapter {
            merged.add_to(tensor, &mut values)?;
        }
        Ok(values)
    }

    /// One row of a matrix, widened to f32; the others are not read.
    ///
    /// # Errors
    /// As [`Weights::matrix`], and if there is no such row.
    pub fn row(&self, tensor: &Tensor, row: usize) -> Result<Vec<f32>> {
        let rows = tensor.rows.len();
        let own = self.place(&tensor.name).1;
        ensure!(row < rows, "{}: tensor {own} has {rows} rows, and token {row} none", self.names);
        let mut values = vec![0f32; tensor.inputs()];
        self.matrix(tensor)?.row(row, &mut values);
        Ok(values)
    }

    /// The rows of a tensor, with what an adapter changes of them.
    pub(super) fn find(&self, tensor: &Tensor) -> Result<Found<'_>> {
        let Some(merged) = &self.adapter else { return self.find_unchanged(tensor) };
        let own = Tensor { name: merged.own_name(&tensor.name).to_owned(), ..tensor.clone() };
        let found = match [tensor, &own].into_iter().find(|tensor| merged.whole(&tensor.name).is_some()) {
            // What the checkpoint has there is not used.
            Some(whole) => {
                let names = self.locate(&own.name).map(|(name, ..)| name).into_iter().collect();
                Found { rows: Box::new(self.stored(whole)?.1), names }
            }
            None => self.find_unchanged(&own)?,
        };
        Ok(Found { rows: merged.rows(tensor, found.rows)?, ..found })
    }

    /// The rows of a tensor, however they are stored.
    fn find_unchanged(&self, tensor: &Tensor) -> Result<Found<'_>> {
        if let Some(quantization) = &self.quantization
            && let Some(found) = quantization.find(self, tensor)?
        {
            return Ok(found);
        }
        if let Some(gguf) = self.gguf() {
            let (name, rows) = gguf.find(tensor)?;
            return Ok(Found { rows, names: vec![name] });
        }
        let (name, rows) = self.stored(tensor)?;
        Ok(Found { rows: Box::new(rows), names: name.into_iter().collect() })
    }

    /// The rows of a tensor whose values are stored one by one, and its stored name if it has one.
    fn stored(&self, tensor: &Tensor) -> Result<(Option<&str>, StoredRows<'_>)> {
        let (name, dtype, bytes) = if self.random.is_empty() {
            let (name, file, entry) = self.entry(tensor)?;
            (Some(name), self.dtype(tensor, entry)?, file.bytes(entry))
        } else {
            (None, DType::BF16, self.random.as_slice())
        };
        let inputs = tensor.inputs();
        let size = inputs.checked_mul(dtype.size_in_bytes()).context("a row is too long")?;
        let [start, end] = [tensor.rows.start, tensor.rows.end].map(|row| row.checked_mul(size));
        let bytes = start.zip(end).and_then(|(start, end)| bytes.get(start..end));
        let bytes = bytes.with_context(|| format!("{}: tensor {} has fewer rows", self.names, tensor.name))?;
        Ok((name, StoredRows { dtype, bytes, inputs }))
    }

    /// Lets go of the memory that a tensor's pages take; they are read again if it is.
    pub fn release(&self, tensor: &Tensor) {
        if let Some(gguf) = self.gguf() {
            let name = self.adapter.as_ref().map_or(tensor.name.as_str(), |merged| merged.own_name(&tensor.name));
            return gguf.release(&Tensor { name: name.to_owned(), ..tensor.clone() });
        }
        let Ok(Found { names, .. }) = self.find(tensor) else { return };
        for (_, file, entry) in names.into_iter().filter_map(|name| self.stored_entry(name)) {
            // SAFETY: the mapping is of a file and never written to: what is dropped is read from the file again.
            // Only memory depends on it.
            let _ = unsafe { file.memory.unchecked_advise_range(UncheckedAdvice::DontNeed, entry.start, entry.length) };
        }
    }

    /// Checks that a tensor is there in the described shape and in a form that can be read. Returns the names of the stored
    /// tensors that it consists of.
    ///
    /// # Errors
    /// If it is not.
    pub(super) fn check_tensor(&self, tensor: &Tensor) -> Result<Vec<&str>> {
        Ok(self.find(tensor)?.names)
    }

    /// Refuses a head of several labels, of which configurations may say nothing: transformers takes two, where they don't.
    ///
    /// # Errors
    /// A sentence with the number of labels.
    pub fn check_one_label(&self, head: &Tensor) -> Result<()> {
        let Some((name, _, entry)) = self.locate_whole(&head.name) else { return Ok(()) };
        let (place, own) = self.place(name);
        match entry.shape[..] {
            [labels, inputs] if labels > 1 && inputs == head.inputs() => {
                bail!("{place}: the model has {labels} labels (the shape of {own}), and a reranker has one")
            }
            _ => Ok(()),
        }
    }

    fn entry(&self, tensor: &Tensor) -> Result<(&str, &Mapped, &Entry)> {
        let Tensor { name, shape, .. } = tensor;
        let (place, own) = self.place(name);
        let Some(found) = self.locate_whole(name) else {
            self.missing_part(tensor).map_or(Ok(()), |problem| bail!("{problem}"))?;
            let of_place: Vec<_> = self
                .names()
                .filter(|other| self.place(other).0 == place)
                .map(|other| self.place(other).1.to_owned())
                .collect();
            bail!("{place}: tensor {own} is missing; {}", instead(own, &of_place.iter().collect::<Vec<_>>()))
        };
        self.dtype(tensor, found.2)?;
        let by = if self.gguf().is_some() { "the metadata demand" } else { "config.json demands" };
        ensure!(
            found.2.shape == *shape,
            "{place}: tensor {} has shape {:?}, and {by} {shape:?}",
            self.place(found.0).1,
            found.2.shape
        );
        Ok(found)
    }

    /// The stored name and the place of a tensor, in the adapter or in the checkpoint.
    fn locate_whole(&self, name: &str) -> Option<(&str, &Mapped, &Entry)> {
        let merged = self.adapter.as_ref().and_then(|merged| merged.whole(name));
        merged.or_else(|| self.locate(name))
    }

    /// The stored name and the place of a tensor in the checkpoint.
    fn locate(&self, name: &str) -> Option<(&str, &Mapped, &Entry)> {
        stored_names(name).iter().find_map(|name| self.stored_entry(name))
    }

    /// The place of a tensor by its stored name.
    pub(super) fn stored_entry(&self, name: &str) -> Option<(&str, &Mapped, &Entry)> {
        let mut files = self.files.iter();
        files.find_map(|file| file.tensors.get_key_value(name).map(|(name, entry)| (name.as_str(), file, entry)))
    }

    fn dtype(&self, tensor: &Tensor, entry: &Entry) -> Result<DType> {
        match entry.dtype {
            Dtype::F64 => Ok(DType::F64),
            Dtype::F32 => Ok(DType::F32),
            Dtype::F16 => Ok(DType::F16),
            Dtype::BF16 => Ok(DType::BF16),
            other => {
                self.missing_part(tensor).map_or(Ok(()), |problem| bail!("{problem}"))?;
                bail!("{}: tensor {} is of type {other:?}; {}", self.names, tensor.name, self.read_types())
            }
        }
    }
}
