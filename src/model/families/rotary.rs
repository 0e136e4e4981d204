//! The rotary embedding of a configuration, as transformers reads it: `rope_scaling` takes the place of `rope_parameters`, what
//! stands in it goes before what stands beside it, and a missing base is 10,000.

use anyhow::{Context, Result, bail, ensure};

use crate::fields::Fields;
use crate::model::{Rotary, RotaryScaling};

const DEFAULT_THETA: f64 = 1e4;
/// Beyond every model; frequencies far smaller than its inverse are 0 in f32.
const LARGEST_THETA: f64 = 1e15;
/// What is understood of the objects that describe a rotary embedding.
const KNOWN: [&str; 4] = ["rope_type", "type", "rope_theta", "partial_rotary_factor"];
/// The largest factor, far above those of models.
const LARGEST_FACTOR: f64 = 1e6;

/// Reads the rotary embedding of heads of `head_dim` features.
///
/// # Errors
/// If it is scaled in a way that is not supported, or turns a part of the features only.
pub(super) fn read(fields: Fields<'_>, head_dim: usize) -> Result<Rotary> {
    let mut objects = Vec::new();
    for name in ["rope_scaling", "rope_parameters"] {
        objects.extend(fields.object(name)?.filter(|object| !object.is_empty()).map(|object| (name, object)));
    }
    let (mut theta, mut factor, mut scaling) = (None, None, RotaryScaling::None);
    if let Some(&(name, object)) = objects.first() {
        let known;
        (scaling, known) = read_scaling(object, fields).with_context(|| name.to_owned())?;
        if let Some(other) = object.others(&[&KNOWN, known].concat()).first() {
            bail!("{name} has `{other}`, which this version of rerank does not know");
        }
        (theta, factor) = (object.number("rope_theta")?, object.number("partial_rotary_factor")?);
    }
    let factor = factor.or(fields.number("partial_rotary_factor")?).unwrap_or(1.);
    ensure!(factor == 1., "partial_rotary_factor {factor} is not supported, only 1");
    let theta = theta.or(fields.number("rope_theta")?).unwrap_or(DEFAULT_THETA);
    ensure!((1. ..=LARGEST_THETA).contains(&theta), "rope_theta is {theta:e}, and can be from 1 to {LARGEST_THETA:e}");
    Ok(Rotary { scaling, ..Rotary::of_theta(theta, head_dim) })
}

/// The scaling that an object describes, and the fields that it is read from.
fn read_scaling(object: Fields<'_>, fields: Fields<'_>) -> Result<(RotaryScaling, &'static [&'static str])> {
    let kind = object.text("rope_type")?.or(object.text("type")?).unwrap_or("default");
    let number = |field: &str| object.number(field)?.with_context(|| format!("`{kind}` needs {field}"));
    let factor = || {
        let factor = number("factor")?;
        ensure!(
            (1. ..=LARGEST_FACTOR).contains(&factor),
            "factor is {factor}, and can be from 1 to {LARGEST_FACTOR:e}"
        );
        Ok(factor)
    };
    Ok(match kind {
        "default" => (RotaryScaling::None, &[]),
        "linear" => (RotaryScaling::Linear(factor()?), &["factor"]),
        "llama3" => {
            let original = object.size("original_max_position_embeddings")?;
            let original = original.or(fields.size("max_position_embeddings")?);
            let (low, high) = (number("low_freq_factor")?, number("high_freq_factor")?);
            ensure!(low < high, "low_freq_factor is {low}, and should be below high_freq_factor, {high}");
            let scaling = RotaryScaling::Llama3 {
                factor: factor()?,
                low_frequency_factor: low,
                high_frequency_factor: high,
                original_length: original.context("`llama3` needs original_max_position_embeddings")? as f64,
            };
            (scaling, &["factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"])
        }
        kind => bail!("rope scaling `{kind}` is not supported, only default, linear and llama3"),
    })
}
