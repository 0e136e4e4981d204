//! What `rerank cache` prints.

use std::fmt::Write;

use anyhow::Result;
use indicatif::{HumanBytes, HumanCount, HumanDuration};

use super::folder::{self, CachedModel};
use crate::cli::CacheCommand;

/// Does what the command states, and returns what is printed.
///
/// # Errors
/// If a directory can't be read or written.
pub fn run(command: &CacheCommand) -> Result<String> {
    Ok(match command {
        CacheCommand::Stats { directory } => {
            let models = folder::list(directory)?;
            let mut text = String::new();
            for model in &models {
                // Writing to memory does not fail.
                let _ = writeln!(text, "{}", described(model));
            }
            let scores = models.iter().map(|model| model.scores).sum();
            let bytes = models.iter().map(|model| model.bytes).sum();
            text + &format!("{} scores, {}, in {}\n", HumanCount(scores), HumanBytes(bytes), directory.display())
        }
        CacheCommand::Merge { directory, others } => {
            format!("{} scores in {}\n", HumanCount(folder::merge(directory, others)?), directory.display())
        }
        CacheCommand::Prune { directory, limit } => {
            format!("removed {} from {}\n", HumanBytes(folder::prune(directory, *limit)?), directory.display())
        }
    })
}

fn described(model: &CachedModel) -> String {
    let CachedModel { path, identity, scores, bytes, segments, written } = model;
    let name = match identity {
        Some(identity) => format!("{} in {} on {}", identity.model, identity.dtype, identity.kernels),
        None => format!("unknown model in {}", path.display()),
    };
    let age = written.elapsed().map(|age| format!(", written {} ago", HumanDuration(age))).unwrap_or_default();
    format!("{name}: {} scores, {} in {segments} files{age}", HumanCount(*scores), HumanBytes(*bytes))
}
