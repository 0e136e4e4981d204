//! Checks the table of SentencePiece's normalizer, in which a text's characters are looked up. The library allocates what the
//! table states as its size before it reads what is there, which is gigabytes where four bytes are damaged.

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::Value;

/// The field of a normalizer that holds the table.
const FIELD: &str = "precompiled_charsmap";

/// Bytes in front of the table, which state its size.
const SIZE: usize = size_of::<u32>();

/// Base64 as the library reads it, with or without the signs at its end.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Checks the tables in a normalizer, which may be a sequence of others.
///
/// # Errors
/// If a table is longer than what is there.
pub(super) fn check(normalizer: &Value) -> Result<()> {
    match normalizer {
        Value::Object(fields) => fields.iter().try_for_each(|(name, value)| match value {
            Value::String(table) if name == FIELD => check_table(table),
            part => check(part),
        }),
        Value::Array(parts) => parts.iter().try_for_each(check),
        _ => Ok(()),
    }
}

fn check_table(text: &str) -> Result<()> {
    let bytes = BASE64.decode(text).with_context(|| format!("the {FIELD} of its normalizer is damaged"))?;
    let (size, table) =
        bytes.split_first_chunk::<SIZE>().with_context(|| format!("the {FIELD} of its normalizer is empty"))?;
    let size = u32::from_le_bytes(*size) as usize;
    ensure!(
        size <= table.len(),
        "the {FIELD} of its normalizer is damaged: it states a table of {size} bytes, and has {}",
        table.len()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_table_is_no_longer_than_what_is_there() {
        let of = |size: u32, rest: usize| BASE64.encode([&size.to_le_bytes()[..], &vec![0; rest]].concat());
        let normalizer = |table: &str| json!({"normalizers": [{"type": "NFC"}, {"type": "Precompiled", FIELD: table}]});
        for (size, rest, fits) in [(0, 0, true), (8, 8, true), (8, 20, true), (8, 7, false), (u32::MAX, 100, false)] {
            let checked = check(&normalizer(&of(size, rest)));
            assert_eq!(checked.is_ok(), fits, "{size} {rest}");
            assert!(fits || checked.unwrap_err().to_string().contains(&size.to_string()));
        }
        assert!(check(&normalizer(of(8, 8).trim_end_matches('='))).is_ok());
        assert!(check(&normalizer("")).is_err() && check(&normalizer("A?")).is_err());
        assert!(check(&json!({"type": "Lowercase"})).is_ok() && check(&Value::Null).is_ok());
    }
}
