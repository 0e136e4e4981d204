//! Weights of GPTQ under the names that AutoGPTQ gave them at first, such as `gptq_model-4bit-128g.safetensors`.

use anyhow::{Result, bail};
use serde_json::Value;

use super::{CONFIG, ModelFiles, Place};

/// AutoGPTQ's configuration, which may name the weights.
const SETTINGS: &str = "quantize_config.json";
const ENDING: &str = ".safetensors";
/// An adapter may stand beside the weights.
const ADAPTER: &str = "adapter_model.safetensors";

impl ModelFiles {
    /// The file of a GPTQ model's weights that have another name than the usual one: the one that the configuration names, or else
    /// the only one.
    ///
    /// # Errors
    /// If several could be meant, or the hub doesn't answer.
    pub(super) fn older_gptq(&self) -> Result<Option<String>> {
        let mut found: Vec<String> = self.names_of_files()?;
        found.retain(|name| name.ends_with(ENDING) && !name.contains('/') && name != ADAPTER);
        found.sort_unstable();
        let base_name = if found.is_empty() { None } else { self.states_gptq()? };
        let Some(base_name) = base_name else { return Ok(None) };
        let named = base_name.map(|base| base + ENDING).filter(|name| found.contains(name));
        match (named, &found[..]) {
            (Some(name), _) => Ok(Some(name)),
            (None, []) => Ok(None),
            (None, [only]) => Ok(Some(only.clone())),
            (None, several) => bail!(
                "{} has no model{ENDING}, and several files that may be the weights of GPTQ: {}; give the right one the name model{ENDING}",
                self.place(),
                several.join(", ")
            ),
        }
    }

    /// The names of the files in the transformer's folder.
    fn names_of_files(&self) -> Result<Vec<String>> {
        Ok(match &self.place {
            Place::Directory(directory) => {
                let entries = std::fs::read_dir(directory.join(&self.folder)).into_iter().flatten().flatten();
                entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
            }
            Place::Hub(hub) => {
                let folder = self.located("");
                hub.all_names()?.iter().filter_map(|name| name.strip_prefix(&*folder).map(str::to_owned)).collect()
            }
        })
    }

    /// The name of the weights without its ending, if one is stated, of a model that is quantized by GPTQ.
    fn states_gptq(&self) -> Result<Option<Option<String>>> {
        if let Some((_, settings)) = self.json(SETTINGS)? {
            let base_name = settings.get("model_file_base_name").and_then(Value::as_str);
            return Ok(Some(base_name.map(str::to_owned)));
        }
        let config = self.json(CONFIG)?;
        let method =
            config.as_ref().and_then(|(_, config)| config.pointer("/quantization_config/quant_method")?.as_str());
        Ok(method.is_some_and(|method| method.eq_ignore_ascii_case("gptq")).then_some(None))
    }
}
