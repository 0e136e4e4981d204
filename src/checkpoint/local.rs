//! Lists the files on this machine that a model may be read from.

use std::path::{Path, PathBuf};

use super::ModelSource;
use super::hub::cache_directory;

/// Folders in folders that are looked into: a model's directory has few, and the hub's cache keeps
/// `snapshots/COMMIT/FOLDER/FILE`.
const DEPTH: usize = 4;

impl ModelSource {
    /// The files by whose names a model is read from a directory or beside a GGUF file, and all that the hub's cache has of a model.
    pub fn local_files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        match self {
            // Other files in it or beside it may be anybody's.
            Self::Directory(directory) => {
                collect(directory, DEPTH, &mut files);
                files.retain(|file| is_of_directory(file));
            }
            Self::Gguf(path) => {
                let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
                collect(folder, 0, &mut files);
                files.retain(|file| is_beside_gguf(file) || file.file_name() == path.file_name());
            }
            Self::Hub { id, .. } => collect(&cache_directory(id), DEPTH, &mut files),
            Self::Fake => {}
        }
        files
    }
}

/// What is read beside a GGUF file, if it is there.
const BESIDE_GGUF: [&str; 14] = [
    "added_tokens.json",
    "chat_template.jinja",
    "config.json",
    "config_sentence_transformers.json",
    "merges.txt",
    "modules.json",
    "sentence_bert_config.json",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "adapter_config.json",
    "adapter_model.safetensors",
    "vocab.json",
    "vocab.txt",
];

/// Whether a file beside a GGUF file is read with it: its other parts, and files of known names.
fn is_beside_gguf(path: &Path) -> bool {
    let is_part = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gguf"));
    is_part || path.file_name().is_some_and(|name| BESIDE_GGUF.iter().any(|known| name == *known))
}

/// What a directory's model is read from beside files with the names of [`BESIDE_GGUF`]: the settings of quantization, and files of
/// these kinds, whatever their names are.
const SETTINGS_OF_QUANTIZATION: [&str; 2] = ["quantize_config.json", "quant_config.json"];
const KINDS_OF_MODELS: [&str; 4] = ["gguf", "jinja", "model", "safetensors"];

/// Whether a file in a model's directory may be read.
fn is_of_directory(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let is_kind = |extension: &std::ffi::OsStr| KINDS_OF_MODELS.iter().any(|kind| extension.eq_ignore_ascii_case(kind));
    let is_transformer = name.starts_with("sentence_") && name.ends_with("_config.json");
    let is_named = BESIDE_GGUF.iter().chain(&SETTINGS_OF_QUANTIZATION).any(|known| name == *known);
    is_named || is_transformer || name.ends_with(".safetensors.index.json") || path.extension().is_some_and(is_kind)
}

/// Links are followed, as reading does. What can't be listed can't be read either.
fn collect(directory: &Path, depth: usize, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_file() {
            files.push(path);
        } else if depth > 0 && path.is_dir() {
            collect(&path, depth - 1, files);
        }
    }
}
