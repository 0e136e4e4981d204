//! Files that are obeyed here, and that sentence-transformers itself would not read: each is stated.

use super::Stored;
use super::model::ModelSettings;
use super::transformer::TransformerSettings;
use crate::checkpoint::ModelFiles;

/// The notes on such files. They concern checkpoints whose files are not complete.
pub(super) fn notes(
    stored: &Stored,
    transformer: &TransformerSettings,
    model: &ModelSettings,
    files: &ModelFiles,
) -> anyhow::Result<Vec<String>> {
    let mut notes = Vec::new();
    let modules = files.optional("modules.json")?;
    let own = [transformer.place.as_deref(), model.place.as_deref()];
    match &modules {
        None => {
            for place in own.into_iter().flatten() {
                notes.push(format!(
                    "{place} is obeyed; sentence-transformers does not read it in a model without modules.json"
                ));
            }
        }
        Some(path) if !model.is_cross_encoder => notes.push(format!(
            "{} and the files beside it are obeyed; sentence-transformers takes its defaults in their place, because no \
             config_sentence_transformers.json has the model_type CrossEncoder",
            path.display()
        )),
        Some(_) => {}
    }
    let has_template = files.optional("chat_template.jinja")?.is_some();
    if let (Some(_), Some(place), None, true, true) =
        (&modules, &transformer.place, stored.input, has_template, model.is_cross_encoder)
    {
        notes.push(format!(
            "{place} has no modality_config, and the chat template is used; sentence-transformers gives such a model the two \
             texts without a template"
        ));
    }
    Ok(notes)
}
