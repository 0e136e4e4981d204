//! The command line of `rerank serve`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{BatchArguments, CacheArguments, ModelArguments, RecipeArguments, VerbosityArguments, values};

/// The options of `rerank serve`.
#[derive(Debug, Args)]
pub struct ServeArguments {
    /// Address
    #[command(flatten, next_help_heading = "Address")]
    pub address: AddressArguments,

    /// Limits
    #[command(flatten, next_help_heading = "Limits")]
    pub limits: LimitArguments,

    /// Model
    #[command(flatten, next_help_heading = "Model")]
    pub model: ModelArguments,

    /// Recipe
    #[command(flatten, next_help_heading = "Recipe")]
    pub recipe: RecipeArguments,

    /// Batches
    #[command(flatten, next_help_heading = "Batches")]
    pub batch: BatchArguments,

    /// Cache
    #[command(flatten, next_help_heading = "Cache")]
    pub cache: CacheArguments,

    /// Running
    #[command(flatten, next_help_heading = "Running")]
    pub running: ServeRunningArguments,
}

/// Where the service listens, and to whom.
#[derive(Debug, Args)]
pub struct AddressArguments {
    /// The address to listen on: a name or a number. 0.0.0.0 and :: let other machines in; give --api-key-file with them
    #[arg(long, value_name = "HOST", default_value = "127.0.0.1")]
    pub host: String,

    /// The port; 0 takes a free one. The address is printed once it is open
    #[arg(long, value_name = "PORT", default_value_t = 8000)]
    pub port: u16,

    /// Serve only those who send one of the keys in this file, one a line without comments, as `Authorization: Bearer KEY` or
    /// `X-API-Key: KEY` [default: the keys in RERANK_API_KEY, one a line, or no key]
    #[arg(long, value_name = "FILE")]
    pub api_key_file: Option<PathBuf>,

    /// Let pages of these origins call the service, as `https://example.org`; * lets all. Pages of others get status 403, but for those
    /// that were loaded from the service's own address
    #[arg(long, value_name = "ORIGIN,…", value_delimiter = ',')]
    pub cors: Vec<String>,

    /// The dialect of /rerank and /v1/rerank, where a request's body does not settle it; /rerank/v1/rerank is always of the dialect `rerank`
    #[arg(long, value_name = "NAME")]
    pub dialect: Option<String>,

    /// The names by which clients may ask for the model; responses give it the first [default: that of --model]. A client that
    /// names no model gets it, too; one that names another gets status 404
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    pub served_model_name: Vec<String>,
}

/// What the service takes on.
#[derive(Debug, Args)]
pub struct LimitArguments {
    /// Most bytes of a request's body
    #[arg(long, value_name = "SIZE", value_parser = values::size, default_value = "32MiB")]
    pub max_body: u64,

    /// Most documents of a request
    #[arg(long, value_name = "N", value_parser = values::count, default_value_t = 10_000, allow_negative_numbers = true)]
    pub max_documents: u64,

    /// Most characters of a query, a document, an instruction or another text of a request; a longer one is refused, whatever would be
    /// cut of it
    #[arg(long, value_name = "N", value_parser = values::count, default_value_t = 1_000_000, allow_negative_numbers = true)]
    pub max_characters: u64,

    /// Most pairs that wait or are computed; requests that bring more are refused with status 429
    #[arg(long, value_name = "PAIRS", value_parser = values::count, default_value_t = 100_000, allow_negative_numbers = true)]
    pub max_queue_pairs: u64,

    /// Most bytes of bodies, texts and responses that are held; requests that bring more are refused with status 429. With what is
    /// made of them, they take up to twice as much memory
    #[arg(long, value_name = "SIZE", value_parser = values::size, default_value = "256MiB")]
    pub max_queue_size: u64,

    /// Most connections at a time; for a new one, that which has been idle longest is closed
    #[arg(long, value_name = "N", value_parser = values::count, default_value_t = 1024, allow_negative_numbers = true)]
    pub max_connections: u64,

    /// Seconds after which a request that is not answered is given up with status 504. A client has as long to send the request,
    /// and to take the response. The header X-Request-Timeout of a request states fewer seconds
    #[arg(long, value_name = "SECONDS", value_parser = values::count, default_value_t = 120, allow_negative_numbers = true)]
    pub request_timeout: u64,

    /// Seconds for which requests at hand are waited for when the service is to end; those that take longer get status 503
    #[arg(long, value_name = "SECONDS", value_parser = values::count, default_value_t = 30, allow_negative_numbers = true)]
    pub drain_timeout: u64,
}

/// How the service runs.
#[derive(Debug, Args)]
pub struct ServeRunningArguments {
    /// Threads that compute [default: all cores, or RAYON_NUM_THREADS]
    #[arg(short, long, value_name = "N", value_parser = values::threads, allow_negative_numbers = true)]
    pub threads: Option<u64>,

    /// How messages are printed on standard error; json also prints every request that asks for scores or is refused, without its
    /// texts. With --verbose, all requests are printed
    #[arg(long, value_name = "FORMAT", value_enum, ignore_case = true, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,

    /// Print metrics under the names of another server, too
    #[arg(long, value_name = "SERVER", value_enum, ignore_case = true)]
    pub metrics_alias: Option<MetricsAlias>,

    /// How much is printed
    #[command(flatten)]
    pub verbosity: VerbosityArguments,
}

/// `--log-format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Sentences.
    Text,
    /// A JSON object a line.
    Json,
}

/// `--metrics-alias`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum MetricsAlias {
    /// text-embeddings-inference, on whose names dashboards and autoscalers are built.
    Tei,
}
