//! The options of documents that are longer than fits.

use clap::{Args, ValueEnum};

use super::values;

/// What becomes of documents that are longer than fits.
#[derive(Clone, Debug, Args)]
pub struct LongArguments {
    /// How a document is scored that is longer than fits beside its query: cut to what fits, or in overlapping passages that end
    /// with a sentence or a line, each with the title in front
    #[arg(long, value_name = "HOW", value_enum, ignore_case = true, default_value_t = LongChoice::Truncate)]
    pub long: LongChoice,

    /// Most tokens of a passage, its title and its query not counted; longer documents are cut into several [default: what fits]
    #[arg(long, value_name = "TOKENS", value_parser = values::count, allow_negative_numbers = true)]
    pub passage_tokens: Option<u64>,

    /// Tokens from the beginning of a passage to that of the next, or fewer, so that it begins with a sentence and nothing is left out [default: three
    /// quarters of --passage-tokens]
    #[arg(long, value_name = "TOKENS", value_parser = values::count, allow_negative_numbers = true)]
    pub stride: Option<u64>,
}

/// `--long`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LongChoice {
    /// Only the beginning that fits is scored
    Truncate,
    /// The best passage's logit is the document's (MaxP)
    Max,
    /// The mean of all passages' logits is the document's
    Mean,
    /// Only the first passage is scored (FirstP)
    First,
}
