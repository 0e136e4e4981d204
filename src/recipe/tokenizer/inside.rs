//! Some tokenizers put a space before the first word of a whole prompt only: text that goes on behind a control token has none.

use anyhow::{Result, anyhow};
use serde_json::Value;
use tokenizers::{PreTokenizerWrapper, Tokenizer};

/// The tokenizer of such texts, where it is another.
pub(super) fn inside(text: &Tokenizer) -> Result<Option<Tokenizer>> {
    let Some(pre_tokenizer) = text.get_pre_tokenizer() else { return Ok(None) };
    let mut parts = serde_json::to_value(pre_tokenizer)?;
    if !without_first_space(&mut parts) {
        return Ok(None);
    }
    let pre_tokenizer: PreTokenizerWrapper =
        serde_json::from_value(parts).map_err(|error| anyhow!("the pre_tokenizer can't be changed: {error}"))?;
    let mut inside = text.clone();
    inside.with_pre_tokenizer(Some(pre_tokenizer));
    Ok(Some(inside))
}

/// Turns off the space of every part that adds one to the first word, and returns whether one did.
fn without_first_space(parts: &mut Value) -> bool {
    let mut changed = false;
    match parts {
        Value::Object(part) => {
            if part.get("prepend_scheme").is_some_and(|scheme| scheme == "first") {
                part.insert("prepend_scheme".to_owned(), "never".into());
                changed = true;
            }
            part.values_mut().for_each(|value| changed |= without_first_space(value));
        }
        Value::Array(list) => list.iter_mut().for_each(|value| changed |= without_first_space(value)),
        _ => {}
    }
    changed
}
