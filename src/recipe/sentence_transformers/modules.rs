//! `modules.json`, the modules that a text passes through, and the configuration of the module that scores.

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::read_json;
use super::transformer::TransformerSettings;
use crate::checkpoint::ModelFiles;
use crate::fields::Fields;

const FILE: &str = "modules.json";

/// The modules of a reranker.
#[derive(Debug, Default)]
pub(super) struct Modules {
    /// The ids of the answers, if a module compares logits, and the file that has them.
    pub(super) answers: Option<(u32, Option<u32>, String)>,
    /// The output of the transformer that this module reads.
    reads: Option<String>,
}

impl Modules {
    pub(super) fn read(files: &ModelFiles) -> Result<Self> {
        let Some((path, value)) = read_json(files, FILE)? else { return Ok(Self::default()) };
        let place = path.display().to_string();
        let entries = value.as_array().with_context(|| format!("{place} is no list of modules"))?;
        let mut scoring = None;
        for (index, entry) in entries.iter().enumerate() {
            let fields = Fields::of(entry).with_context(|| format!("{place}, module {index}"))?;
            let module = Module::read(fields).with_context(|| format!("{place}, module {index}"))?;
            match (index, module) {
                (0, Module::Transformer { folder }) => ensure!(
                    folder.is_empty(),
                    "{place}: the transformer is in the folder {folder}, which is not supported; copy its files to where \
                     {FILE} is"
                ),
                (1, Module::LogitScore { folder }) => {
                    ensure!(
                        !folder.is_empty(),
                        "{place}: the path of module 1, the LogitScore, should name its folder"
                    );
                    scoring = Some(folder);
                }
                (_, module) => bail!(
                    "{place}: module {index} is {}, and only a Transformer is supported, alone or with a LogitScore behind \
                     it; --recipe ignores {FILE}",
                    module.name()
                ),
            }
        }
        ensure!(!entries.is_empty(), "{place} lists no modules");
        scoring.map_or_else(|| Ok(Self::default()), |folder| Self::read_scoring(files, &folder))
    }

    /// The configuration of the module that compares logits.
    fn read_scoring(files: &ModelFiles, folder: &str) -> Result<Self> {
        let name = format!("{folder}/config.json").trim_start_matches('/').to_owned();
        let (path, value) =
            read_json(files, &name)?.with_context(|| format!("{FILE} has a LogitScore, and there is no {name}"))?;
        let origin = path.display().to_string();
        let read = || -> Result<Self> {
            let fields = Fields::of(&value)?;
            fields.only(&["true_token_id", "false_token_id", "module_input_name"])?;
            let true_token = token_id(fields, "true_token_id")?.context("it has no true_token_id")?;
            let false_token = token_id(fields, "false_token_id")?;
            let reads = fields.text("module_input_name")?.unwrap_or("causal_logits").to_owned();
            Ok(Self { answers: Some((true_token, false_token, origin.clone())), reads: Some(reads) })
        };
        read().with_context(|| origin.clone())
    }

    /// Checks that the module which scores reads what the transformer gives.
    pub(super) fn check_against(&self, transformer: &TransformerSettings) -> Result<()> {
        let (Some(reads), Some((_, _, origin))) = (&self.reads, &self.answers) else { return Ok(()) };
        let gives = transformer.output_name.as_deref().unwrap_or("causal_logits");
        ensure!(reads == gives, "{origin}: module_input_name is {reads}, and the transformer's output is {gives}");
        Ok(())
    }
}

enum Module {
    Transformer { folder: String },
    LogitScore { folder: String },
    Other(String),
}

impl Module {
    fn read(fields: Fields<'_>) -> Result<Self> {
        let kind = fields.text("type")?.context("it has no type")?;
        let folder = fields
            .text("path")?
            .context("it has no path, the folder of the module's files")?
            .trim_end_matches('/')
            .to_owned();
        let outside = folder.starts_with('/') || folder.split(['/', '\\']).any(|part| part == "..");
        ensure!(!outside, "its path {folder} leads out of the model");
        let own = kind.starts_with("sentence_transformers.");
        Ok(match kind.rsplit('.').next() {
            Some("Transformer") if own => Self::Transformer { folder },
            Some("LogitScore") if own => Self::LogitScore { folder },
            _ => Self::Other(kind.to_owned()),
        })
    }

    fn name(&self) -> &str {
        match self {
            Self::Transformer { .. } => "a Transformer",
            Self::LogitScore { .. } => "a LogitScore",
            Self::Other(kind) => kind,
        }
    }
}

fn token_id(fields: Fields<'_>, name: &str) -> Result<Option<u32>> {
    let id = |value: &Value| {
        let id = value.as_u64().and_then(|id| u32::try_from(id).ok());
        id.with_context(|| format!("{name} is {value}, and should be a token's id"))
    };
    fields.get(name).map(id).transpose()
}
