//! The test models of testdata/families, and the directories that they are made into.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::fixture::Files;
use crate::generated;

/// A test model, as its file describes it.
#[derive(Deserialize)]
pub struct Family {
    config: Value,
    tokenizer: Option<String>,
    #[serde(default)]
    files: BTreeMap<String, Value>,
    /// Options that the reference was given too.
    #[serde(default)]
    pub arguments: Vec<String>,
    stored: Option<String>,
    tensors: BTreeMap<String, BTreeMap<String, Values>>,
    pub pairs: Vec<Pair>,
    /// Whether the model can be computed in f32 alone.
    #[serde(default)]
    pub f32_only: bool,
    /// How far logits in int8 may be off on average.
    #[serde(default = "usual_int8_bound")]
    pub int8_bound: f64,
}

/// What a tensor's values are made of.
#[derive(Deserialize)]
pub struct Values {
    shape: Vec<usize>,
    mean: f32,
    bits: u32,
    scale: f32,
}

/// A pair and its logits.
#[derive(Deserialize)]
pub struct Pair {
    pub query: Text,
    pub document: Text,
    pub f32: f64,
    /// transformers' own in bf16.
    pub bf16: f64,
}

#[derive(Deserialize)]
#[serde(untagged)]
pub enum Text {
    Given(String),
    Generated { words: usize, seed: u64 },
}

impl Text {
    pub fn text(&self) -> String {
        match self {
            Self::Given(text) => text.clone(),
            Self::Generated { words, seed } => generated::text(*seed, *words),
        }
    }
}

fn usual_int8_bound() -> f64 {
    0.3
}

/// All test models, by name.
pub fn all() -> Vec<(String, Family)> {
    let mut found: Vec<_> =
        std::fs::read_dir("testdata/families").unwrap().map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found
        .iter()
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .map(|name| (name.clone(), Family::read(&name)))
        .collect()
}

impl Family {
    /// The test model of this name.
    pub fn read(name: &str) -> Self {
        let family = std::fs::read_to_string(format!("testdata/families/{name}.json")).unwrap();
        serde_json::from_str(&family).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Changes fields of the configuration, and leaves out the tensors whose names begin so.
    pub fn change(&mut self, config: &Map<String, Value>, without: &str) {
        self.config.as_object_mut().unwrap().extend(config.clone());
        self.tensors.values_mut().for_each(|tensors| tensors.retain(|name, _| !name.starts_with(without)));
    }

    /// Writes the model into a directory of this name, which is returned as an argument.
    pub fn write(&self, files: &Files, name: &str) -> String {
        let directory = files.path(name);
        std::fs::create_dir(&directory).unwrap();
        if let Some(tokenizer) = &self.tokenizer {
            for entry in std::fs::read_dir(Path::new("testdata/tokenizers").join(tokenizer)).unwrap() {
                let entry = entry.unwrap();
                let file = entry.file_name().into_string().unwrap();
                if !file.starts_with("config") && !file.starts_with("model") {
                    std::fs::copy(entry.path(), directory.join(file)).unwrap();
                }
            }
        }
        std::fs::write(directory.join("config.json"), self.config.to_string()).unwrap();
        for (file, content) in &self.files {
            let path = directory.join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            match content {
                Value::Null => std::fs::remove_file(path).unwrap(),
                Value::String(text) => std::fs::write(path, text).unwrap(),
                object => std::fs::write(path, object.to_string()).unwrap(),
            }
        }
        let stored = if self.stored.as_deref() == Some("BF16") { DType::BF16 } else { DType::F32 };
        for (file, tensors) in &self.tensors {
            let path = directory.join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            let made = tensors.iter().map(|(name, values)| (name.clone(), values.tensor(name, stored)));
            candle_core::safetensors::save(&made.collect::<HashMap<_, _>>(), path).unwrap();
        }
        files.name(name)
    }
}

impl Values {
    /// The same numbers as those of `values` in `scripts/reference_families.py`.
    pub fn tensor(&self, name: &str, stored: DType) -> Tensor {
        let hash = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
        let seed = name.bytes().fold(0x811c_9dc5, hash);
        let middle = (1 << (self.bits - 1)) as f32;
        let integers = generated::integers(u64::from(seed), self.shape.iter().product());
        let value = |integer: u64| ((integer >> (8 - self.bits)) as f32 - middle) * self.scale + self.mean;
        let values: Vec<f32> = integers.map(value).collect();
        Tensor::from_vec(values, self.shape.as_slice(), &Device::Cpu).unwrap().to_dtype(stored).unwrap()
    }
}
