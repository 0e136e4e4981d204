//! Which modules an adapter's configuration means, decided as PEFT does.

use anyhow::Result;

use super::patterns::Pattern;

/// The modules that are meant.
#[derive(Debug)]
pub(super) struct Targets {
    pub(super) included: Names,
    pub(super) excluded: Excluded,
    pub(super) layers: Option<Layers>,
    /// Whether it was trained as a classifier, whose head `all-linear` leaves out.
    pub(super) is_classifier: bool,
}

/// The value of `target_modules`.
#[derive(Debug)]
pub(super) enum Names {
    /// Names, or the ends of names.
    List(Vec<String>),
    /// An expression that matches whole names.
    Pattern(Pattern),
    /// All linear layers but the head.
    AllLinear,
}

/// The value of `exclude_modules`.
#[derive(Debug)]
pub(super) enum Excluded {
    /// Names, or the ends of names.
    List(Vec<String>),
    /// An expression that matches whole names.
    Pattern(Pattern),
}

/// The layers to which the names are restricted.
#[derive(Debug)]
pub(super) struct Layers {
    pub(super) indices: Vec<usize>,
    /// The patterns that find a layer's number in a name.
    pub(super) patterns: Vec<Pattern>,
}

/// A part of the model that an adapter may change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Module {
    /// Its name in transformers.
    pub(super) name: String,
    pub(super) kind: ModuleKind,
}

/// What a module is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ModuleKind {
    /// A linear layer.
    Linear,
    /// The head of a language model.
    LanguageHead,
    /// The last linear layer of a classifier.
    Classifier,
    /// A table of rows.
    Embedding,
}

impl Targets {
    /// Whether a module is meant. `is_saved` is whether it stands in the adapter whole, which goes before.
    ///
    /// # Errors
    /// If a pattern can't be matched.
    pub(super) fn has(&self, module: &Module, is_saved: bool) -> Result<bool> {
        let name = module.name.as_str();
        let is_excluded = match &self.excluded {
            Excluded::List(list) => is_listed(list, name),
            Excluded::Pattern(pattern) => pattern.matches(name)?,
        };
        if is_excluded || is_saved {
            return Ok(false);
        }
        match &self.included {
            Names::AllLinear => Ok(match module.kind {
                ModuleKind::Linear => true,
                // A classifier's layer may be a part of its head, which is excluded as a whole if it is one layer.
                ModuleKind::Classifier => !self.is_classifier || name.contains('.'),
                ModuleKind::LanguageHead | ModuleKind::Embedding => false,
            }),
            Names::Pattern(pattern) => pattern.matches(name),
            Names::List(list) if list.iter().any(|target| target == name) => Ok(true),
            Names::List(list) => Ok(is_listed(list, name) && self.has_layer_of(name)?),
        }
    }

    fn has_layer_of(&self, name: &str) -> Result<bool> {
        let Some(Layers { indices, patterns }) = &self.layers else { return Ok(true) };
        for pattern in patterns {
            if let Some(index) = pattern.layer(name)? {
                return Ok(indices.contains(&index));
            }
        }
        Ok(false)
    }
}

/// Whether a list has a name, or an end of it that begins with one of its parts.
pub(super) fn is_listed(list: &[String], name: &str) -> bool {
    list.iter()
        .any(|end| name.strip_suffix(end.as_str()).is_some_and(|before| before.is_empty() || before.ends_with('.')))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::checkpoint::adapter::settings::Settings;

    const QUERY: &str = "model.layers.3.self_attn.q_proj";

    fn has(config: &Value, name: &str, kind: ModuleKind) -> bool {
        let mut whole = json!({"peft_type": "LORA"});
        whole.as_object_mut().unwrap().extend(config.as_object().unwrap().clone());
        let settings = Settings::of(&whole).unwrap();
        settings.targets.has(&Module { name: name.to_owned(), kind }, false).unwrap()
    }

    #[test]
    fn modules_are_meant_as_in_peft() {
        for (config, expected) in [
            (json!({"target_modules": ["q_proj", "v_proj"]}), true),
            (json!({"target_modules": ["proj"]}), false),
            (json!({"target_modules": "q_proj"}), false),
            (json!({"target_modules": ".*q_proj"}), true),
            (json!({"target_modules": r"model\.layers\.\d+\.(?!mlp).*\.[qv]_proj"}), true),
            (json!({"target_modules": r".*\.3\.(?!self_attn).*"}), false),
            (json!({"target_modules": "All-Linear"}), true),
            (json!({"target_modules": "all-linear", "exclude_modules": ["q_proj"]}), false),
            (json!({"target_modules": "all-linear", "exclude_modules": r".*\.3\..*"}), false),
            (json!({"target_modules": ["q_proj"], "layers_to_transform": [3]}), true),
            (json!({"target_modules": ["q_proj"], "layers_to_transform": 3}), true),
            (json!({"target_modules": ["q_proj"], "layers_to_transform": [2, 4]}), false),
            (json!({"target_modules": ["q_proj"], "layers_to_transform": [2], "layers_pattern": "layers"}), false),
            (
                json!({"target_modules": ["q_proj"], "layers_to_transform": [3], "layers_pattern": ["h", "layers"]}),
                true,
            ),
            (json!({"target_modules": ["q_proj"], "layers_to_transform": [3], "layers_pattern": "h"}), false),
            // A whole name is meant wherever it is.
            (json!({"target_modules": [QUERY], "layers_to_transform": [2]}), true),
            (json!({"target_modules": [QUERY]}), true),
        ] {
            assert_eq!(has(&config, QUERY, ModuleKind::Linear), expected, "{config}");
        }
    }

    #[test]
    fn all_linear_layers_are_without_the_head() {
        let config = json!({"target_modules": "all-linear"});
        assert!(!has(&config, "lm_head", ModuleKind::LanguageHead));
        assert!(!has(&config, "model.embed_tokens", ModuleKind::Embedding));
        assert!(has(&config, "score", ModuleKind::Classifier));
        let classifier = json!({"target_modules": "all-linear", "task_type": "SEQ_CLS"});
        assert!(!has(&classifier, "score", ModuleKind::Classifier));
        assert!(has(&json!({"target_modules": ["lm_head"]}), "lm_head", ModuleKind::LanguageHead));
    }
}
