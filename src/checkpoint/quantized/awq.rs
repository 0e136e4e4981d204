//! AWQ in the layout of AutoAWQ's gemm kernels.

use anyhow::{Result, ensure};
use safetensors::Dtype;

use super::codes::Codes;
use super::parts::Module;
use super::patterns::NotConverted;
use super::rows::{Groups, Layout, Numbers, QuantizedRows, SCALES, Zeros};
use super::settings::group_size;
use super::{Scheme, excluded, refused};
use crate::fields::Fields;

/// A configuration of AWQ.
pub(super) struct Awq {
    /// None if a row is one group.
    group_size: Option<usize>,
    not_converted: NotConverted,
}

impl Awq {
    pub(super) fn read(fields: Fields<'_>) -> Result<Self> {
        for name in ["version", "format", "checkpoint_format"] {
            if let Some(layout) = fields.text(name)? {
                ensure!(layout.eq_ignore_ascii_case("gemm"), "{}", refused::layout("AWQ", name, layout));
            }
        }
        let backend = fields.text("backend")?.unwrap_or("autoawq");
        ensure!(backend != "llm-awq", "{}", refused::layout("AWQ", "backend", backend));
        let named = |names: [&'static str; 2]| names.into_iter().find(|name| fields.has(name)).unwrap_or(names[0]);
        let bits = fields.required_size(named(["bits", "w_bit"]))?;
        ensure!(bits == 4, "bits is {bits}, and rerank reads AWQ of 4 bits; {}", refused::REMEDY);
        Ok(Self {
            group_size: group_size(fields, named(["group_size", "q_group_size"]))?,
            not_converted: NotConverted::new(&fields.texts("modules_to_not_convert")?)?,
        })
    }
}

impl Scheme for Awq {
    fn method(&self) -> &'static str {
        "AWQ"
    }

    fn markers(&self) -> &'static [&'static str] {
        &["qweight"]
    }

    fn parts(&self, _: &Module<'_>) -> &'static [&'static str] {
        &["qweight", "qzeros", "scales"]
    }

    fn settle(&self, module: &Module<'_>) -> Result<usize> {
        match self.not_converted.find(module)? {
            Some(entry) => excluded(module, "qweight", &format!("modules_to_not_convert ({entry})")),
            None => Ok(0),
        }
    }

    fn rows<'a>(&self, module: &mut Module<'a>, _: usize) -> Result<QuantizedRows<'a>> {
        let [outputs, inputs] = [module.outputs, module.inputs];
        let size = self.group_size.unwrap_or(inputs).max(1);
        let (groups, words) = (inputs.div_ceil(size), outputs.div_ceil(8));
        let weight = module.part("qweight")?;
        weight.check(&[Dtype::I32], &[inputs, words])?;
        let zeros = module.part("qzeros")?;
        zeros.check(&[Dtype::I32], &[groups, words])?;
        let scales = module.part("scales")?;
        scales.check(&SCALES, &[groups, outputs])?;
        Ok(QuantizedRows {
            codes: Codes::Awq { bytes: weight.bytes, words },
            scales: Numbers::new(scales, Layout::by_group(outputs)),
            zeros: Zeros::Awq { bytes: zeros.bytes, words },
            groups: Groups::Size(size),
            inputs,
            first: 0,
        })
    }

    fn describe(&self) -> String {
        let groups = self.group_size.map_or("a scale for each output".to_owned(), |size| format!("groups of {size}"));
        format!("AWQ (gemm, int4, {groups})")
    }
}
