//! Lists the files on this machine that a model may be read from.

use std::path::{Path, PathBuf};

use super::ModelSource;
use super::hub::cache_directory;

/// Folders in folders that are looked into: a model's directory has few, and the hub's cache keeps
/// `snapshots/COMMIT/FOLDER/FILE`.
const DEPTH: usize = 4;

impl ModelSource {
    /// The files of a directory, of that which a GGUF file is in, or of what the hub's cache has of a model.
    pub fn local_files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        match self {
            Self::Directory(directory) => collect(directory, DEPTH, &mut files),
            // Other files beside it may be anybody's.
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
