//! The rotary embedding of a configuration, as transformers reads it: `rope_scaling` takes the place of `rope_parameters`, what
//! stands in it goes before what stands beside it, and a missing base is 10,000.

use anyhow::{Result, bail, ensure};

use crate::fields::Fields;
use crate::model::Rotary;

const DEFAULT_THETA: f64 = 1e4;
/// Beyond every model; frequencies far smaller than its inverse are 0 in f32.
const LARGEST_THETA: f64 = 1e15;
/// What is understood of the objects that describe a rotary embedding.
const KNOWN: [&str; 4] = ["rope_type", "type", "rope_theta", "partial_rotary_factor"];

/// Reads the rotary embedding of heads of `head_dim` features.
///
/// # Errors
/// If it is scaled, or turns a part of the features only.
pub(super) fn read(fields: Fields<'_>, head_dim: usize) -> Result<Rotary> {
    let mut objects = Vec::new();
    for name in ["rope_scaling", "rope_parameters"] {
        objects.extend(fields.object(name)?.filter(|object| !object.is_empty()).map(|object| (name, object)));
    }
    let (mut theta, mut factor) = (None, None);
    if let Some(&(name, object)) = objects.first() {
        let kind = object.text("rope_type")?.or(object.text("type")?).unwrap_or("default");
        ensure!(kind == "default", "rope scaling `{kind}` is not supported ({name})");
        if let Some(other) = object.others(&KNOWN).first() {
            bail!("{name} has `{other}`, which this version of rerank does not know");
        }
        (theta, factor) = (object.number("rope_theta")?, object.number("partial_rotary_factor")?);
    }
    let factor = factor.or(fields.number("partial_rotary_factor")?).unwrap_or(1.);
    ensure!(factor == 1., "partial_rotary_factor {factor} is not supported, only 1");
    let theta = theta.or(fields.number("rope_theta")?).unwrap_or(DEFAULT_THETA);
    ensure!((1. ..=LARGEST_THETA).contains(&theta), "rope_theta is {theta:e}, and can be from 1 to {LARGEST_THETA:e}");
    Ok(Rotary::of_theta(theta, head_dim))
}
