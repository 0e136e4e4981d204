//! Rankings that rerank has written without texts (`--no-text`): how they are known, and what helps.

/// What helps where such rankings are read again.
pub const REMEDY: &str = "rankings without texts (--no-text) are read again with --collection, the file of their texts";

/// Whether fields with these names are those of a document that was ranked, where none of them is its text.
pub fn are_of_ranked<'n>(mut names: impl Iterator<Item = &'n str> + Clone) -> bool {
    names.clone().any(|name| name == "logit") && names.any(|name| name == "original_rank")
}
