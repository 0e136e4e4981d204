//! What `modules.json` has for the recipe: the module that compares logits. A head of modules is the model's.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::transformer::TransformerSettings;
use crate::checkpoint::{MODULES, ModelFiles, ModuleKind, Modules};
use crate::fields::Fields;

/// What a recipe needs of the modules.
#[derive(Debug, Default)]
pub(super) struct RecipeModules {
    /// The ids of the answers, if a module compares logits, and the file that has them.
    pub(super) answers: Option<(u32, Option<u32>, String)>,
    /// Whether modules make a head of the tokens' vectors.
    pub(super) pools: bool,
    /// The output of the transformer that the module behind it reads, and the file that has that.
    reads: Option<(String, String)>,
}

impl RecipeModules {
    pub(super) fn read(files: &ModelFiles) -> Result<Self> {
        let Some(modules) = Modules::read(files)? else { return Ok(Self::default()) };
        if modules.pools() {
            let reads = Some(("token_embeddings".to_owned(), modules.place.clone()));
            return Ok(Self { answers: None, pools: true, reads });
        }
        for (index, module) in modules.list.iter().enumerate().skip(1) {
            ensure!(
                index == 1 && module.kind == ModuleKind::LogitScore,
                "{}: module {index} is {}, and behind a Transformer only a LogitScore is supported, or a Pooling and the \
                 modules of a head; --recipe ignores {MODULES}",
                modules.place,
                module.class
            );
        }
        match modules.list.get(1) {
            Some(module) => modules.config(files, module, Self::of_scoring),
            None => Ok(Self::default()),
        }
    }

    /// The configuration of the module that compares logits.
    fn of_scoring(fields: Fields<'_>, origin: &str) -> Result<Self> {
        fields.only(&["true_token_id", "false_token_id", "module_input_name"])?;
        let true_token = token_id(fields, "true_token_id")?.context("it has no true_token_id")?;
        let false_token = token_id(fields, "false_token_id")?;
        let reads = fields.text("module_input_name")?.unwrap_or("causal_logits").to_owned();
        let answers = Some((true_token, false_token, origin.to_owned()));
        Ok(Self { answers, pools: false, reads: Some((reads, origin.to_owned())) })
    }

    /// Checks that the module behind the transformer reads what that gives.
    pub(super) fn check_against(&self, transformer: &TransformerSettings) -> Result<()> {
        let Some((reads, origin)) = &self.reads else { return Ok(()) };
        let gives =
            transformer.output_name.as_deref().unwrap_or(if self.pools { "token_embeddings" } else { "causal_logits" });
        ensure!(reads == gives, "{origin}: module_input_name is {reads}, and the transformer's output is {gives}");
        Ok(())
    }
}

fn token_id(fields: Fields<'_>, name: &str) -> Result<Option<u32>> {
    let id = |value: &Value| {
        let id = value.as_u64().and_then(|id| u32::try_from(id).ok());
        id.with_context(|| format!("{name} is {value}, and should be a token's id"))
    };
    fields.get(name).map(id).transpose()
}
