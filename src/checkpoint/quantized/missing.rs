//! Which part of a quantized matrix is missing, where others are there.

use super::parts::Module;
use crate::checkpoint::Weights;
use crate::model::Tensor;

impl Weights {
    /// The error of a part that is missing, where a tensor is not there as it is and has other parts of a quantized one.
    pub(in crate::checkpoint) fn missing_part(&self, tensor: &Tensor) -> Option<String> {
        let quantization = self.quantization()?;
        let scheme = &quantization.scheme;
        let is_meant = |module: &Module<'_>| scheme.settle(module).is_ok();
        let module = quantization.find_module(self, tensor, |module| {
            is_meant(module) && scheme.parts(module).iter().any(|part| module.has(part))
        })?;
        let part = scheme.parts(&module).iter().find(|part| !module.has(part))?;
        Some(format!("{}: {}", quantization.place, module.missing(part)))
    }

    /// What types of values are read, at the end of an error's sentence.
    pub(in crate::checkpoint) fn read_types(&self) -> String {
        let quantized = match self.quantization() {
            Some(quantization) => format!("and its other parts are none of {}", quantization.describe()),
            None => "and config.json does not state how the weights are quantized, if they are".to_owned(),
        };
        format!("rerank reads f64, f32, f16 and bf16, {quantized}")
    }
}
