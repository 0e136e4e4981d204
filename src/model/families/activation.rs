//! Activations by the names that transformers gives them.

use anyhow::{Result, bail};

use crate::fields::Fields;
use crate::model::Activation;

/// The activation of a field, of which encoders have gelu where it is missing.
///
/// # Errors
/// As [`of_name`].
pub(super) fn of_field(fields: Fields<'_>, field: &str) -> Result<Activation> {
    of_name(field, fields.text(field)?.unwrap_or("gelu"))
}

/// The activation that the value of a field names.
///
/// # Errors
/// If it is none of the known ones.
pub(super) fn of_name(field: &str, name: &str) -> Result<Activation> {
    Ok(match name {
        "gelu" | "gelu_python" => Activation::Gelu,
        "gelu_new" | "gelu_fast" | "gelu_pytorch_tanh" | "gelu_python_tanh" | "gelu_accurate" => Activation::GeluTanh,
        "relu" => Activation::Relu,
        "silu" | "swish" => Activation::Silu,
        "tanh" => Activation::Tanh,
        other => {
            bail!("{field} `{other}` is not supported, only gelu, gelu_new, gelu_pytorch_tanh, relu, silu and tanh")
        }
    })
}
