//! Rankings that rerank has written without texts (`--no-text`): how they are known, and what helps.

use super::detect::InputFormat;

/// What helps where such rankings are read again.
pub const REMEDY: &str = "rankings without texts (--no-text) are read again, with --queries and --collection, from a TREC run or \
                          from Parquet: write them to a file that ends in .trec, or with their texts";

/// What makes such a run of rankings that are there already.
const CONVERSION: &str = "; or make such a run of this file: jq -r '.query_id as $query | .results[] | \"\\($query) Q0 \\(.id) \
                          \\(.rank) \\(.fused // .logit) rerank\"' FILE > ranked.trec";

/// Whether fields with these names are those of a document that was ranked, where none of them is its text.
pub fn are_of_ranked<'n>(mut names: impl Iterator<Item = &'n str> + Clone) -> bool {
    names.clone().any(|name| name == "logit") && names.any(|name| name == "original_rank")
}

/// What is wrong with an input for which a collection is named, if its first line is one of rankings without texts.
pub fn problem(first_line: &[u8], format: InputFormat, name: &str) -> Option<String> {
    let words = first_line.split(|byte| matches!(byte, b'"' | b',' | b'\t' | b';')).map(<[u8]>::trim_ascii);
    let words = words.filter_map(|word| std::str::from_utf8(word).ok());
    if !are_of_ranked(words.clone()) || words.clone().any(|word| word == "text") {
        return None;
    }
    let conversion = if format == InputFormat::Jsonl { CONVERSION } else { "" };
    Some(format!("--queries and --collection do not belong to {name}: {REMEDY}{conversion}"))
}
