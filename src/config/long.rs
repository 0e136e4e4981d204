//! Resolves the options of long documents.

use anyhow::{Result, ensure};

use crate::cli::{LongArguments, LongChoice};
use crate::passages::{Aggregation, Splitting};

/// How long documents are cut into passages; none, if they are cut to the maximum length.
///
/// # Errors
/// If options contradict each other.
pub(super) fn resolve_long(arguments: &LongArguments) -> Result<Option<Splitting>> {
    let LongArguments { long, passage_tokens, stride } = arguments;
    let aggregation = match long {
        LongChoice::Truncate => {
            let option = passage_tokens.map(|_| "--passage-tokens").or(stride.map(|_| "--stride"));
            ensure!(
                option.is_none(),
                "{} is of passages, and documents are not cut into any: add --long max, mean or first, or leave it out",
                option.unwrap_or_default()
            );
            return Ok(None);
        }
        LongChoice::Max => Aggregation::Max,
        LongChoice::Mean => Aggregation::Mean,
        LongChoice::First => Aggregation::First,
    };
    ensure!(
        stride.is_none() || aggregation != Aggregation::First,
        "--stride: of each document only the first passage is scored with --long first; leave one of them out"
    );
    if let (Some(tokens), Some(stride)) = (passage_tokens, stride) {
        ensure!(
            stride <= tokens,
            "--stride {stride} is more than --passage-tokens {tokens}, and text between two passages would not be scored; lower it"
        );
    }
    Ok(Some(Splitting {
        aggregation,
        tokens: passage_tokens.map(|tokens| tokens as usize),
        stride: stride.map(|stride| stride as usize),
    }))
}
