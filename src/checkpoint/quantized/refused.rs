//! Ways to quantize weights that rerank does not read, by name.

use serde_json::Value;

use crate::fields::Fields;

/// What can be done instead.
pub(super) const REMEDY: &str = "use the model as it was before, or a copy in GGUF, compressed-tensors (pack-quantized, int-quantized or \
     float-quantized), GPTQ, AWQ (gemm), fp8 or MLX (affine)";

/// Nothing bounds what a file may call a method.
const LONGEST_SHOWN: usize = 60;

/// Methods, and what is to be said of them.
const METHODS: [(&str, &str); 26] = [
    ("bitsandbytes", "bitsandbytes stores codes of its own (nf4, fp4, int8), which its library alone reads"),
    ("hqq", "HQQ packs its groups in an order of its own"),
    ("aqlm", "AQLM stores sums of codebooks"),
    ("vptq", "VPTQ stores vectors of codebooks"),
    ("higgs", "HIGGS stores vectors of codebooks on rotated weights"),
    ("quanto", "quanto stores its own classes of tensors"),
    ("torchao", "torchao stores its own classes of tensors"),
    ("eetq", "EETQ orders int8 weights for its own kernels"),
    ("exl2", "ExLlamaV2 mixes widths in an order for its own kernels"),
    ("exl3", "ExLlamaV3 stores trellis codes on rotated weights"),
    ("bitblas", "BitBLAS orders weights for its own kernels"),
    ("marlin", "Marlin orders weights for its own kernels"),
    ("qqq", "QQQ orders weights for its own kernels"),
    ("spqr", "SpQR stores outliers beside its groups"),
    ("bitnet", "BitNet packs ternary weights, and its layers are computed otherwise"),
    ("nvfp4", "NVFP4 has floats of 4 bits"),
    ("mxfp4", "MXFP4 has floats of 4 bits"),
    ("mxfp8", "MXFP8 has scales of powers of two for each 32 floats"),
    ("modelopt", "ModelOpt's checkpoints are laid out for TensorRT-LLM"),
    ("modelopt_fp4", "ModelOpt's checkpoints are laid out for TensorRT-LLM"),
    ("fbgemm_fp8", "FBGEMM's FP8 is laid out for its own kernels"),
    ("quark", "Quark's checkpoints are not laid out as those of other methods are"),
    ("fp_quant", "FP-Quant stores floats of 4 bits on rotated weights"),
    ("paroquant", "ParoQuant rotates what goes into a layer"),
    ("auto-round", "AutoRound has layouts of its own; it can export to auto_gptq, auto_awq and llm_compressor"),
    ("intel/auto-round", "AutoRound has layouts of its own; it can export to auto_gptq, auto_awq and llm_compressor"),
];

/// Why a method is refused, and what to do.
pub(super) fn reason(method: &str) -> String {
    let known = METHODS.iter().find(|(name, _)| name.eq_ignore_ascii_case(method));
    let method: String = method.chars().take(LONGEST_SHOWN).collect();
    match known {
        Some((_, why)) => format!("the weights are quantized by {method}, which rerank does not read: {why}; {REMEDY}"),
        None => format!("the weights are quantized by `{method}`, which rerank does not know; {REMEDY}"),
    }
}

/// Why a layout of a known method is refused, and what to do.
pub(super) fn layout(method: &str, name: &str, value: &str) -> String {
    let value: String = value.chars().take(LONGEST_SHOWN).collect();
    format!("{name} is `{value}`, a layout of {method} that rerank does not read; {REMEDY}")
}

/// Whether a configuration without a method is one of bitsandbytes.
pub(super) fn is_bitsandbytes(fields: Fields<'_>) -> bool {
    ["load_in_4bit", "load_in_8bit"]
        .iter()
        .any(|name| fields.get(name).is_some_and(|value| *value == Value::Bool(true)))
}
