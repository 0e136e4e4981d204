//! Whether a double holds the numbers of a JSON text.

/// Whether each number in a JSON text that is no integer of 64 bits is what a double prints: others would be rounded without a word.
pub(super) fn is_exact(json: &str) -> bool {
    let mut in_text = false;
    let mut is_escaped = false;
    let mut rest = json;
    while let Some(character) = rest.chars().next() {
        let length = if in_text || !(character.is_ascii_digit() || character == '-') {
            (in_text, is_escaped) = match character {
                '"' if !is_escaped => (!in_text, false),
                '\\' => (in_text, in_text && !is_escaped),
                _ => (in_text, false),
            };
            character.len_utf8()
        } else {
            let number = rest.split(|other: char| !(other.is_ascii_digit() || "+-.eE".contains(other))).next();
            let number = number.unwrap_or_default();
            if !is_held(number) {
                return false;
            }
            number.len()
        };
        rest = rest.get(length..).unwrap_or_default();
    }
    true
}

/// Whether a number is an integer of 64 bits, or has the digits that its double prints.
fn is_held(number: &str) -> bool {
    if number.parse::<i64>().is_ok() {
        return true;
    }
    let printed = number.parse::<f64>().ok().filter(|double| double.is_finite());
    printed.is_some_and(|double| digits(&format!("{double:e}")) == digits(number))
}

/// The digits of a number without zeros around them, and the power of ten of the last one; none if it is zero.
fn digits(number: &str) -> Option<(String, i64)> {
    let number = number.trim_start_matches('-');
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{whole}{fraction}");
    let kept = all.trim_end_matches('0');
    let power = exponent.parse::<i64>().ok()? - fraction.len() as i64 + (all.len() - kept.len()) as i64;
    let kept = kept.trim_start_matches('0');
    (!kept.is_empty()).then(|| (kept.to_owned(), power))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_a_double_rounds_is_found() {
        for json in [
            "1234567890123456789.01",
            "18446744073709551617",
            "[1,{\"a\":0.12345678901234567890}]",
            "1e400",
            "-9223372036854775809",
        ] {
            assert!(!is_exact(json), "{json}");
        }
        for json in [
            "0",
            "-0.0",
            "9007199254740993",
            "1.50",
            "100e-2",
            "0.1",
            "1E3",
            "\"1234567890123456789.01\"",
            r#"{"a\"1234567890123456789.01":[1.25,true,null]}"#,
            "5e-324",
            "18446744073709552000",
        ] {
            assert!(is_exact(json), "{json}");
        }
    }

    proptest! {
        #[test]
        fn what_a_double_prints_it_holds(double: f64, integer: i64) {
            prop_assume!(double.is_finite());
            let json = format!("[{double},{double:e},{integer}]");
            prop_assert!(is_exact(&json), "{}", json);
        }
    }
}
