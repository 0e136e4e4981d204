//! Windows of decoders, as transformers reads them: a token sees its own position and those before it, as many in all as the
//! window has. The farthest key stands one less away.

use anyhow::{Result, bail, ensure};

use crate::fields::Fields;

const FULL: &str = "full_attention";
const SLIDING: &str = "sliding_attention";

/// What transformers takes where the field is missing; one that is null stands for no window.
const DEFAULT_WINDOW: usize = 4096;
const DEFAULT_FIRST_LAYER: usize = 28;

/// No layer has a window.
pub(super) fn none(fields: Fields<'_>, layers: usize) -> Result<Vec<Option<usize>>> {
    for kind in kinds(fields, layers)? {
        ensure!(kind == FULL, "layer_types has `{kind}`, and this family has {FULL} only");
    }
    Ok(vec![None; layers])
}

/// Those of Qwen: the layers that `layer_types` names, or without it those from `max_window_layers` on; none of them without
/// `use_sliding_window`.
pub(super) fn of_qwen(fields: Fields<'_>, layers: usize) -> Result<Vec<Option<usize>>> {
    let window = if fields.flag("use_sliding_window")? { size(fields)? } else { None };
    let first = fields.count_from_zero("max_window_layers")?.unwrap_or(DEFAULT_FIRST_LAYER);
    let kinds = kinds(fields, layers)?;
    if kinds.is_empty() {
        return Ok((0..layers).map(|layer| window.filter(|_| layer >= first)).collect());
    }
    let of_layer = |kind: &&str| match (*kind, window) {
        (FULL, _) => Ok(None),
        (SLIDING, Some(_)) => Ok(window),
        (SLIDING, None) => {
            bail!("layer_types has `{SLIDING}`, and there is no use_sliding_window with a sliding_window")
        }
        (kind, _) => bail!("layer_types has `{kind}`, and only {FULL} and {SLIDING} are supported"),
    };
    kinds.iter().map(of_layer).collect()
}

/// Those of Mistral: all layers have one, or none has.
pub(super) fn of_mistral(fields: Fields<'_>, layers: usize) -> Result<Vec<Option<usize>>> {
    let window = size(fields)?;
    let usual = if window.is_some() { SLIDING } else { FULL };
    for kind in kinds(fields, layers)? {
        ensure!(
            kind == usual,
            "layer_types has `{kind}`, and by sliding_window every layer of this family is of the kind {usual}: \
             transformers does not read layer_types here"
        );
    }
    Ok(vec![window; layers])
}

fn size(fields: Fields<'_>) -> Result<Option<usize>> {
    if fields.is_null("sliding_window") {
        return Ok(None);
    }
    Ok(Some(fields.size("sliding_window")?.unwrap_or(DEFAULT_WINDOW) - 1))
}

/// What `layer_types` calls each layer; nothing if it is missing.
///
/// # Errors
/// If it has not one for each layer.
pub(super) fn kinds(fields: Fields<'_>, layers: usize) -> Result<Vec<&str>> {
    let kinds = fields.texts("layer_types")?;
    ensure!(
        kinds.is_empty() || kinds.len() == layers,
        "layer_types has {} entries, and there are {layers} layers",
        kinds.len()
    );
    Ok(kinds)
}
