//! `config_sentence_transformers.json`: the default instruction and the activation, with the older places of the latter.

use anyhow::{Context, Result, bail};

use crate::checkpoint::{ModelFiles, SETTINGS};
use crate::fields::Fields;

/// All settings that are known. Versions, precision and the similarity of vectors change no score.
const KNOWN: [&str; 9] = [
    "model_type",
    "__version__",
    "requirements",
    "prompts",
    "default_prompt_name",
    "activation_fn",
    "similarity_fn_name",
    "truncate_dim",
    "keep_in_fp32_modules",
];

/// The settings of the whole model.
#[derive(Debug, Default)]
pub(super) struct ModelSettings {
    pub(super) instruction: Option<(String, String)>,
    pub(super) activation: Option<(String, String)>,
    /// Whether the file states that the model is a reranker.
    pub(super) is_cross_encoder: bool,
    /// The file, if it is there.
    pub(super) place: Option<String>,
}

impl ModelSettings {
    pub(super) fn read(files: &ModelFiles) -> Result<Self> {
        let mut settings = Self::default();
        if let Some((path, value)) = files.json(SETTINGS)? {
            let place = path.display().to_string();
            settings.place = Some(place.clone());
            settings
                .read_own(Fields::of(&value).with_context(|| place.clone())?, &place)
                .with_context(|| place.clone())?;
        }
        if settings.activation.is_none() {
            settings.activation = older_activation(files)?;
        }
        Ok(settings)
    }

    fn read_own(&mut self, fields: Fields<'_>, place: &str) -> Result<()> {
        fields.only(&KNOWN)?;
        match fields.text("model_type")? {
            None => {}
            Some("CrossEncoder") => self.is_cross_encoder = true,
            Some(kind) => bail!(
                "model_type is {kind}, which gives vectors and no scores; name a reranker (a CrossEncoder), or a --recipe if \
                 it is one"
            ),
        }
        self.activation = fields.text("activation_fn")?.map(|name| (name.to_owned(), place.to_owned()));
        let Some(name) = fields.text("default_prompt_name")? else { return Ok(()) };
        let prompts = fields.object("prompts")?;
        let known = prompts.is_some_and(|prompts| prompts.iter().any(|(other, _)| other == name));
        let text = prompts.map_or(Ok(None), |prompts| prompts.text(name))?;
        match text {
            // An empty one stands for none.
            Some("") | None if known => {}
            Some(text) => self.instruction = Some((text.to_owned(), place.to_owned())),
            None => bail!("default_prompt_name is {name}, and prompts has no such prompt"),
        }
        Ok(())
    }
}

/// The activation as versions before 5.4 and before 4 stored it, in `config.json`.
fn older_activation(files: &ModelFiles) -> Result<Option<(String, String)>> {
    let Some((path, value)) = files.json("config.json")? else { return Ok(None) };
    let place = path.display().to_string();
    let read = || -> Result<Option<String>> {
        let fields = Fields::of(&value)?;
        let newer = fields.object("sentence_transformers")?;
        // The newer place counts where it is there, even if it is null.
        let name = match newer {
            Some(settings) if settings.has("activation_fn") => settings.text("activation_fn")?,
            _ => fields.text("sbert_ce_default_activation_function")?,
        };
        Ok(name.map(str::to_owned))
    };
    Ok(read().with_context(|| place.clone())?.map(|name| (name, place.clone())))
}
