//! How a measure is written: `NAME(parameter=value, …)@value`, as ir_measures writes it.

use anyhow::{Context, Result, bail, ensure};

/// The parts of a measure's text, none of which has been looked up yet.
#[derive(Debug, PartialEq)]
pub(super) struct Notation<'a> {
    pub(super) name: &'a str,
    /// Names and values, as written.
    pub(super) parameters: Vec<(&'a str, &'a str)>,
    /// What stands behind `@`.
    pub(super) at: Option<&'a str>,
}

impl<'a> Notation<'a> {
    /// Takes the text apart.
    pub(super) fn parse(text: &'a str) -> Result<Self> {
        let (name, rest) = text.split_at(text.find(['(', '@']).unwrap_or(text.len()));
        let (inside, rest) = match rest.strip_prefix('(') {
            Some(rest) => closed(rest).with_context(|| format!("the parenthesis in {text:?} is never closed"))?,
            None => ("", rest),
        };
        let rest = rest.trim();
        let at = match rest.strip_prefix('@') {
            Some(at) => Some(at.trim()),
            None if rest.is_empty() => None,
            None => bail!("{rest:?} cannot follow the parenthesis in {text:?}; a cutoff is written as @10"),
        };
        let name = name.trim();
        ensure!(!name.is_empty(), "{text:?} has no name of a measure; write for example nDCG@10");
        Ok(Self { name, parameters: pairs(inside)?, at })
    }
}

/// Splits what is inside a parenthesis from what follows it.
fn closed(text: &str) -> Option<(&str, &str)> {
    let (inside, rest) = text.split_at(end(text, |character| character == ')')?);
    Some((inside, &rest[1..]))
}

/// Splits `a=1, b={0:1,1:2}` at the commas that are not inside brackets or quotes.
fn pairs(text: &str) -> Result<Vec<(&str, &str)>> {
    let mut pairs = Vec::new();
    let mut rest = text;
    while !rest.trim().is_empty() {
        let comma = end(rest, |character| character == ',').unwrap_or(rest.len());
        let pair = &rest[..comma];
        let (name, value) = pair
            .split_once('=')
            .with_context(|| format!("{:?} is not a parameter; write it as name=value", pair.trim()))?;
        pairs.push((name.trim(), value.trim()));
        rest = rest.get(comma + 1..).unwrap_or_default();
    }
    Ok(pairs)
}

/// Splits a list of measures at commas and spaces that are not inside brackets or quotes. Pieces of digits and signs belong to
/// the name before them, as in `P.5,10` and `utility_2,-1,0,0`.
pub(super) fn items(text: &str) -> Vec<String> {
    let mut items: Vec<String> = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let length = end(rest, |character| character == ',' || character.is_whitespace()).unwrap_or(rest.len());
        let item = &rest[..length];
        match items.last_mut() {
            _ if item.is_empty() => {}
            Some(last) if item.chars().all(|character| character.is_ascii_digit() || "-.=".contains(character)) => {
                last.push(',');
                last.push_str(item);
            }
            _ => items.push(item.to_owned()),
        }
        rest = rest[length..].chars().next().map_or("", |separator| &rest[length + separator.len_utf8()..]);
    }
    items
}

/// Where such a character stands outside of brackets and quotes.
fn end(text: &str, is_wanted: impl Fn(char) -> bool) -> Option<usize> {
    let mut depth = 0_usize;
    let mut quote = None;
    for (place, character) in text.char_indices() {
        match (quote, character) {
            (Some(open), _) if character == open => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(character),
            (None, _) if depth == 0 && is_wanted(character) => return Some(place),
            (None, '(' | '[' | '{') => depth += 1,
            (None, ')' | ']' | '}') => depth = depth.saturating_sub(1),
            (None, _) => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_measure_is_taken_apart() {
        let notation = Notation::parse("nDCG(dcg='exp-log2', gains={0:0,1:3}) @ 10").expect("it is well formed");
        let parameters = vec![("dcg", "'exp-log2'"), ("gains", "{0:0,1:3}")];
        assert_eq!(notation, Notation { name: "nDCG", parameters, at: Some("10") });
        let plain = Notation { name: "AP", parameters: Vec::new(), at: None };
        assert_eq!(Notation::parse(" AP() ").expect("it is well formed"), plain);
    }

    #[test]
    fn what_cannot_be_read_is_quoted() {
        for (text, message) in [
            ("AP(rel=2", "never closed"),
            ("AP(rel=2)10", "\"10\" cannot follow"),
            ("AP(2)", "\"2\" is not a parameter"),
            ("@10", "no name of a measure"),
        ] {
            let error = Notation::parse(text).expect_err(text).to_string();
            assert!(error.contains(message), "{error}");
        }
    }
}
