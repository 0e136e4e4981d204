//! What an adapter's configuration names and its model does not have. PEFT passes over it without a word.

use anyhow::{Context, Result};

use super::Adapter;
use super::fit::head_is_embedding;
use super::targets::{Layers, Names, is_listed};
use crate::checkpoint::tensor_names::{LM_HEAD, names_in_wrappers};
use crate::model::Architecture;

/// PEFT itself adds both to what a classifier's adapter saves, whichever the model has.
const USUAL_HEADS: [&str; 2] = ["classifier", "score"];

impl Adapter {
    /// The note on entries of `modules_to_save`, `target_modules` and `layers_to_transform` that mean nothing of the model. Each may
    /// be a mistake, or there for models of other families.
    ///
    /// # Errors
    /// If a pattern can't be matched.
    pub fn note_on_unmatched(&self, architecture: &Architecture) -> Result<Option<String>> {
        let unmatched = self.unmatched(architecture).with_context(|| self.config.display().to_string())?;
        Ok((!unmatched.is_empty()).then(|| {
            format!(
                "{}: the model has nothing of this name or number: {}; as PEFT does, rerank passes over it",
                self.config.display(),
                unmatched.join(", ")
            )
        }))
    }

    fn unmatched(&self, architecture: &Architecture) -> Result<Vec<String>> {
        let tensors = architecture.tensors();
        let tied = head_is_embedding(architecture).then_some(LM_HEAD);
        let names = tensors.iter().map(|tensor| tensor.name.as_str()).chain(tied);
        let modules: Vec<String> =
            names.filter_map(|name| name.rsplit_once('.')).flat_map(|(module, _)| names_in_wrappers(module)).collect();
        let mut unmatched = Vec::new();
        for (name, pattern) in &self.settings.saved {
            let is_usual = self.settings.targets.is_classifier && USUAL_HEADS.contains(&name.as_str());
            if !is_usual && !any(&modules, |module| pattern.matches(module))? {
                unmatched.push(format!("{name} in modules_to_save"));
            }
        }
        if let Names::List(list) = &self.settings.targets.included {
            let is_absent =
                |name: &&String| !modules.iter().any(|module| is_listed(std::slice::from_ref(*name), module));
            unmatched.extend(list.iter().filter(is_absent).map(|name| format!("{name} in target_modules")));
        }
        if let Some(layers) = &self.settings.targets.layers {
            for index in &layers.indices {
                if !any(&modules, |module| has_layer(layers, module, *index))? {
                    unmatched.push(format!("{index} in layers_to_transform"));
                }
            }
        }
        Ok(unmatched)
    }
}

fn has_layer(layers: &Layers, module: &str, index: usize) -> Result<bool> {
    any(&layers.patterns, |pattern| Ok(pattern.layer(module)? == Some(index)))
}

fn any<T>(items: &[T], mut holds: impl FnMut(&T) -> Result<bool>) -> Result<bool> {
    for item in items {
        if holds(item)? {
            return Ok(true);
        }
    }
    Ok(false)
}
