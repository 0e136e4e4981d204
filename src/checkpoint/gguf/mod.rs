//! GGUF, the format of llama.cpp: metadata that describe the model and its tokenizer, and tensors in blocks. What is here makes
//! of it what the files of transformers would be: a configuration, and tensors by the names that transformers gives them.

mod architecture;
mod beside;
mod blocks;
mod configuration;
mod cursor;
mod file;
mod head;
mod iq4;
mod kind;
mod metadata;
mod names;
mod split;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use memmap2::UncheckedAdvice;
use serde_json::Value;

use self::architecture::{ARCHITECTURE, Family, UNUSED_POSITIONS};
pub(super) use self::file::{GgufFile, Stored, has_description};
use self::kind::Kind;
pub(crate) use self::metadata::Metadata;
pub(super) use self::split::parts;
use super::ModelFiles;
use super::rows::RowSource;
use super::tensor_names::instead;
use crate::model::{Architecture, Positions, Tensor};
use crate::precision::Precision;

/// A model in GGUF files: one, or the parts of one.
pub(crate) struct Gguf {
    files: Vec<GgufFile>,
    family: Family,
    /// The tensors by the names of transformers: the file, and the name in it.
    places: HashMap<String, (usize, String)>,
}

/// What the metadata describe.
pub(crate) struct Description {
    /// The model.
    pub(crate) architecture: Architecture,
    /// What users should know of it.
    pub(crate) warnings: Vec<String>,
}

impl Gguf {
    /// The model of a file, or of all its parts.
    ///
    /// # Errors
    /// If a file is not a part of the same model, or the model is of a kind that is not read.
    pub(super) fn new(files: Vec<GgufFile>) -> Result<Self> {
        split::check(&files)?;
        let first = files.first().context("there is no GGUF file")?;
        let has = |name: &str| files.iter().any(|file| file.tensors.contains_key(name));
        let family = Family::of(&first.metadata, has).with_context(|| not_described(&first.path))?;
        let mut places = HashMap::new();
        for (index, file) in files.iter().enumerate() {
            for (name, stored) in &file.tensors {
                let is_classifier = family.is_decoder() && name == head::ROWS && stored.shape.len() == 1;
                let known =
                    if is_classifier { "score.weight".to_owned() } else { names::of_transformers(name, family) };
                let before = places.insert(known, (index, name.clone()));
                ensure!(before.is_none(), "{}: tensor {name} is there twice", file.path.display());
            }
        }
        Ok(Self { files, family, places })
    }

    /// What the first file states.
    pub(crate) fn metadata(&self) -> &Metadata {
        static NONE: std::sync::LazyLock<Metadata> = std::sync::LazyLock::new(Metadata::default);
        self.files.first().map_or(&NONE, |file| &file.metadata)
    }

    /// The paths of all parts.
    pub(crate) fn paths(&self) -> Vec<PathBuf> {
        self.files.iter().map(|file| file.path.clone()).collect()
    }

    /// The files.
    pub(super) fn files(&self) -> &[GgufFile] {
        &self.files
    }

    /// The model that the metadata describe, of which a `config.json` beside the file may state something else.
    ///
    /// # Errors
    /// If something is missing, contradictory or not supported, such as a head of modules.
    pub(crate) fn describe(&self, files: &ModelFiles, has_module_head: bool) -> Result<Description> {
        let place = self.metadata().path();
        ensure!(
            !has_module_head,
            "{} stands beside a modules.json whose modules make the head, which is read with safetensors only",
            place.display()
        );
        self.described(files.json("config.json")?).with_context(|| not_described(place))
    }

    fn described(&self, beside: Option<(PathBuf, Value)>) -> Result<Description> {
        let metadata = self.metadata();
        let shape = |name: &str| self.own(name).map(|(_, stored)| stored.shape.clone());
        head::check(metadata, self.family, shape)?;
        let config = architecture::config(metadata, self.family, shape)?;
        let name = metadata.text(ARCHITECTURE)?.unwrap_or_default();
        let contradiction = beside
            .and_then(|(path, beside)| beside::contradiction(&path.display().to_string(), &beside, config.fields()));
        let mut warnings: Vec<String> = contradiction.into_iter().chain(beside::unknown(metadata, name)).collect();
        let mut architecture = config.describe()?;
        if self.family.is_decoder() {
            warnings.extend(head::put_answers(&mut architecture, metadata, shape(head::ROWS))?);
        }
        if let Some(Positions { table, first }) =
            architecture.embedding.positions.as_mut().filter(|_| self.cuts_positions())
        {
            let rows = table.rows.len().saturating_sub(UNUSED_POSITIONS);
            *table = Tensor::matrix(table.name.clone(), rows, table.inputs());
            *first = 0;
        }
        Ok(Description { architecture, warnings })
    }

    /// Whether the table of positions is without those that no token has.
    fn cuts_positions(&self) -> bool {
        matches!(self.family, Family::Roberta | Family::Jina)
    }

    /// A tensor by its own name.
    fn own(&self, name: &str) -> Option<(&GgufFile, &Stored)> {
        self.files.iter().find_map(|file| Some((file, file.tensors.get(name)?)))
    }

    /// The names of all tensors, as transformers has them.
    pub(super) fn names(&self) -> impl Iterator<Item = &String> {
        self.places.keys()
    }

    /// All tensors.
    pub(super) fn tensors(&self) -> impl Iterator<Item = &Stored> {
        self.files.iter().flat_map(|file| file.tensors.values())
    }

    /// A tensor by the name that transformers gives it: that name, its own, and its place.
    pub(super) fn locate(&self, name: &str) -> Option<(&str, &str, &GgufFile, &Stored)> {
        let (known, (file, own)) = self.places.get_key_value(name)?;
        let file = self.files.get(*file)?;
        Some((known, own, file, file.tensors.get(own)?))
    }

    /// The rows of a tensor, and its name.
    ///
    /// # Errors
    /// If it is missing, or of another shape.
    pub(super) fn find(&self, tensor: &Tensor) -> Result<(&str, Box<dyn RowSource + '_>)> {
        let Tensor { name, shape, rows, .. } = tensor;
        let Some((known, own, file, stored)) = self.locate(name) else {
            let all: Vec<&String> = self.files.iter().flat_map(|file| file.tensors.keys()).collect();
            let own = names::of_llama(name, self.family);
            bail!("{}: tensor {own} is missing; {}", self.metadata().path().display(), instead(&own, &all))
        };
        let wanted: &[usize] = if let [1, rest @ ..] = &shape[..] { rest } else { shape };
        ensure!(
            stored.shape == wanted || stored.shape == *shape,
            "{}: tensor {own} has shape {:?}, and the metadata demand {shape:?}",
            file.path.display(),
            stored.shape
        );
        let bytes = file.bytes(stored);
        // A vector is one row.
        let inputs = if shape.len() > 1 { tensor.inputs() } else { stored.values() };
        if shape.len() < 2 {
            return Ok((known, blocks::rows(stored.kind, bytes, inputs)));
        }
        let size = inputs / stored.kind.block_values() * stored.kind.block_bytes();
        let [start, end] = [rows.start, rows.end].map(|row| row.checked_mul(size));
        let bytes = start.zip(end).and_then(|(start, end)| bytes.get(start..end));
        let bytes = bytes.with_context(|| format!("{}: tensor {own} has fewer rows", file.path.display()))?;
        Ok((known, blocks::rows(stored.kind, bytes, inputs)))
    }

    /// The precision in which most values are stored, and bf16 of those in blocks, which have fewer digits than that.
    pub(super) fn precision(&self) -> Precision {
        let values = |kinds: &dyn Fn(Kind) -> bool| -> usize {
            self.tensors().filter(|stored| kinds(stored.kind)).map(Stored::values).sum()
        };
        let bf16 = values(&|kind| kind == Kind::Bf16 || kind.is_quantized());
        let f16 = values(&|kind| kind == Kind::F16);
        let f32 = values(&|kind| matches!(kind, Kind::F32 | Kind::F64));
        match (bf16 > f32 + f16, f16 > f32 + bf16) {
            (true, _) => Precision::Bf16,
            (_, true) => Precision::F16,
            _ => Precision::F32,
        }
    }

    /// Whether there are values in blocks.
    pub(super) fn is_quantized(&self) -> bool {
        self.tensors().any(|stored| stored.kind.is_quantized())
    }

    /// Lets go of the memory that a tensor's pages take; they are read again if it is.
    pub(super) fn release(&self, tensor: &Tensor) {
        let Some((_, _, file, stored)) = self.locate(&tensor.name) else { return };
        // SAFETY: the mapping is of a file and never written to: what is dropped is read from the file again.
        // Only memory depends on it.
        let _ = unsafe { file.memory.unchecked_advise_range(UncheckedAdvice::DontNeed, stored.start, stored.length) };
    }

    /// The values of a vector, or of a part of one.
    ///
    /// # Errors
    /// As [`Gguf::find`].
    pub(super) fn vector(&self, tensor: &Tensor) -> Result<Vec<f32>> {
        let (_, rows) = self.find(tensor)?;
        let mut values = vec![0f32; rows.inputs()];
        rows.row(0, &mut values);
        let part = values.get(tensor.rows.clone()).map(<[f32]>::to_vec);
        part.with_context(|| {
            let own = names::of_llama(&tensor.name, self.family);
            format!("{}: tensor {own} has fewer values", self.metadata().path().display())
        })
    }
}

fn not_described(path: &Path) -> String {
    format!("{} does not describe a model that rerank can run", path.display())
}
