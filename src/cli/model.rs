//! The options of the model, its device and its batches.

use clap::{Args, ValueEnum};

use super::values;
use crate::device::DeviceChoice;

/// Which model scores, and how.
#[derive(Clone, Debug, Args)]
pub struct ModelArguments {
    /// A directory, a GGUF file, or the id of a model on the Hugging Face hub, with a GGUF file of its repository behind a colon,
    /// or its quantization (owner/name:file.gguf, owner/name:Q4_K_M); `fake` scores by shared words, without a model
    #[arg(short, long, value_name = "MODEL", default_value = "Qwen/Qwen3-Reranker-0.6B")]
    pub model: String,

    /// Branch, tag or commit of a model on the hub
    #[arg(long, value_name = "REVISION", default_value = "main")]
    pub revision: String,

    /// An adapter (LoRA) in the format of PEFT that is merged into the model: a directory with adapter_config.json and
    /// adapter_model.safetensors, or its id on the Hugging Face hub; one that stands beside the model's weights is merged by itself
    #[arg(long, value_name = "ADAPTER")]
    pub adapter: Vec<String>,

    /// Use downloaded files only
    #[arg(long)]
    pub offline: bool,

    /// Longest prompt in tokens; longer documents are cut [default: 8192, or the limit of the recipe or the model]
    #[arg(long, value_name = "TOKENS", value_parser = values::count, allow_negative_numbers = true)]
    pub max_length: Option<u64>,

    /// Where to compute: auto, cpu, cuda, cuda:N, or several: cuda:0,1 or cuda:all
    #[arg(long, value_name = "DEVICE", default_value = "auto", value_parser = values::DeviceParser, hide_possible_values = true)]
    pub device: DeviceChoice,

    /// The most memory that is used on each GPU, as 8GiB; layers that do not fit there stay in host memory and are uploaded for each
    /// batch [default: all that is free]
    #[arg(long, value_name = "SIZE", value_parser = values::size)]
    pub gpu_memory: Option<u64>,

    /// Precision of the products' operands; sums are f32, of whole numbers exact. f32 rounds nothing: logits within 1e-4 of the
    /// reference. bf16 is off by hundredths, by 0.2 to 1.3 at most where attention is sharply peaked. int8 takes half of bf16's memory
    /// and is rough: off by up to 0.1 on well-behaved models, by 1.3 to 8.4 at most where attention is sharply peaked, where 7% of
    /// pairs change places; check it on your own data. int16 is nearer to f32 than bf16 is, takes as much
    /// memory, and multiplies twice as fast as f32 where the processor has VNNI. fp8 is for GPUs like H100 and H200, takes half of bf16's
    /// memory, and is rougher than int8 [auto: on the CPU the checkpoint's own precision where a measurement at the
    /// start finds it clearly faster than f32 (bf16 with AMX or on Zen 5), else f32; on a GPU bf16]
    #[arg(long, value_name = "DTYPE", value_enum, ignore_case = true, default_value_t = DtypeChoice::Auto)]
    pub dtype: DtypeChoice,
}

/// How pairs are packed into forward passes. On the CPU no score depends on it.
#[derive(Clone, Debug, Args)]
pub struct BatchArguments {
    /// Most pairs in a batch [default: 256, on a GPU 2048]
    #[arg(short, long, value_name = "PAIRS", value_parser = values::count, allow_negative_numbers = true)]
    pub batch_size: Option<u64>,

    /// Most computed tokens in a batch; bounds the memory (a longer pair runs alone) [default: 4096, on a GPU what fits into
    /// its memory, up to 32768]
    #[arg(long, value_name = "TOKENS", value_parser = values::count, allow_negative_numbers = true)]
    pub max_batch_tokens: Option<u64>,

    /// Compute every prompt whole (for measuring what shared prefixes save)
    #[arg(long, hide = true)]
    pub no_prefix_sharing: bool,
}

/// `--dtype`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DtypeChoice {
    /// The precision of the checkpoint where that is clearly faster than f32, else f32; on a GPU bf16.
    Auto,
    /// 32-bit floats.
    #[value(aliases = ["fp32", "float32"])]
    F32,
    /// Brain floats: 8 bits of precision, the range of f32.
    #[value(aliases = ["bfloat16"])]
    Bf16,
    /// Half floats: 11 bits of precision, up to 65,504.
    #[value(aliases = ["fp16", "float16"])]
    F16,
    /// Signed bytes in linear layers, weights scaled by output, activations by token: fast and rough.
    Int8,
    /// Whole numbers of 12 bits in linear layers: more exact than bf16, and on a CPU without fast units of bf16 faster than f32.
    Int16,
    /// 8-bit floats (E4M3) in linear layers, weights scaled by output, activations by token, on a GPU of Hopper's generation.
    #[value(aliases = ["float8", "e4m3"])]
    Fp8,
}
