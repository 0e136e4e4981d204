//! What a model's configuration states about how its weights are quantized.

use std::sync::Mutex;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::awq::Awq;
use super::compressed_tensors::CompressedTensors;
use super::fp8::Fp8;
use super::gptq::Gptq;
use super::mlx::Mlx;
use super::{Quantization, Scheme, refused};
use crate::checkpoint::stated::stated_precision;
use crate::checkpoint::{ModelFiles, Weights};
use crate::fields::Fields;
use crate::precision::Precision;

/// The fields of config.json that may state it: that of MLX, which may leave the one that stood there before, that of
/// transformers, and an older one of compressed-tensors.
const FIELDS: [&str; 3] = ["quantization", "quantization_config", "compression_config"];

/// Files that state it where config.json does not: those of AutoGPTQ and GPTQModel, and of AutoAWQ.
const FILES: [&str; 2] = ["quantize_config.json", "quant_config.json"];

impl Quantization {
    /// Reads what config.json states.
    ///
    /// # Errors
    /// If the weights are quantized in a way that is not supported.
    pub fn read(files: &ModelFiles) -> Result<Option<Self>> {
        let Some((path, config)) = files.json("config.json")? else { return Ok(None) };
        let is_set = |value: &&Value| !value.is_null() && value.as_object().is_none_or(|fields| !fields.is_empty());
        let stated = FIELDS.iter().find_map(|name| Some((name, config.get(name).filter(is_set)?)));
        let Some((name, value)) = stated else { return Ok(None) };
        let place = format!("{} ({name})", path.display());
        Self::of(files, place, value).map(Some)
    }

    /// Reads what config.json states of weights, or where it states nothing, and they look quantized, the file beside it.
    ///
    /// # Errors
    /// As [`Quantization::read`], and if nothing states it.
    pub fn of_weights(files: &ModelFiles, weights: &Weights) -> Result<Option<Self>> {
        let stated = Self::read(files)?;
        if stated.is_some() || !weights.looks_quantized() {
            return Ok(stated);
        }
        for name in FILES {
            if let Some((path, value)) = files.json(name)? {
                return Self::of(files, path.display().to_string(), &value).map(Some);
            }
        }
        bail!(
            "the weights are quantized (their names end with .qweight), and neither config.json (in quantization_config) nor {} \
             states how; is the model complete?",
            FILES.join(" nor ")
        )
    }

    fn of(files: &ModelFiles, place: String, value: &Value) -> Result<Self> {
        // Older versions of compressed-tensors wrapped it once more.
        let inner = value.get("quantization_config").filter(|inner| inner.is_object()).unwrap_or(value);
        let scheme = Fields::of(inner).and_then(scheme).with_context(|| place.clone())?;
        let precision = stated_precision(files)?.unwrap_or(Precision::Bf16);
        Ok(Self { place, scheme, precision, settled: Mutex::default() })
    }
}

fn scheme(fields: Fields<'_>) -> Result<Box<dyn Scheme>> {
    let method = fields.text("quant_method")?.or(fields.text("method")?);
    Ok(match method.map(str::to_lowercase).as_deref() {
        Some("compressed-tensors") => Box::new(CompressedTensors::read(fields)?),
        Some("fp8") => Box::new(Fp8::read(fields)?),
        Some("gptq") => Box::new(Gptq::read(fields)?),
        Some("awq") => Box::new(Awq::read(fields)?),
        Some(_) => bail!("{}", refused::reason(method.unwrap_or_default())),
        None if refused::is_bitsandbytes(fields) => bail!("{}", refused::reason("bitsandbytes")),
        // The file of AutoAWQ has names of its own, and no method.
        None if fields.has("w_bit") || fields.has("zero_point") => Box::new(Awq::read(fields)?),
        None if fields.has("desc_act") || fields.has("damp_percent") => Box::new(Gptq::read(fields)?),
        None if fields.has("config_groups") => Box::new(CompressedTensors::read(fields)?),
        None if fields.has("group_size") || fields.has("mode") => Box::new(Mlx::read(fields)?),
        None => bail!("it has no quant_method that would name how the weights are quantized; {}", refused::REMEDY),
    })
}

/// A field that is refused where it is set, as it changes what is computed.
pub(super) fn refuse_set(fields: Fields<'_>, name: &str, why: &str) -> Result<()> {
    let is_off = |value: &Value| match value {
        Value::Bool(on) => !on,
        Value::Object(map) => map.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => false,
    };
    ensure!(fields.get(name).is_none_or(is_off), "{name}: {why}; {}", refused::REMEDY);
    Ok(())
}

/// The size of groups; none where -1 makes a row one group.
pub(super) fn group_size(fields: Fields<'_>, name: &str) -> Result<Option<usize>> {
    match fields.get(name).and_then(Value::as_i64) {
        Some(-1) => Ok(None),
        _ => Ok(Some(fields.required_size(name)?)),
    }
}
