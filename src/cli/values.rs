//! Parsers of option values, whose messages name what is expected.

use clap::builder::{PossibleValue, TypedValueParser};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command};

use crate::device::DeviceChoice;
use crate::shard::MOST_SHARDS;

/// A whole number from 1.
pub(super) fn count(text: &str) -> Result<u64, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("a whole number from 1 is expected".to_owned()),
        Ok(count) => Ok(count),
    }
}

/// A number of shards.
pub(super) fn shards(text: &str) -> Result<u32, String> {
    let count = text.parse().ok().filter(|count| (1..=MOST_SHARDS).contains(count));
    count.ok_or_else(|| format!("a whole number from 1 to {MOST_SHARDS} is expected"))
}

/// A number above 0.
pub(super) fn positive(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number: &f64| number.is_finite() && *number > 0.);
    number.ok_or_else(|| "a number above 0 is expected".to_owned())
}

/// A number from 0.
pub(super) fn not_negative(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number: &f64| number.is_finite() && *number >= 0.);
    number.ok_or_else(|| "a number from 0 is expected".to_owned())
}

/// `--top-k`.
pub(super) fn top_k(text: &str) -> Result<u64, String> {
    count(text).map_err(|problem| format!("{problem}; leave --top-k out to keep all candidates"))
}

/// `--threads`.
pub(super) fn threads(text: &str) -> Result<u64, String> {
    let expected = "a whole number from 1 to 1024 is expected; leave --threads out for all cores";
    count(text).ok().filter(|threads| *threads <= 1024).ok_or_else(|| expected.to_owned())
}

/// `--min-score`.
pub(super) fn score(text: &str) -> Result<f32, String> {
    let score = text.parse().ok().filter(|score: &f32| score.is_finite());
    score.ok_or_else(|| "a number is expected: as in 0.5 for a probability from 0 to 1, or for a logit".to_owned())
}

/// `--device`. Shells complete the names without a number; `cuda:N` is parsed too.
#[derive(Clone)]
pub(super) struct DeviceParser;

impl TypedValueParser for DeviceParser {
    type Value = DeviceChoice;

    fn parse_ref(
        &self,
        command: &Command,
        argument: Option<&Arg>,
        value: &std::ffi::OsStr,
    ) -> Result<DeviceChoice, clap::Error> {
        value.to_string_lossy().parse().map_err(|problem: String| {
            let mut error = clap::Error::new(ErrorKind::ValueValidation).with_cmd(command);
            if let Some(argument) = argument {
                error.insert(ContextKind::InvalidArg, ContextValue::String(argument.to_string()));
            }
            error.insert(ContextKind::InvalidValue, ContextValue::String(value.to_string_lossy().into_owned()));
            error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![problem.into()]));
            error
        })
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(["auto", "cpu", "cuda", "cuda:all"].into_iter().map(PossibleValue::new)))
    }
}

/// A number of bytes, as `500MB`, `20 GB`, `1GiB` or `1000000`.
pub(super) fn size(text: &str) -> Result<u64, String> {
    let trimmed = text.trim();
    let digits = trimmed.find(|character: char| !character.is_ascii_digit()).unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(digits);
    let factor = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => Some(1),
        "kb" | "k" => Some(1000),
        "mb" | "m" => Some(1_000_000),
        "gb" | "g" => Some(1_000_000_000),
        "tb" | "t" => Some(1_000_000_000_000),
        "kib" => Some(1 << 10),
        "mib" => Some(1 << 20),
        "gib" => Some(1 << 30),
        "tib" => Some(1 << 40),
        _ => None,
    };
    let bytes =
        number.parse::<u64>().ok().zip(factor).and_then(|(number, factor): (u64, u64)| number.checked_mul(factor));
    bytes.ok_or_else(|| "a size is expected: as 500MB, 20GB, or a number of bytes".to_owned())
}
