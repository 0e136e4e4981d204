//! GPTQ as AutoGPTQ and GPTQModel store it: words along the inputs of a matrix, groups of inputs in any order.

use anyhow::{Context, Result, bail, ensure};
use safetensors::Dtype;

use super::codes::Codes;
use super::compressed_tensors::group_index;
use super::parts::{Module, words};
use super::patterns::Expression;
use super::rows::{Groups, Layout, Numbers, QuantizedRows, SCALES, StoredZero, Zeros};
use super::settings::{group_size, refuse_set};
use super::{Scheme, excluded, refused};
use crate::fields::Fields;

/// A configuration of GPTQ.
pub(super) struct Gptq {
    usual: Widths,
    /// Whether zero points are stored as they are, and not less one.
    second_version: bool,
    /// Modules that differ, the first that matches counts; those without widths are not quantized.
    overrides: Vec<(String, Expression, Option<Widths>)>,
}

/// The widths of a module's integers and groups.
#[derive(Clone, Copy)]
struct Widths {
    bits: usize,
    /// None if a row is one group.
    group_size: Option<usize>,
    /// Whether inputs may belong to groups in any order (`desc_act`), which `g_idx` lists then.
    any_order: bool,
}

impl Gptq {
    pub(super) fn read(fields: Fields<'_>) -> Result<Self> {
        let format = fields.text("checkpoint_format")?.or(fields.text("format")?).unwrap_or("gptq");
        let second_version = match format.to_lowercase().as_str() {
            "gptq" => false,
            "gptq_v2" => true,
            _ => bail!("{}", refused::layout("GPTQ", "checkpoint_format", format)),
        };
        refuse_set(fields, "is_marlin_format", "Marlin orders weights for its own kernels")?;
        refuse_set(fields, "adapter", "an adapter is added to the weights")?;
        ensure!(fields.get("rotation").is_none(), "rotation: what goes into layers is rotated; {}", refused::REMEDY);
        let packed = fields.text("pack_dtype")?.unwrap_or("int32");
        ensure!(packed == "int32", "{}", refused::layout("GPTQ", "pack_dtype", packed));
        let usual = Widths::read(fields, None)?;
        let mut overrides = Vec::new();
        for (pattern, value) in fields.object("dynamic")?.into_iter().flat_map(Fields::iter) {
            let (is_quantized, expression) = match (pattern.strip_prefix("-:"), pattern.strip_prefix("+:")) {
                (Some(expression), _) => (false, expression),
                (_, positive) => (true, positive.unwrap_or(pattern)),
            };
            let read = || -> Result<_> {
                let widths = is_quantized.then(|| Widths::read(Fields::of(value)?, Some(usual))).transpose()?;
                Ok((pattern.to_owned(), Expression::new(expression)?, widths))
            };
            overrides.push(read().with_context(|| format!("dynamic.{pattern}"))?);
        }
        Ok(Self { usual, second_version, overrides })
    }
}

impl Widths {
    fn read(fields: Fields<'_>, usual: Option<Self>) -> Result<Self> {
        let bits = match (fields.get("bits"), usual) {
            (None, Some(usual)) => usual.bits,
            _ => fields.required_size("bits")?,
        };
        ensure!(
            [2, 3, 4, 8].contains(&bits),
            "bits is {bits}, and rerank reads GPTQ of 2, 3, 4 and 8 bits; {}",
            refused::REMEDY
        );
        let group_size = match (fields.get("group_size"), usual) {
            (None, Some(usual)) => usual.group_size,
            _ => group_size(fields, "group_size")?,
        };
        let any_order = match (fields.has("desc_act"), usual) {
            (false, Some(usual)) => usual.any_order,
            _ => fields.flag("desc_act")?,
        };
        Ok(Self { bits, group_size, any_order })
    }
}

impl Scheme for Gptq {
    fn method(&self) -> &'static str {
        "GPTQ"
    }

    fn markers(&self) -> &'static [&'static str] {
        &["qweight"]
    }

    fn parts(&self, _: &Module<'_>) -> &'static [&'static str] {
        &["qweight", "qzeros", "scales"]
    }

    fn settle(&self, module: &Module<'_>) -> Result<usize> {
        for (index, (pattern, expression, widths)) in self.overrides.iter().enumerate() {
            if expression.matches_module(module)? {
                return match widths {
                    Some(_) => Ok(index),
                    None => excluded(module, "qweight", &format!("dynamic ({pattern})")),
                };
            }
        }
        Ok(self.overrides.len())
    }

    fn rows<'a>(&self, module: &mut Module<'a>, setting: usize) -> Result<QuantizedRows<'a>> {
        let [outputs, inputs] = [module.outputs, module.inputs];
        let own = self.overrides.get(setting).and_then(|(_, _, widths)| *widths);
        let Widths { bits, group_size, any_order } = own.unwrap_or(self.usual);
        let size = group_size.unwrap_or(inputs).max(1);
        let groups = inputs.div_ceil(size);
        // Words of three bits come in threes; what is more than the inputs is padding.
        let padded = |values: usize| if bits == 3 { values.next_multiple_of(32) } else { values };
        let weight = module.part("qweight")?;
        weight.check(&[Dtype::I32], &[words(padded(inputs), bits), outputs])?;
        let scales = module.part("scales")?;
        scales.check(&SCALES, &[groups, outputs])?;
        let zeros = module.part("qzeros")?;
        let stride = words(padded(outputs), bits);
        zeros.check(&[Dtype::I32], &[groups, stride])?;
        let stored = match (self.second_version, bits) {
            (true, _) => StoredZero::Whole,
            (false, 3) => StoredZero::LessOneByField,
            (false, _) => StoredZero::LessOneByWord,
        };
        let index = module.optional("g_idx").map(|part| group_index(&part, inputs, groups)).transpose()?;
        ensure!(
            index.is_some() || !any_order || groups == 1,
            "{}: {}.g_idx is missing, which lists the group of each input where desc_act is true; take the whole checkpoint",
            module.place(),
            module.name
        );
        let in_order = |index: &Groups| match index {
            Groups::Of(groups, _) => groups.iter().enumerate().all(|(input, group)| input / size == *group as usize),
            Groups::Size(_) => true,
        };
        let bits = bits as u32;
        Ok(QuantizedRows {
            codes: Codes::Columns { bytes: weight.bytes, outputs, bits },
            scales: Numbers::new(scales, Layout::by_group(outputs)),
            zeros: Zeros::ByGroup { bytes: zeros.bytes, stride, bits, stored },
            groups: index.filter(|index| !in_order(index)).unwrap_or(Groups::Size(size)),
            inputs,
            first: 0,
        })
    }

    fn describe(&self) -> String {
        let Widths { bits, group_size, .. } = self.usual;
        let groups = group_size.map_or("a scale for each output".to_owned(), |size| format!("groups of {size}"));
        let differ = if self.overrides.is_empty() { "" } else { ", with overrides" };
        format!("GPTQ (int{bits}, {groups}{differ})")
    }
}
