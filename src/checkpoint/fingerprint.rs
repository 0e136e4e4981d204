//! The fingerprint of a model: what tells it from another one, if need be without reading all of it.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;

use anyhow::{Context, Result};
use blake3::Hasher;

use super::Weights;
use super::gguf::Gguf;
use crate::slices::first;

/// The bytes at the beginning of each tensor that are hashed. A model that was trained further has the header of the one that it was
/// made from, and other values.
const SAMPLE_BYTES: usize = 4096;

/// The digits of a hash: 128 bits.
const HEX_DIGITS: usize = 32;

/// The hash of a model: of its files of settings and its tokenizer's, and of its weights the sizes, headers and the first
/// values of each tensor, or all.
///
/// # Errors
/// If a file can't be read.
pub fn fingerprint(files: &BTreeMap<String, PathBuf>, weights: &Weights, by_all_bytes: bool) -> Result<String> {
    let mut hasher = Hasher::new();
    for (name, path) in files.iter().filter(|(name, _)| !is_weights(name)) {
        let mut content = Hasher::new();
        let read = File::open(path).and_then(|file| content.update_reader(file).map(|content| content.finalize()));
        let hash = read.with_context(|| format!("cannot read {}", path.display()))?;
        add(&mut hasher, name.as_bytes());
        hasher.update(hash.as_bytes());
    }
    if let Some(adapter) = weights.adapter() {
        adapter.add_to(&mut hasher)?;
    }
    weights.add_to(&mut hasher, if by_all_bytes { usize::MAX } else { SAMPLE_BYTES });
    Ok(hasher.finalize().to_hex().chars().take(HEX_DIGITS).collect())
}

/// Whether a file has weights, of which samples are hashed.
fn is_weights(name: &str) -> bool {
    name.ends_with(".safetensors") || name.ends_with(".gguf")
}

/// Adds bytes whose number is part of the hash.
fn add(hasher: &mut Hasher, bytes: &[u8]) {
    hasher.update(&(bytes.len() as u64).to_le_bytes());
    hasher.update(bytes);
}

impl Weights {
    fn add_to(&self, hasher: &mut Hasher, sample: usize) {
        for file in self.files() {
            hasher.update(&(file.memory.len() as u64).to_le_bytes());
            let mut entries: Vec<_> = file.tensors.iter().collect();
            entries.sort_by_key(|(_, entry)| entry.start);
            for (name, entry) in entries {
                add(hasher, name.as_bytes());
                add(hasher, format!("{:?} {:?} {} {}", entry.dtype, entry.shape, entry.start, entry.length).as_bytes());
                let bytes = file.bytes(entry);
                add(hasher, first(bytes, sample));
            }
        }
        for file in self.gguf().into_iter().flat_map(Gguf::files) {
            hasher.update(&(file.memory.len() as u64).to_le_bytes());
            // The metadata, and what is stated of each tensor.
            add(hasher, first(&file.memory, file.data));
            let mut tensors: Vec<_> = file.tensors.values().collect();
            tensors.sort_by_key(|stored| stored.start);
            tensors.into_iter().for_each(|stored| add(hasher, first(file.bytes(stored), sample)));
        }
    }
}
