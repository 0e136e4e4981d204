//! Quantized weights in safetensors files. A configuration states the scheme, which is a file here: which parts a matrix
//! consists of, and how their integers become numbers. What is read is always the weights alone: rerank does not quantize
//! activations.

mod audit;
mod awq;
mod codes;
mod compressed_tensors;
mod fp8;
mod gptq;
mod missing;
mod mlx;
mod parts;
mod patterns;
mod refused;
mod rows;
mod settings;

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, bail, ensure};

use super::tensor_names::stored_names;
use super::weights::{Found, Weights};
use crate::model::Tensor;
use crate::precision::Precision;
use parts::Module;
use rows::QuantizedRows;

/// How a checkpoint's weights are quantized.
pub struct Quantization {
    /// The file that states it.
    place: String,
    scheme: Box<dyn Scheme>,
    precision: Precision,
    /// The settings of modules, by name.
    settled: Mutex<HashMap<String, usize>>,
}

/// A way to store quantized matrices.
trait Scheme: Send + Sync {
    /// The method's name.
    fn method(&self) -> &'static str;

    /// The names of parts that only quantized matrices have, or that have another type there.
    fn markers(&self) -> &'static [&'static str];

    /// The parts without which a quantized matrix can't be read.
    fn parts(&self, module: &Module<'_>) -> &'static [&'static str];

    /// Which of the configuration's settings a matrix has, by a number that [`Scheme::rows`] knows. Lists of names and expressions
    /// may be long, so that it is asked for once.
    ///
    /// # Errors
    /// If the configuration leaves the matrix as it is, or names none that it has.
    fn settle(&self, module: &Module<'_>) -> Result<usize>;

    /// The rows of a matrix, from the first on.
    ///
    /// # Errors
    /// If a part is missing or of another shape or type.
    fn rows<'a>(&self, module: &mut Module<'a>, setting: usize) -> Result<QuantizedRows<'a>>;

    /// Whether a language model's head is quantized as its embedding is, each of its rows by itself.
    fn quantizes_heads(&self) -> bool {
        false
    }

    /// The scheme in a few words.
    fn describe(&self) -> String;
}

impl Quantization {
    /// The precision in which the model was before it was quantized, as far as it is stated; bf16 for f16, whose three more
    /// bits quantizing has lost.
    pub(super) fn precision(&self) -> Precision {
        match self.precision {
            Precision::F16 => Precision::Bf16,
            precision => precision,
        }
    }

    /// The scheme in a few words.
    pub fn describe(&self) -> String {
        self.scheme.describe()
    }

    /// The stored module of a matrix, if it is quantized.
    fn module<'a>(&self, weights: &'a Weights, tensor: &Tensor) -> Option<Module<'a>> {
        self.find_module(weights, tensor, |module| self.scheme.markers().iter().any(|marker| module.has(marker)))
    }

    /// The first of the modules that a matrix may be stored as which is wanted.
    fn find_module<'a>(
        &self,
        weights: &'a Weights,
        tensor: &Tensor,
        is_wanted: impl Fn(&Module<'a>) -> bool,
    ) -> Option<Module<'a>> {
        let ([outputs, inputs], Some(described)) = (*tensor.shape.first_chunk()?, tensor.name.strip_suffix(".weight"))
        else {
            return None;
        };
        stored_names(&tensor.name).iter().find_map(|name| {
            let names = [name.strip_suffix(".weight")?, described];
            let module = Module::new(weights, self.scheme.method(), names, [outputs, inputs]);
            is_wanted(&module).then_some(module)
        })
    }

    fn setting(&self, module: &Module<'_>) -> Result<usize> {
        let settled = || self.settled.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(setting) = settled().get(&module.name) {
            return Ok(*setting);
        }
        let setting = self.scheme.settle(module)?;
        settled().insert(module.name.clone(), setting);
        Ok(setting)
    }

    /// Whether a matrix is quantized.
    pub(super) fn has(&self, weights: &Weights, tensor: &Tensor) -> bool {
        self.module(weights, tensor).is_some()
    }

    /// The rows of a matrix, if it is quantized.
    ///
    /// # Errors
    /// A sentence with the file and the part that is missing or other than it should be.
    pub(super) fn find<'a>(&self, weights: &'a Weights, tensor: &Tensor) -> Result<Option<Found<'a>>> {
        let Some(mut module) = self.module(weights, tensor) else { return Ok(None) };
        let setting = self.setting(&module).with_context(|| self.place.clone())?;
        let rows = self.scheme.rows(&mut module, setting).with_context(|| self.place.clone())?;
        ensure!(
            tensor.rows.end <= module.outputs,
            "{}: tensor {} has fewer rows than are needed",
            module.place(),
            tensor.name
        );
        let rows = QuantizedRows { first: tensor.rows.start, ..rows };
        Ok(Some(Found { rows: Box::new(rows), names: module.taken }))
    }
}

/// Refuses parts of a module that the configuration has left as it is.
fn excluded<T>(module: &Module<'_>, part: &str, by: &str) -> Result<T> {
    bail!(
        "{}: {}.{part} is a part of quantized weights, and {by} in the configuration leaves this module as it is; is it this \
         checkpoint's configuration?",
        module.place(),
        module.name
    )
}
