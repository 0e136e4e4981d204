//! MLX's affine quantization: a scale and an offset for each group of a row, embeddings included.

use std::collections::HashMap;

use anyhow::{Context, Result, ensure};
use safetensors::Dtype;
use serde_json::Value;

use super::codes::Codes;
use super::parts::{Module, words};
use super::rows::{Groups, Layout, Numbers, QuantizedRows, SCALES, Zeros};
use super::{Scheme, excluded, refused};
use crate::fields::Fields;

/// A configuration of MLX.
pub(super) struct Mlx {
    usual: Widths,
    /// Modules that differ; those without widths are not quantized.
    overrides: HashMap<String, Option<Widths>>,
}

/// The widths of a module's integers and groups.
#[derive(Clone, Copy)]
struct Widths {
    bits: usize,
    group_size: usize,
}

/// The fields of a configuration that are no modules.
const FIELDS: [&str; 4] = ["bits", "group_size", "mode", "quant_method"];

impl Mlx {
    pub(super) fn read(fields: Fields<'_>) -> Result<Self> {
        let usual = Widths::read(fields, None)?;
        let mut overrides = HashMap::new();
        for (name, value) in fields.iter().filter(|(name, _)| !FIELDS.contains(name)) {
            let widths = match value {
                Value::Bool(false) => None,
                Value::Bool(true) => Some(usual),
                other => {
                    let read = || Widths::read(Fields::of(other)?, Some(usual));
                    Some(read().with_context(|| name.to_owned())?)
                }
            };
            overrides.insert(name.to_owned(), widths);
        }
        Ok(Self { usual, overrides })
    }

    /// The widths of a module, if it is quantized.
    fn of_module(&self, module: &Module<'_>) -> Option<Widths> {
        let own = module.names().into_iter().find_map(|name| self.overrides.get(name).copied());
        own.unwrap_or(Some(self.usual))
    }
}

impl Widths {
    fn read(fields: Fields<'_>, usual: Option<Self>) -> Result<Self> {
        let mode = fields.text("mode")?.unwrap_or("affine");
        ensure!(mode == "affine", "{}", refused::layout("MLX", "mode", mode));
        let size = |name, usual: Option<usize>| match (fields.get(name), usual) {
            (None, Some(usual)) => Ok(usual),
            _ => fields.required_size(name),
        };
        let bits = size("bits", usual.map(|usual| usual.bits))?;
        ensure!([2, 3, 4, 5, 6, 8].contains(&bits), "bits is {bits}, and MLX has 2, 3, 4, 5, 6 or 8");
        Ok(Self { bits, group_size: size("group_size", usual.map(|usual| usual.group_size))? })
    }
}

impl Scheme for Mlx {
    fn method(&self) -> &'static str {
        "MLX"
    }

    fn markers(&self) -> &'static [&'static str] {
        &["scales"]
    }

    fn parts(&self, _: &Module<'_>) -> &'static [&'static str] {
        &["weight", "scales", "biases"]
    }

    fn settle(&self, module: &Module<'_>) -> Result<usize> {
        if self.of_module(module).is_none() { excluded(module, "scales", "false") } else { Ok(0) }
    }

    fn rows<'a>(&self, module: &mut Module<'a>, _: usize) -> Result<QuantizedRows<'a>> {
        let Widths { bits, group_size } = self.of_module(module).unwrap_or(self.usual);
        let [outputs, inputs] = [module.outputs, module.inputs];
        let (groups, stride) = (inputs.div_ceil(group_size), words(inputs, bits));
        let weight = module.part("weight")?;
        weight.check(&[Dtype::U32], &[outputs, stride])?;
        let [scales, offsets] = [module.part("scales")?, module.part("biases")?];
        scales.check(&SCALES, &[outputs, groups])?;
        offsets.check(&SCALES, &[outputs, groups])?;
        let layout = Layout::by_output(groups);
        Ok(QuantizedRows {
            codes: Codes::Rows { bytes: weight.bytes, stride: stride * 4, bits: bits as u32 },
            scales: Numbers::new(scales, layout),
            zeros: Zeros::Offsets(Numbers::new(offsets, layout)),
            groups: Groups::Size(group_size),
            inputs,
            first: 0,
        })
    }

    fn quantizes_heads(&self) -> bool {
        true
    }

    fn describe(&self) -> String {
        let Widths { bits, group_size } = self.usual;
        let differ = if self.overrides.is_empty() { "" } else { ", with overrides" };
        format!("MLX (affine, int{bits}, groups of {group_size}{differ})")
    }
}
