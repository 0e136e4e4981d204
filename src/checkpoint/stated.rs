//! What a configuration states about weights that are not here.

use anyhow::{Context, Result};

use super::ModelFiles;
use crate::fields::Fields;
use crate::precision::Precision;

/// The precision that `config.json` states, if it does: in `dtype`, or in `torch_dtype`, its older name.
///
/// # Errors
/// If the file can't be read.
pub(super) fn stated_precision(files: &ModelFiles) -> Result<Option<Precision>> {
    let Some((path, config)) = files.json("config.json")? else { return Ok(None) };
    let read = || -> Result<Option<&str>> {
        let fields = Fields::of(&config)?;
        Ok(fields.text("dtype")?.or(fields.text("torch_dtype")?))
    };
    let Some(name) = read().with_context(|| path.display().to_string())? else { return Ok(None) };
    Ok(match name.strip_prefix("torch.").unwrap_or(name) {
        "float64" | "float32" | "float" => Some(Precision::F32),
        "bfloat16" => Some(Precision::Bf16),
        "float16" | "half" => Some(Precision::F16),
        _ => None,
    })
}
