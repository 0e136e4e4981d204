//! Activations by the names that transformers gives them.

use anyhow::{Result, bail};

use crate::model::Activation;

/// The activation that the value of a field names.
///
/// # Errors
/// If it is none of the known ones.
pub(super) fn of_name(field: &str, name: &str) -> Result<Activation> {
    Ok(match name {
        "gelu" | "gelu_python" => Activation::Gelu,
        "gelu_new" | "gelu_fast" | "gelu_pytorch_tanh" | "gelu_python_tanh" => Activation::GeluTanh,
        "relu" => Activation::Relu,
        "silu" | "swish" => Activation::Silu,
        other => bail!("{field} `{other}` is not supported, only gelu, gelu_new, gelu_pytorch_tanh, relu and silu"),
    })
}
