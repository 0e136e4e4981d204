//! The rotary embedding of a configuration, as transformers reads it: `rope_scaling` takes the place of `rope_parameters`, what
//! stands in it goes before what stands beside it, and a missing base is the family's.

use anyhow::{Context, Result, bail, ensure};

use crate::fields::Fields;
use crate::model::{Rotary, RotaryScaling};

/// The base that most families have where none is given.
pub(super) const USUAL_THETA: f64 = 1e4;
/// Beyond every model; frequencies far smaller than its inverse are 0 in f32.
const LARGEST_THETA: f64 = 1e15;
/// What is understood of the objects that describe a rotary embedding.
const KNOWN: [&str; 4] = ["rope_type", "type", "rope_theta", "partial_rotary_factor"];
/// The largest factor, far above those of models.
const LARGEST_FACTOR: f64 = 1e6;

/// Reads the rotary embedding of heads of `head_dim` features; `missing` is the base where none is given.
///
/// # Errors
/// If it is scaled in a way that is not supported, or turns a part of the features only.
pub(super) fn read(fields: Fields<'_>, head_dim: usize, missing: f64) -> Result<Rotary> {
    let missing = fields.number("rope_theta")?.unwrap_or(missing);
    let part = fields.number("partial_rotary_factor")?;
    for name in ["rope_scaling", "rope_parameters"] {
        if let Some(object) = fields.object(name)?.filter(|object| !object.is_empty()) {
            let rotary =
                of_object(object, fields, Rotary::of_theta(missing, head_dim)).with_context(|| name.to_owned())?;
            check_part(object.number("partial_rotary_factor")?.or(part))?;
            return Ok(rotary);
        }
    }
    check_part(part)?;
    of_theta(missing, head_dim)
}

/// Reads the rotary embeddings of two kinds of layers: their names in `rope_parameters`, the fields that have their bases in
/// older configurations, and the bases where none is given.
///
/// # Errors
/// As [`read`].
pub(super) fn of_kinds(fields: Fields<'_>, kinds: [(&str, &str, f64); 2], head_dim: usize) -> Result<[Rotary; 2]> {
    let scaled = fields.object("rope_scaling")?.is_some_and(|object| !object.is_empty());
    ensure!(!scaled, "rope_scaling is not supported in a family whose layers turn by two bases");
    let nested = fields.object("rope_parameters")?;
    if let Some(other) = nested.and_then(|nested| nested.others(&kinds.map(|(kind, ..)| kind)).into_iter().next()) {
        bail!("rope_parameters has `{other}`, and can have {} and {}", kinds[0].0, kinds[1].0);
    }
    let read = |(kind, older, missing): (&str, &str, f64)| -> Result<Rotary> {
        let missing = fields.number(older)?.unwrap_or(missing);
        ensure!(
            !fields.is_null(older),
            "{older} is null, for which transformers has had several meanings; write the base"
        );
        let Some(object) = nested.map(|nested| nested.object(kind)).transpose()?.flatten() else {
            return of_theta(missing, head_dim);
        };
        let place = || format!("rope_parameters.{kind}");
        check_part(object.number("partial_rotary_factor")?).with_context(place)?;
        of_object(object, fields, Rotary::of_theta(missing, head_dim)).with_context(place)
    };
    Ok([read(kinds[0])?, read(kinds[1])?])
}

/// The embedding of a base, by its own frequencies.
///
/// # Errors
/// If the base is none.
pub(super) fn of_theta(theta: f64, head_dim: usize) -> Result<Rotary> {
    ensure!((1. ..=LARGEST_THETA).contains(&theta), "rope_theta is {theta:e}, and can be from 1 to {LARGEST_THETA:e}");
    Ok(Rotary::of_theta(theta, head_dim))
}

fn check_part(factor: Option<f64>) -> Result<()> {
    let factor = factor.unwrap_or(1.);
    ensure!(factor == 1., "partial_rotary_factor {factor} is not supported, only 1");
    Ok(())
}

/// The embedding that an object describes, with the base of another where it has none.
fn of_object(object: Fields<'_>, fields: Fields<'_>, other: Rotary) -> Result<Rotary> {
    let (scaling, known) = read_scaling(object, fields)?;
    if let Some(unknown) = object.others(&[&KNOWN, known].concat()).first() {
        bail!("it has `{unknown}`, which this version of rerank does not know");
    }
    let theta = object.number("rope_theta")?.unwrap_or(other.theta);
    Ok(Rotary { scaling, ..of_theta(theta, other.features)? })
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
