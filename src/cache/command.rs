//! What `rerank cache` prints.

use std::fmt::Write;

use anyhow::Result;
use indicatif::{DecimalBytes, HumanDuration};

use super::Identity;
use super::folder::{self, CachedModel};
use crate::cli::CacheCommand;
use crate::progress::{counted, escaped};

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
                let _ = writeln!(text, "{}", escaped(&described(model)));
            }
            let scores = models.iter().map(|model| model.scores).sum();
            let bytes = models.iter().map(|model| model.bytes).sum();
            text + &format!(
                "{}, {}, in {}\n",
                counted(scores, "score", "scores"),
                DecimalBytes(bytes),
                directory.display()
            )
        }
        CacheCommand::Merge { directory, others } => {
            let scores = folder::merge(directory, others)?;
            format!("{} in {}\n", counted(scores, "score", "scores"), directory.display())
        }
        CacheCommand::Prune { directory, limit } => {
            format!("removed {} from {}\n", DecimalBytes(folder::prune(directory, *limit)?), directory.display())
        }
    })
}

fn described(model: &CachedModel) -> String {
    let CachedModel { path, identity, scores, bytes, segments, unreadable, written } = model;
    let name = match identity {
        // The fake model counts words, in whatever precision.
        Some(identity) if identity.dtype.is_empty() => identity.model.clone(),
        Some(Identity { model, dtype, kernels, gpu, .. }) => {
            format!("{model} in {dtype} on {gpu}{}{kernels}", if gpu.is_empty() { "" } else { ", " })
        }
        None => format!("unknown model in {}", path.display()),
    };
    let age = match (segments, written.elapsed()) {
        (1.., Ok(age)) => format!(", written {} ago", HumanDuration(age)),
        _ => String::new(),
    };
    let files = counted(*segments as u64, "file", "files");
    let unreadable = match unreadable {
        0 => String::new(),
        count => format!("; {} that can't be read", counted(*count as u64, "file", "files")),
    };
    format!("{name}: {}, {} in {files}{age}{unreadable}", counted(*scores, "score", "scores"), DecimalBytes(*bytes))
}
