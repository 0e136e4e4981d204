//! The configurations of modules, each the `config.json` of the module's folder.

use anyhow::{Result, bail, ensure};

use crate::fields::Fields;
use crate::model::{Activation, HeadStep, Linear, Norm, Pooling};

/// What every norm of PyTorch has that is not given another ε, and the module can't be given one.
const NORM_EPSILON: f64 = 1e-5;

/// The old names of ways to pool, a flag each.
const POOLING_FLAGS: [(&str, &str); 6] = [
    ("pooling_mode_cls_token", "cls"),
    ("pooling_mode_max_tokens", "max"),
    ("pooling_mode_mean_tokens", "mean"),
    ("pooling_mode_mean_sqrt_len_tokens", "mean_sqrt_len_tokens"),
    ("pooling_mode_weightedmean_tokens", "weightedmean"),
    ("pooling_mode_lasttoken", "lasttoken"),
];

/// The output of a module, by the names that the modules behind it have for it.
pub(super) const POOLED: &str = "sentence_embedding";
/// What the last module gives.
pub(super) const SCORES: &str = "scores";

/// A dense layer of a head.
pub(super) struct Dense {
    pub(super) linear: Linear,
    pub(super) activation: Option<Activation>,
    /// Whether its outputs are the scores.
    pub(super) scores: bool,
}

/// The way to pool, and the features that the file gives a vector.
pub(super) fn pooling(fields: Fields<'_>) -> Result<(Pooling, Option<usize>)> {
    let flags = POOLING_FLAGS.map(|(flag, _)| flag);
    let known = ["embedding_dimension", "word_embedding_dimension", "pooling_mode", "include_prompt"];
    fields.only_known(&[&known[..], &flags[..]].concat())?;
    ensure!(
        fields.flag_or_true("include_prompt")?,
        "include_prompt is false, by which the instruction's tokens are left out, and is not supported"
    );
    let mut modes = match fields.get("pooling_mode") {
        Some(serde_json::Value::Array(_)) => fields.texts("pooling_mode")?,
        _ => Vec::from_iter(fields.text("pooling_mode")?),
    };
    if modes.is_empty() {
        for (flag, mode) in POOLING_FLAGS {
            modes.extend(fields.flag(flag)?.then_some(mode));
        }
    }
    let pooling = match modes[..] {
        ["cls"] => Pooling::FirstToken,
        ["lasttoken"] => Pooling::LastToken,
        [] | ["mean"] => Pooling::Mean,
        [other] => bail!("pooling_mode is {other}, and only cls, mean and lasttoken are supported"),
        _ => bail!("pooling_mode has {} entries, and only one way to pool is supported", modes.len()),
    };
    let width = fields.size("embedding_dimension")?.or(fields.size("word_embedding_dimension")?);
    Ok((pooling, width))
}

/// The linear layer of a folder.
pub(super) fn dense(fields: Fields<'_>, folder: &str) -> Result<Dense> {
    fields.only_known(&[
        "in_features",
        "out_features",
        "bias",
        "activation_function",
        "module_input_name",
        "module_output_name",
        "use_residual",
    ])?;
    ensure!(!fields.flag("use_residual")?, "use_residual is true, which is not supported");
    let reads = fields.text("module_input_name")?.unwrap_or(POOLED);
    ensure!(reads == POOLED, "module_input_name is {reads}, and only {POOLED} is supported");
    let gives = fields.text("module_output_name")?.unwrap_or(POOLED);
    ensure!([POOLED, SCORES].contains(&gives), "module_output_name is {gives}, and can be {POOLED} or {SCORES}");
    let (outputs, inputs) = (fields.required_size("out_features")?, fields.required_size("in_features")?);
    let name = format!("{folder}/linear");
    let has_bias = fields.flag_or_true("bias")?;
    let linear = if has_bias { Linear::biased(&name, outputs, inputs) } else { Linear::new(&name, outputs, inputs) };
    Ok(Dense { linear, activation: activation(fields)?, scores: gives == SCORES })
}

/// The activation behind a linear layer, by the name of its class in PyTorch.
fn activation(fields: Fields<'_>) -> Result<Option<Activation>> {
    ensure!(
        !fields.is_null("activation_function"),
        "activation_function is null, which sentence-transformers refuses; write torch.nn.modules.linear.Identity if there is none"
    );
    // That of the module where none is stored.
    let Some(name) = fields.text("activation_function")? else { return Ok(Some(Activation::Tanh)) };
    let class = name.strip_prefix("torch.nn.").and_then(|path| path.rsplit('.').next());
    Ok(match class {
        Some("Identity") => None,
        Some("GELU") => Some(Activation::Gelu),
        Some("SiLU") => Some(Activation::Silu),
        Some("ReLU") => Some(Activation::Relu),
        Some("Tanh") => Some(Activation::Tanh),
        _ => bail!(
            "activation_function is {name}, and only Identity, GELU, SiLU, ReLU and Tanh of torch.nn are supported"
        ),
    })
}

/// The norm of a folder.
pub(super) fn norm(fields: Fields<'_>, folder: &str) -> Result<HeadStep> {
    fields.only_known(&["dimension"])?;
    Ok(HeadStep::Norm(Norm::layer(&format!("{folder}/norm"), fields.required_size("dimension")?, NORM_EPSILON)))
}
