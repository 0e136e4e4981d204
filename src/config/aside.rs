//! What stands beside data and is no data: hidden files, and what engines and this program write beside their outputs.

use std::path::{Component, Path};

/// The endings of files that stand beside an output.
const BESIDE_OUTPUTS: [&str; 3] = [".run.json", ".done.json", ".tmp"];
/// What Spark, Hadoop, Parquet writers and Delta Lake put beside data.
const MARKERS: [&str; 5] = ["_SUCCESS", "_metadata", "_common_metadata", "_temporary", "_delta_log"];
/// How the names of the markers begin that Databricks puts beside data; the number of a transaction follows.
const NUMBERED_MARKERS: [&str; 2] = ["_committed_", "_started_"];

/// What something in a directory is, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// It is read.
    Data,
    /// Nobody expects it to be read.
    Aside,
    /// Engines pass over such a name, but some people give it to data.
    Doubtful,
}

/// What something in a directory is.
pub(super) fn role(path: &Path) -> Role {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let is_marker = MARKERS.contains(&&*name) || NUMBERED_MARKERS.iter().any(|beginning| name.starts_with(beginning));
    if name.starts_with('.') || is_marker || is_beside_output(path) {
        Role::Aside
    } else if name.starts_with('_') {
        Role::Doubtful
    } else {
        Role::Data
    }
}

/// Whether a file is a record of a run, or a file that a run has not finished.
pub(super) fn is_beside_output(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    BESIDE_OUTPUTS.iter().any(|ending| name.ends_with(ending))
}

/// Whether a shell would not expand a pattern to this path: a hidden name must be asked for with a dot at its beginning.
///
/// `glob::MatchOptions::require_literal_leading_dot` is not used: with it, a search panics at names that are no UTF-8, and finds
/// no hidden file at all.
pub(super) fn is_hidden_from(pattern: &str, path: &Path) -> bool {
    let asked: Vec<glob::Pattern> =
        pattern.split('/').filter(|part| part.starts_with('.')).filter_map(|part| part.parse().ok()).collect();
    path.components().any(|component| {
        let Component::Normal(name) = component else { return false };
        let name = name.to_string_lossy();
        name.starts_with('.') && !asked.iter().any(|part| part.matches(&name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hidden_name_must_be_asked_for() {
        for (pattern, path, is_hidden) in [
            ("in/*", "in/.a", true),
            ("in/*", "in/a", false),
            ("in/.*", "in/.a", false),
            ("./in/*", "in/a", false),
            ("../*", "../a", false),
            ("/home/.cache/*", "/home/.cache/a", false),
            ("/home/.cache/*", "/home/.cache/.a", true),
            ("in/**/*", "in/.git/a", true),
            ("in/**/.a", "in/b/.a", false),
            ("in/[.]a", "in/.a", true),
        ] {
            assert_eq!(is_hidden_from(pattern, Path::new(path)), is_hidden, "{pattern} {path}");
        }
    }
}
