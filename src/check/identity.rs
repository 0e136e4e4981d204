//! As which published model a model counts.

use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::Value;

use crate::checkpoint::ModelSource;
use crate::exit::UsageError;

/// The most names that a message proposes.
const MOST_PROPOSED: usize = 5;

/// `--as`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ComparedAs {
    /// The model's own name decides.
    Recognised,
    /// This name does.
    Named(String),
    /// Nothing is compared.
    Nothing,
}

/// The name under which scores are looked up, and why it is that one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Identity {
    /// The name, if scores of it are known.
    pub(super) name: Option<String>,
    /// What the user should know of how it was found, or why there is none.
    pub(super) note: Option<String>,
}

/// Models of which scores are known.
#[derive(Clone, Copy)]
pub(super) struct KnownModels<'a> {
    /// Their names.
    pub(super) names: &'a [&'a str],
    /// The user's file, if they are those of one.
    pub(super) file: Option<&'a str>,
}

/// Finds out as which of the `known` models a model counts.
///
/// # Errors
/// If the user names one that is not among them.
pub(super) fn identify(source: &ModelSource, compared_as: &ComparedAs, known: KnownModels<'_>) -> Result<Identity> {
    match (compared_as, source) {
        (ComparedAs::Nothing, _) | (_, ModelSource::Fake) => Ok(Identity::default()),
        (ComparedAs::Named(name), _) => named(name, known),
        (ComparedAs::Recognised, ModelSource::Hub { id, .. }) => {
            Ok(Identity { name: same(id, known.names).map(str::to_owned), note: None })
        }
        // The quantization of a file changes scores by more than the precisions that a comparison allows for.
        (ComparedAs::Recognised, ModelSource::Gguf(_)) => Ok(Identity {
            name: None,
            note: Some(
                "a GGUF file is not compared by itself; --as NAME compares it, by order alone if it is quantized"
                    .to_owned(),
            ),
        }),
        (ComparedAs::Recognised, ModelSource::Directory(directory)) => Ok(of_directory(directory, known.names)),
    }
}

/// The hub does not distinguish small letters from capital ones.
fn same<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    known.iter().copied().find(|known| known.eq_ignore_ascii_case(name))
}

/// The name that the user gives, with its owner or without.
fn named(name: &str, KnownModels { names: known, file }: KnownModels<'_>) -> Result<Identity> {
    let of_name: Vec<&str> = known.iter().copied().filter(|known| last(known).eq_ignore_ascii_case(name)).collect();
    let found = same(name, known).or(if let [only] = of_name[..] { Some(only) } else { None });
    if let Some(found) = found {
        return Ok(Identity { name: Some(found.to_owned()), note: None });
    }
    let alike = alike(name, known);
    let problem = match (file, known, alike.is_empty()) {
        (Some(file), [], _) => {
            format!("{file} has no scores of this model by name; leave --as out to compare with all its entries")
        }
        (Some(file), known, _) => format!(
            "{file} has no scores of this model; it has those of {}: name one of them, or leave --as out",
            known.iter().take(MOST_PROPOSED).copied().collect::<Vec<_>>().join(", ")
        ),
        (None, _, true) => {
            "there are no known scores of this model; rerank check --list prints the names of which there are"
                .to_owned()
        }
        (None, _, false) => format!("there are no known scores of this model; there are of {}", alike.join(", ")),
    };
    Err(UsageError::new(format!("--as {name}: {problem}")).into())
}

fn last(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

/// Names that have most of the words of another.
fn alike<'a>(name: &str, known: &[&'a str]) -> Vec<&'a str> {
    let words = |name: &str| -> Vec<String> {
        let words = last(name).split(|character: char| !character.is_alphanumeric());
        words.filter(|word| !word.is_empty()).map(str::to_lowercase).collect()
    };
    let wanted = words(name);
    let shared = |known: &str| words(known).iter().filter(|word| wanted.contains(word)).count();
    let mut found: Vec<&str> = known.iter().copied().filter(|known| 2 * shared(known) >= wanted.len().max(2)).collect();
    found.sort_by_key(|known| std::cmp::Reverse(shared(known)));
    found.truncate(MOST_PROPOSED);
    found
}

/// A directory counts as the model whose place in the hub's cache it is, or whose name it has.
fn of_directory(directory: &Path, known: &[&str]) -> Identity {
    let path = directory.canonicalize().unwrap_or_else(|_| directory.to_owned());
    let cached = |path: &PathBuf| {
        let parts = path.iter().filter_map(|part| part.to_str()?.strip_prefix("models--"));
        parts.map(|part| part.replacen("--", "/", 1)).next_back()
    };
    // The directory may be a link into the cache, or be reached through one.
    if let Some(id) = cached(&path).or_else(|| cached(&directory.to_owned())) {
        return Identity { name: same(&id, known).map(str::to_owned), note: None };
    }
    let folder = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let is_folder = |name: &&str| {
        let name = name.to_lowercase();
        let joined = |by: &str| name.replace('/', by) == folder;
        last(&name) == folder || ["--", "__", "_", "-"].into_iter().any(joined)
    };
    let found: Vec<&str> = known.iter().copied().filter(is_folder).collect();
    if let [name] = found[..] {
        let note = format!(
            "compared as {name}, as the folder has its name; --as NAME compares it as another, --as none as no model"
        );
        return Identity { name: Some(name.to_owned()), note: Some(note) };
    }
    Identity { name: None, note: stated_origin(directory, known) }
}

/// A note on the model that a configuration names. It may be the one from which this one was trained: it is no reason to
/// compare.
fn stated_origin(directory: &Path, known: &[&str]) -> Option<String> {
    let text = std::fs::read_to_string(directory.join("config.json")).ok()?;
    let config: Value = serde_json::from_str(&text).ok()?;
    let name = same(config.get("_name_or_path")?.as_str()?, known)?;
    Some(format!(
        "config.json names {name} (_name_or_path), which may be this model or the one that it was trained from; --as {name} \
         compares it with that"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 4] =
        ["Qwen/Qwen3-Reranker-0.6B", "Qwen/Qwen3-Reranker-4B", "BAAI/bge-reranker-base", "one/same"];

    const PUBLISHED: KnownModels<'static> = KnownModels { names: &KNOWN, file: None };

    fn directory(path: &str) -> Identity {
        identify(&ModelSource::Directory(path.into()), &ComparedAs::Recognised, PUBLISHED).unwrap()
    }

    #[test]
    fn a_directory_counts_as_what_its_name_states() {
        for path in [
            "/models/Qwen3-Reranker-0.6B",
            "/models/qwen3-reranker-0.6b",
            "/models/Qwen/Qwen3-Reranker-0.6B",
            "/models/Qwen__Qwen3-Reranker-0.6B",
            "/models/Qwen_Qwen3-Reranker-0.6B",
        ] {
            let found = directory(path);
            assert_eq!(found.name.as_deref(), Some(KNOWN[0]), "{path}");
            assert!(found.note.unwrap().contains("--as"));
        }
        let cached = directory("/cache/models--Qwen--Qwen3-Reranker-4B/snapshots/0123456789abcdef");
        assert_eq!(cached, Identity { name: Some(KNOWN[1].to_owned()), note: None });
        for path in ["/models/Qwen3-Reranker-0.6B-finetuned", "/models/mine", "/models--a--b/snapshots/same"] {
            assert_eq!(directory(path), Identity::default(), "{path}");
        }
    }

    #[test]
    fn an_id_counts_as_itself() {
        let hub = |id: &str| {
            let source = ModelSource::Hub { id: id.into(), file: None, revision: "main".into(), offline: true };
            identify(&source, &ComparedAs::Recognised, PUBLISHED).unwrap().name
        };
        assert_eq!(hub("qwen/qwen3-reranker-4b").as_deref(), Some(KNOWN[1]));
        assert_eq!(hub("mine/Qwen3-Reranker-4B"), None);
    }

    #[test]
    fn the_user_names_a_known_model() {
        let source = ModelSource::Directory("/models/mine".into());
        let named = |name: &str| identify(&source, &ComparedAs::Named(name.into()), PUBLISHED);
        assert_eq!(named("bge-reranker-BASE").unwrap().name.as_deref(), Some(KNOWN[2]));
        let message = named("Qwen/Qwen3-Reranker-0.6").unwrap_err().to_string();
        assert!(message.contains("Qwen/Qwen3-Reranker-0.6B"), "{message}");
        let message = named("nonesuch").unwrap_err().to_string();
        assert!(message.contains("--list"), "{message}");
    }
}
