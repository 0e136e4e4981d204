//! The command line of `rerank check`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{RecipeArguments, VerbosityArguments, values};
use crate::device::DeviceChoice;

/// All other options of `rerank check`, none of which a list has a use for.
const NOT_WITH_LIST: [&str; 18] = [
    "named",
    "model",
    "revision",
    "adapter",
    "offline",
    "max_length",
    "device",
    "gpu_memory",
    "dtype",
    "golden",
    "compared_as",
    "format",
    "threads",
    "quiet",
    "verbose",
    "recipe",
    "instruction",
    "score",
];

/// The options of `rerank check`.
#[derive(Debug, Args)]
pub struct CheckArguments {
    /// The model, as with --model
    #[arg(value_name = "MODEL", conflicts_with = "model")]
    pub named: Option<String>,

    /// A directory, or the id of a model on the Hugging Face hub
    #[arg(short, long, value_name = "MODEL", default_value = "Qwen/Qwen3-Reranker-0.6B")]
    pub model: String,

    /// Branch, tag or commit of a model on the hub
    #[arg(long, value_name = "REVISION", default_value = "main")]
    pub revision: String,

    /// An adapter (LoRA) that is merged into the model: its directory, or its id on the Hugging Face hub
    #[arg(long, value_name = "ADAPTER")]
    pub adapter: Vec<String>,

    /// Use downloaded files only
    #[arg(long)]
    pub offline: bool,

    /// Longest prompt in tokens; longer documents are cut [default: 8192, or the limit of the recipe or the model]
    #[arg(long, value_name = "TOKENS", value_parser = values::count, allow_negative_numbers = true)]
    pub max_length: Option<u64>,

    /// Where to compute: auto, cpu, cuda or cuda:N
    #[arg(long, value_name = "DEVICE", default_value = "auto", value_parser = values::DeviceParser, hide_possible_values = true)]
    pub device: DeviceChoice,

    /// The most memory that is used on each GPU, as 8GiB; layers that do not fit there stay in host memory and are uploaded for each
    /// batch [default: all that is free]
    #[arg(long, value_name = "SIZE", value_parser = values::size)]
    pub gpu_memory: Option<u64>,

    /// The precisions; auto is the one that a run takes, all are those that the device and the model have (int8 and int16 on the CPU only, fp8 on Hopper's GPUs only)
    #[arg(
        long,
        value_name = "DTYPE,…",
        value_enum,
        value_delimiter = ',',
        ignore_case = true,
        default_value = "f32,auto"
    )]
    pub dtype: Vec<CheckDtype>,

    /// Known scores of a file, in place of the published ones: a report that --format json has written, here or on another
    /// machine, or the same form with `query`, `documents`, `dtype`, and `logits` or `scores` (as a run prints them), and
    /// optionally `instruction`, `tolerance` (of a logit), `source` and `models` (names)
    #[arg(long, value_name = "FILE")]
    pub golden: Option<PathBuf>,

    /// The published model that this one is, where neither its id nor its folder's name states it; none compares with nothing
    #[arg(long = "as", value_name = "NAME")]
    pub compared_as: Option<String>,

    /// Print the names of the models of which published scores are known
    #[arg(long, conflicts_with_all = NOT_WITH_LIST)]
    pub list: bool,

    /// text is a table; json is for programs, and what --golden reads
    #[arg(long, value_name = "FORMAT", value_enum, ignore_case = true, default_value_t = CheckFormat::Text)]
    pub format: CheckFormat,

    /// Threads that compute [default: all cores, or RAYON_NUM_THREADS]
    #[arg(short, long, value_name = "N", value_parser = values::threads, allow_negative_numbers = true)]
    pub threads: Option<u64>,

    /// How much is printed
    #[command(flatten)]
    pub verbosity: VerbosityArguments,

    /// The recipe
    #[command(flatten)]
    pub recipe: RecipeArguments,
}

/// `--dtype`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CheckDtype {
    /// The precision that a run takes.
    Auto,
    /// 32-bit floats.
    #[value(aliases = ["fp32", "float32"])]
    F32,
    /// Brain floats.
    #[value(aliases = ["bfloat16"])]
    Bf16,
    /// Half floats.
    #[value(aliases = ["fp16", "float16"])]
    F16,
    /// Signed bytes in linear layers.
    Int8,
    /// Whole numbers of 12 bits in linear layers.
    Int16,
    /// 8-bit floats in linear layers, on a GPU of Hopper's generation.
    #[value(aliases = ["float8", "e4m3"])]
    Fp8,
    /// All that the device has.
    All,
}

/// `--format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CheckFormat {
    /// A table.
    Text,
    /// A JSON object.
    Json,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::CommandFactory;

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn a_list_is_asked_for_alone() {
        let cli = Cli::command();
        let check = cli.find_subcommand("check").unwrap();
        let others = check.get_arguments().map(|argument| argument.get_id().as_str());
        let others: BTreeSet<&str> = others.filter(|id| !["list", "help", "version"].contains(id)).collect();
        assert_eq!(others, NOT_WITH_LIST.into_iter().collect());
    }
}
