//! The command line of `rerank bench`.

use clap::Args;

use super::{BatchArguments, DtypeChoice, VerbosityArguments, values};
use crate::bench::{Shape, Workload};
use crate::device::DeviceChoice;

/// The options of `rerank bench`.
#[derive(Debug, Args)]
pub struct BenchArguments {
    /// The model, as with --model
    #[arg(value_name = "MODEL", conflicts_with_all = ["model", "shape"])]
    pub named: Option<String>,

    /// Synthetic queries: 100 passages of about 75 tokens, 50 chunks of 400, 10 documents of 2,000 to 8,000
    #[arg(short, long, value_name = "WORKLOAD,…", value_enum, value_delimiter = ',', default_value = "passage")]
    pub workload: Vec<Workload>,

    /// Pairs of each workload [default: one query's candidates]
    #[arg(short, long, value_name = "PAIRS", value_parser = values::count, allow_negative_numbers = true)]
    pub pairs: Option<u64>,

    /// A directory, or the id of a model on the Hugging Face hub, instead of random weights
    #[arg(short, long, value_name = "MODEL", conflicts_with = "shape")]
    pub model: Option<String>,

    /// An adapter (LoRA) that is merged into the model: its directory, or its id on the Hugging Face hub
    #[arg(long, value_name = "ADAPTER", conflicts_with = "shape")]
    pub adapter: Vec<String>,

    /// The shape of a model, with random weights made in memory
    #[arg(short, long, value_name = "SHAPE", value_enum, default_value = "qwen3-0.6b")]
    pub shape: Shape,

    /// Where to compute: auto, cpu, cuda or cuda:N
    #[arg(long, value_name = "DEVICE", default_value = "auto", value_parser = values::DeviceParser, hide_possible_values = true)]
    pub device: DeviceChoice,

    /// The most memory that is used on each GPU, as 8GiB; layers that do not fit there stay in host memory and are uploaded for each
    /// batch [default: all that is free]
    #[arg(long, value_name = "SIZE", value_parser = values::size)]
    pub gpu_memory: Option<u64>,

    /// Precision of the products' operands [auto: as in a run; random weights count as stored in bf16]
    #[arg(long, value_name = "DTYPE", value_enum, ignore_case = true, default_value_t = DtypeChoice::Auto)]
    pub dtype: DtypeChoice,

    /// How pairs are packed
    #[command(flatten)]
    pub batch: BatchArguments,

    /// Threads that compute [default: all cores, or RAYON_NUM_THREADS]
    #[arg(short, long, value_name = "N", value_parser = values::threads, allow_negative_numbers = true)]
    pub threads: Option<u64>,

    /// How much is printed
    #[command(flatten)]
    pub verbosity: VerbosityArguments,

    /// Repetitions, of which the median is reported
    #[arg(short, long, value_name = "N", default_value_t = 3, value_parser = values::count, allow_negative_numbers = true)]
    pub repeat: u64,

    /// Print a JSON object for each workload
    #[arg(long)]
    pub json: bool,
}
