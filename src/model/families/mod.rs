//! Families of models, a file each: what a family's config.json holds becomes an [`Architecture`] with the names that
//! transformers gives the tensors. A new family is a file and a line in [`FAMILIES`].

mod activation;
mod bert;
mod deberta;
mod decoder;
mod distilbert;
mod electra;
mod encoder;
mod gemma;
mod gte;
mod harmless;
mod labels;
mod llama;
mod mistral;
mod modernbert;
mod qwen2;
mod qwen3;
mod refused;
mod roberta;
mod rotary;
mod windows;

use anyhow::{Result, bail, ensure};

use super::Architecture;
use crate::fields::Fields;

/// Longer than the name of any class of transformers.
pub(crate) const LONGEST_CLASS: usize = 80;

/// A family of models.
pub(super) struct Family {
    /// The values of `model_type`.
    pub(super) model_types: &'static [&'static str],
    /// The values of `architectures`, and the models that people know by them.
    pub(super) classes: &'static [(&'static str, &'static str)],
    /// The configuration classes of models with code of their own (`auto_map`), which this family computes by itself.
    pub(super) code: &'static [&'static str],
    /// The fields of a configuration that it reads, in lists, of which several families may have one.
    pub(super) read: &'static [&'static [&'static str]],
    /// Describes the model whose class is the first argument.
    pub(super) describe: fn(&str, Fields<'_>) -> Result<Architecture>,
}

/// All families, a line each.
#[rustfmt::skip]
const FAMILIES: &[&Family] = &[
    &qwen3::FAMILY,
    &qwen2::FAMILY,
    &gemma::FAMILY,
    &mistral::FAMILY,
    &llama::FAMILY,
    &llama::BIDIRECTIONAL,
    &bert::FAMILY,
    &roberta::XLM_ROBERTA,
    &roberta::ROBERTA,
    &electra::FAMILY,
    &distilbert::FAMILY,
    &modernbert::FAMILY,
    &gte::FAMILY,
    &deberta::FAMILY,
];

/// More layers than any model has.
const MOST_LAYERS: usize = 1024;

/// Describes the model of a configuration.
///
/// # Errors
/// If no family knows it, or the family lacks what it demands.
pub(super) fn describe(fields: Fields<'_>) -> Result<Architecture> {
    let model_type = fields.text("model_type")?;
    let classes = fields.texts("architectures")?;
    let named = |family: &&&Family| model_type.is_some_and(|name| family.model_types.contains(&name));
    // Models with code of their own may have no model_type.
    let by_class = |family: &&&Family| {
        model_type.is_none() && family.classes.iter().any(|(name, _)| classes.first() == Some(name))
    };
    let family = FAMILIES.iter().find(named).or_else(|| FAMILIES.iter().find(by_class));
    let class = classes.first().copied().or(family.and_then(|family| Some(family.classes.first()?.0)));
    match (family, class) {
        (Some(family), Some(class)) if family.classes.iter().any(|(name, _)| *name == class) => {
            harmless::check(fields, family)?;
            (family.describe)(class, fields)
        }
        _ if model_type.is_none() && classes.is_empty() => {
            bail!(
                "it has neither `model_type` nor `architectures`; is it a model's config.json? Supported are {}",
                supported()
            )
        }
        _ => match (refused::reason(&classes, fields), family, classes.first()) {
            (Some(reason), ..) => bail!("{reason}"),
            (None, Some(family), Some(class)) => bail!("{}", refused::other_class(class, family)),
            _ => bail!(
                "its family is not supported (model_type {}, architecture {}); supported are {}",
                model_type.unwrap_or("not given"),
                classes.first().unwrap_or(&"not given"),
                supported()
            ),
        },
    }
}

/// The same model under the other names that a checkpoint may give its tensors, where its configuration does not state which.
pub(super) fn under_other_names(architecture: &Architecture) -> Vec<Architecture> {
    gte::under_published_names(architecture)
}

/// How many layers a model has.
fn layer_count(fields: Fields<'_>) -> Result<usize> {
    let layers = fields.required_size("num_hidden_layers")?;
    ensure!(layers <= MOST_LAYERS, "num_hidden_layers is {layers}, and can be up to {MOST_LAYERS}");
    Ok(layers)
}

/// All families, as an error message lists them.
fn supported() -> String {
    let types = FAMILIES.iter().flat_map(|family| family.model_types).copied().collect::<Vec<_>>().join(", ");
    format!("the model_types {types} (Models in the README has the models)")
}
