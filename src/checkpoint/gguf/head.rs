//! What stands behind the layers: rows of answers, a classifier, or nothing, in embedding models.

use anyhow::{Result, bail, ensure};

use super::architecture::{ARCHITECTURE, Family};
use super::metadata::Metadata;
use crate::model::{Architecture, HeadOutput, Tensor};

/// The rows of a classifier, or of a language model's answers.
pub(super) const ROWS: &str = "cls.output.weight";
/// The dense layer before a classifier.
const DENSE: &str = "cls.weight";

/// The ways of pooling, by their numbers, of models that give vectors.
const OF_VECTORS: [(usize, &str); 3] = [(1, "mean"), (2, "cls"), (3, "last")];

/// Checks that there is a head that scores.
///
/// # Errors
/// If there is none: with what the file is instead.
pub(super) fn check(metadata: &Metadata, family: Family, shape: impl Fn(&str) -> Option<Vec<usize>>) -> Result<()> {
    let architecture = metadata.text(ARCHITECTURE)?.unwrap_or_default();
    let pooling = metadata.count(&format!("{architecture}.pooling_type"))?;
    let of_vectors = OF_VECTORS.iter().find(|(number, _)| Some(*number) == pooling);
    let has_rows = shape(ROWS).is_some();
    match of_vectors {
        Some((number, name)) if !has_rows => bail!(
            "it has no {ROWS}, and its {architecture}.pooling_type is {number} ({name}): it is an embedding model, which gives a vector \
             for each text and no score"
        ),
        _ if family.is_decoder() => return Ok(()),
        _ => {}
    }
    let without_dense = matches!(family, Family::Bert) && (!has_rows || shape(DENSE).is_none());
    ensure!(
        !without_dense || shape(ROWS).or(shape(DENSE)).is_none(),
        "it has the last row of its head and not the dense layer before it (bert.pooler.dense), which the conversion to GGUF leaves \
         out: its scores would be wrong, as they are in llama.cpp; take the model's safetensors"
    );
    ensure!(
        has_rows && shape(DENSE).is_some(),
        "it has no head that scores ({DENSE} and {ROWS}): it is an embedding model, or was converted as one; take a file that was \
         converted from the reranker"
    );
    Ok(())
}

/// Puts the rows of a language model's answers in place of its vocabulary, where the file has them. Returns what users should
/// know about that.
///
/// # Errors
/// If they are others than yes and no.
pub(super) fn put_answers(
    architecture: &mut Architecture,
    metadata: &Metadata,
    shape: Option<Vec<usize>>,
) -> Result<Option<String>> {
    let name = format!("{}.classifier.output_labels", metadata.text(ARCHITECTURE)?.unwrap_or_default());
    let labels = metadata.texts(&name)?;
    let Some([count, inputs]) = shape.as_deref().and_then(|shape| <[usize; 2]>::try_from(shape).ok()) else {
        // One row, or none.
        let stated = labels.map_or(0, <[String]>::len);
        ensure!(
            shape.is_none() || stated < 2,
            "{ROWS} has one row, and {name} states {stated} labels; convert the model again"
        );
        return Ok(None);
    };
    ensure!(count == 2, "{ROWS} has {count} rows, and can have one (a classifier) or two (yes and no)");
    let (labels, warning) = match labels {
        Some(labels) => (labels.iter().map(String::as_str).collect::<Vec<_>>(), None),
        None => (
            vec!["yes", "no"],
            Some(format!(
                "{}: the metadata has no {name}, so that which row of {ROWS} is which is not stated: the first is taken for yes, as in \
                 llama.cpp",
                metadata.path().display()
            )),
        ),
    };
    let row = |wanted: &str| labels.iter().position(|label| *label == wanted);
    let (Some(yes), Some(no), 2) = (row("yes"), row("no"), labels.len()) else {
        bail!("{name} is {labels:?}, and the labels of a reranker's two rows are yes and no")
    };
    architecture.head.output = HeadOutput::Answers { rows: Tensor::matrix(ROWS, count, inputs), yes, no };
    Ok(warning)
}
