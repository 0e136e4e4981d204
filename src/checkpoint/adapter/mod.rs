//! Adapters in the format of PEFT: low-rank matrices that are added to a model's weights (LoRA; Hu et al., 2021), and weights
//! that stand in place of the model's.

mod fit;
mod keys;
mod locate;
mod matrices;
mod merged;
mod patterns;
mod rows;
mod settings;
mod targets;
mod unmatched;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use self::keys::{Key, Part};
pub use self::locate::{AdapterChoice, LocatedAdapter};
use self::matrices::Matrices;
pub(super) use self::merged::Merged;
use self::settings::Settings;
use super::ModelFiles;
use super::safetensors_file::{Entry, Mapped};

/// The configuration's file.
const CONFIG: &str = "adapter_config.json";
/// The weights' file.
const WEIGHTS: &str = "adapter_model.safetensors";
/// The older form of it.
const PICKLED: &str = "adapter_model.bin";

/// An adapter that was read. Its values are taken where they are needed.
pub struct Adapter {
    /// Its directory, or its id on the hub.
    place: String,
    settings: Settings,
    /// The path of the configuration, for messages.
    config: PathBuf,
    /// The path of the weights.
    path: PathBuf,
    /// The weights, of which the tensors are those that stand in place of the model's, by the model's names.
    file: Mapped,
    /// The stored names of those tensors.
    stored: BTreeMap<String, String>,
    /// What is added, by the names of modules.
    modules: BTreeMap<String, BTreeMap<Part, (String, Entry)>>,
}

impl Adapter {
    /// Reads an adapter's files.
    ///
    /// # Errors
    /// If one is missing, damaged, or has something that is not supported.
    pub(super) fn read(files: &ModelFiles, place: String) -> Result<Self> {
        let found = files.json(CONFIG)?;
        if found.is_none() && files.unknown().is_some() {
            files.get(CONFIG)?;
        }
        let (config, value) = found.with_context(|| locate::without_config(&place, files))?;
        let settings = Settings::of(&value)
            .with_context(|| format!("{} describes an adapter that rerank can't merge", config.display()))?;
        let path = files.optional(WEIGHTS)?.with_context(|| locate::without_weights(&place, files))?;
        let mut file = Mapped::open(&path)?;
        let (mut whole, mut stored, mut modules) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
        let twice = |name: &str| format!("{}: {name} is there twice, as of two adapters in one file", path.display());
        for (name, entry) in std::mem::take(&mut file.tensors) {
            match Key::parse(&name).with_context(|| path.display().to_string())? {
                Key::Whole(own) => {
                    ensure!(stored.insert(own.clone(), name).is_none(), twice(&own));
                    whole.push((own, entry));
                }
                Key::Part(module, part) => {
                    let parts: &mut BTreeMap<_, _> = modules.entry(module.clone()).or_default();
                    ensure!(parts.insert(part, (name, entry)).is_none(), twice(&module));
                }
            }
        }
        file.tensors.extend(whole);
        ensure!(
            !modules.is_empty() || !stored.is_empty(),
            "{} has no tensors; save the adapter again, of a model whose shards were gathered",
            path.display()
        );
        Ok(Self { place, settings, config, path, file, stored, modules })
    }

    /// Its directory, or its id on the hub.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// The file of its weights.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All its bytes' hash, and its configuration's.
    pub(super) fn add_to(&self, hasher: &mut blake3::Hasher) -> Result<()> {
        let config = std::fs::read(&self.config).with_context(|| format!("cannot read {}", self.config.display()))?;
        hasher.update(&(config.len() as u64).to_le_bytes()).update(&config);
        hasher.update(&(self.file.memory.len() as u64).to_le_bytes()).update(&self.file.memory);
        Ok(())
    }

    /// What it is and what it changes, in one line.
    pub fn describe(&self) -> String {
        let saved = match self.stored.len() {
            0 => String::new(),
            1 => format!(", and {} in place of the model's", self.stored.keys().next().map_or("", String::as_str)),
            count => format!(", and {count} tensors in place of the model's"),
        };
        format!("{}: {} on {} modules{saved}", self.place, self.settings.describe(), self.modules.len())
    }

    /// Makes a base model's configuration that of the classifier whose head the adapter has: transformers is asked for that class
    /// where such an adapter is trained, and states the labels by the head.
    pub fn adjust(&self, config: &mut Value) {
        const HEADS: [&str; 3] = ["score.weight", "classifier.weight", "classifier.out_proj.weight"];
        const CLASSIFIER: &str = "ForSequenceClassification";
        let head = HEADS.iter().find_map(|name| self.file.tensors.get(*name));
        let (Some(head), Some(fields)) = (head, config.as_object_mut()) else { return };
        let class = fields.get("architectures").and_then(|classes| classes.get(0)?.as_str());
        let stem = class.map(|class| {
            let ends = ["LMHeadModel", "Model"];
            let stem = class.split_once("For").map(|(stem, _)| stem);
            stem.or_else(|| ends.iter().find_map(|end| class.strip_suffix(end))).unwrap_or(class).to_owned()
        });
        if let Some(stem) = stem {
            fields.insert("architectures".to_owned(), vec![stem + CLASSIFIER].into());
        }
        fields.remove("id2label");
        fields.remove("label2id");
        fields.insert("num_labels".to_owned(), head.shape.first().copied().unwrap_or(1).into());
    }
}
