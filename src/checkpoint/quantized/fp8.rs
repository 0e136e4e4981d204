//! FP8 as DeepSeek, Qwen and transformers store it, a scale for each block, and as AutoFP8 and vLLM do, one for each matrix.

use anyhow::{Result, ensure};
use safetensors::Dtype;

use super::codes::Codes;
use super::compressed_tensors::{block, check_scales};
use super::parts::Module;
use super::patterns::NotConverted;
use super::rows::{Groups, Layout, Numbers, QuantizedRows, SCALES, Zeros};
use super::{Scheme, excluded, refused};
use crate::fields::Fields;

/// The fields that are read, or that are for activations.
const FIELDS: [&str; 13] = [
    "activation_scheme",
    "dequantize",
    "expert_dtype",
    "fmt",
    "ignore_patterns",
    "ignored_layers",
    "kv_cache_scheme",
    "method",
    "modules_to_convert",
    "modules_to_not_convert",
    "quant_method",
    "scale_fmt",
    "weight_block_size",
];

/// What transformers takes where nothing is stated.
const USUAL_BLOCK: [usize; 2] = [128, 128];

/// A configuration of FP8.
pub(super) struct Fp8 {
    /// The sizes of blocks, if they are stated.
    block: Option<[usize; 2]>,
    not_converted: NotConverted,
}

impl Fp8 {
    pub(super) fn read(fields: Fields<'_>) -> Result<Self> {
        fields.only_known(&FIELDS)?;
        if let Some(format) = fields.text("fmt")? {
            ensure!(format == "e4m3", "{}", refused::layout("fp8", "fmt", format));
        }
        let block = fields.get("weight_block_size").map(|_| block(fields, "weight_block_size")).transpose()?;
        let mut names = fields.texts("modules_to_not_convert")?;
        names.extend(fields.texts("ignored_layers")?);
        names.extend(fields.texts("ignore_patterns")?);
        Ok(Self { block, not_converted: NotConverted::new(&names)? })
    }
}

impl Scheme for Fp8 {
    fn method(&self) -> &'static str {
        "fp8"
    }

    fn markers(&self) -> &'static [&'static str] {
        &["weight_scale_inv", "weight_scale"]
    }

    fn parts(&self, module: &Module<'_>) -> &'static [&'static str] {
        // A scale for a matrix has the shorter name, unless the sizes of blocks are stated.
        match self.block.is_none() && !module.has("weight_scale_inv") {
            true => &["weight", "weight_scale"],
            false => &["weight", "weight_scale_inv"],
        }
    }

    fn settle(&self, module: &Module<'_>) -> Result<usize> {
        match self.not_converted.find(module)? {
            Some(entry) => excluded(module, "weight_scale", &format!("modules_to_not_convert ({entry})")),
            None => Ok(0),
        }
    }

    fn rows<'a>(&self, module: &mut Module<'a>, _: usize) -> Result<QuantizedRows<'a>> {
        let [outputs, inputs] = [module.outputs, module.inputs];
        // Despite its name it is multiplied with, as the other is.
        let marker = if module.has("weight_scale_inv") { "weight_scale_inv" } else { "weight_scale" };
        let weight = module.part("weight")?;
        weight.check(&[Dtype::F8_E4M3], &[outputs, inputs])?;
        let scales = module.part(marker)?;
        let (layout, size) = if scales.count() == 1 && self.block.is_none() {
            check_scales(&scales, &SCALES, [1, 1])?;
            (Layout::single(), inputs.max(1))
        } else {
            let [rows, columns] = self.block.unwrap_or(USUAL_BLOCK);
            let groups = inputs.div_ceil(columns);
            let [f32, f16, bf16] = SCALES;
            scales.check(&[f32, f16, bf16, Dtype::F8_E8M0], &[outputs.div_ceil(rows), groups])?;
            (Layout { outputs: rows, ..Layout::by_output(groups) }, columns)
        };
        Ok(QuantizedRows {
            codes: Codes::Float8 { bytes: weight.bytes, inputs },
            scales: Numbers::new(scales, layout),
            zeros: Zeros::Same(0.),
            groups: Groups::Size(size),
            inputs,
            first: 0,
        })
    }

    fn describe(&self) -> String {
        let scope = match self.block {
            Some([rows, columns]) => format!("blocks of {rows} x {columns}"),
            None => "a scale for each matrix or block".to_owned(),
        };
        format!("fp8 ({scope}; activations, which other engines quantize, too, are not)")
    }
}
