//! What sentence-transformers writes beside a reranker's weights. Everything in these files is obeyed, or refused by name.

mod differences;
mod model;
mod modules;
mod transformer;

use anyhow::Result;
use serde_json::{Map, Value};

use self::model::ModelSettings;
use self::modules::RecipeModules;
use self::transformer::TransformerSettings;
use super::chat_template::MessageFormat;
use super::value::Cut;
use crate::checkpoint::ModelFiles;

/// How a checkpoint's texts reach its model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Input {
    /// As messages, by a chat template; the form is inferred if it is not given.
    Messages(Option<MessageFormat>),
    /// As two texts, one behind the other.
    Texts,
}

/// What the files of a checkpoint say of its recipe.
#[derive(Debug, Default)]
pub(super) struct Stored {
    /// The ids of the answers, and the file that has them.
    pub(super) answers: Option<(u32, Option<u32>, String)>,
    /// How texts reach the model, if that is given.
    pub(super) input: Option<Input>,
    /// Whether modules make the head.
    pub(super) pools: bool,
    /// Whether the model is a classifier, if that is given, and the file that has it.
    pub(super) classifier: Option<(bool, String)>,
    /// The longest prompt.
    pub(super) max_length: Option<usize>,
    /// What of two texts is cut, if the transformer has settings.
    pub(super) cut: Option<Cut>,
    /// The default instruction, and the file that has it.
    pub(super) instruction: Option<(String, String)>,
    /// The dotted name of the activation, and the file that has it.
    pub(super) activation: Option<(String, String)>,
    /// Variables of the chat template.
    pub(super) variables: Map<String, Value>,
    /// Where sentence-transformers itself would not do what the files say.
    pub(super) notes: Vec<String>,
}

impl Stored {
    /// Reads the files that are there.
    ///
    /// # Errors
    /// If one can't be read, or has something that is not supported.
    pub(super) fn read(files: &ModelFiles) -> Result<Self> {
        let modules = RecipeModules::read(files)?;
        let transformer = TransformerSettings::read(files, modules.pools)?;
        let model = ModelSettings::read(files)?;
        modules.check_against(&transformer)?;
        let mut stored = Self {
            answers: modules.answers,
            input: transformer.input,
            pools: modules.pools,
            classifier: transformer.classifier.clone(),
            max_length: transformer.max_length,
            cut: transformer.cut,
            instruction: model.instruction.clone(),
            activation: model.activation.clone(),
            variables: transformer.variables.clone(),
            notes: Vec::new(),
        };
        stored.notes = differences::notes(&stored, &transformer, &model, files)?;
        Ok(stored)
    }
}
