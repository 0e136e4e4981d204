//! Gathers what the bytes of an output depend on.

use std::io;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use super::inputs::Identity;
use super::settings::{KERNELS, ON_ERROR, PRECISION, Settings};
use crate::checkpoint::ModelSource;
use crate::config::Config;
use crate::input::{InputFile, InputFormat, InputOptions, Quotes, parquet_files};
use crate::output::{Compression, OutputFormat};
use crate::setup::Setup;
use crate::store;

/// A run whose model is found.
pub struct RunFacts<'a> {
    /// Its options.
    pub config: &'a Config,
    /// Its model, and how that computes.
    pub setup: &'a Setup,
}

impl RunFacts<'_> {
    /// What the rankings depend on. `old` are the settings of the run that is resumed.
    pub(super) fn settings(&self, old: Option<&Settings>) -> Result<Settings> {
        let mut settings = Settings::default();
        settings.add("rerank's version", env!("CARGO_PKG_VERSION"));
        self.add_model(&mut settings)?;
        self.add_output(&mut settings);
        self.add_input(&mut settings);
        let options = &self.config.input;
        let input = Some(options.path.as_deref()).filter(|_| options.files.is_empty());
        let files = [
            ("the input", input),
            ("--queries", options.queries.as_deref().map(Some)),
            ("--collection", options.collection.as_deref().map(Some)),
        ];
        for (name, path) in files {
            let Some(path) = path else { continue };
            if let Some(directory) = path.filter(|path| path.is_dir()) {
                add_parts(&mut settings, name, directory)?;
                continue;
            }
            let before = old.and_then(|old| old.identity(name));
            let identity = Identity::of(path, before.as_ref()).with_context(|| unread(path))?;
            settings.add(name, serde_json::to_value(identity)?);
        }
        self.add_files(&mut settings, old)?;
        Ok(settings)
    }

    /// Adds what tells the files of an input from others, where it has several.
    fn add_files(&self, settings: &mut Settings, old: Option<&Settings>) -> Result<()> {
        let files = &self.config.input.files;
        if files.is_empty() {
            return Ok(());
        }
        settings.add("the number of inputs", files.len());
        let identities = store::for_each(files, |number, InputFile { path, .. }| {
            let name = format!("input {}", number + 1);
            let before = old.and_then(|old| old.identity(&name));
            let identity =
                Identity::of_one_of(files.len(), path, before.as_ref()).with_context(|| unread(Some(path)))?;
            Ok((name, serde_json::to_value(identity)?))
        })?;
        identities.into_iter().for_each(|(name, identity)| settings.add(&name, identity));
        Ok(())
    }

    fn add_model(&self, settings: &mut Settings) -> Result<()> {
        let recipe = self.setup.reranker.recipe();
        settings.add("the model (the hash of its files)", self.setup.fingerprint()?.unwrap_or("fake"));
        settings.add("--hash-weights", self.config.model.hash_weights);
        settings.add("the recipe", recipe.name.name.as_str());
        for (name, value) in &recipe.settings {
            settings.add(name, value.as_str());
        }
        settings.add("the longest prompt, in tokens,", recipe.max_length);
        if let Some(answers) = recipe.answers {
            settings.add("the answers' tokens", json!([answers.yes, answers.no]).to_string());
        }
        settings.add("the score", recipe.name.score.as_str());
        settings.add("the temperature", recipe.activation.temperature);
        // The fake model counts words, on any machine alike.
        if self.config.model.source != ModelSource::Fake {
            settings.add(PRECISION, self.setup.compute.precision.name());
            settings.add(KERNELS, self.setup.kernel_class());
            settings.add_some("the GPU", Some(self.setup.gpus()).filter(|gpus| !gpus.is_empty()));
        }
        Ok(())
    }

    fn add_output(&self, settings: &mut Settings) {
        let Config { layout, cutoff, fusion, splitting, skip_bad_records, .. } = self.config;
        settings.add("the output's format", layout.format.name());
        let compression = match layout.compression {
            Compression::None => "none",
            Compression::Gzip => "gzip",
            Compression::Zstandard => "Zstandard",
        };
        settings.add("the output's compression", compression);
        settings.add("--no-text", !layout.text);
        settings.add_some("--tag", Some(layout.tag.as_str()).filter(|_| layout.format == OutputFormat::Trec));
        settings.add_some("--top-k", cutoff.top_k);
        settings.add_some("--min-score", cutoff.min_score.map(|least| least.to_string()));
        settings.add_some("--fuse", fusion.map(|fusion| fusion.to_string()));
        settings.add("--long", splitting.map_or("truncate", |splitting| splitting.aggregation.name()));
        settings.add_some("--passage-tokens", splitting.and_then(|splitting| splitting.tokens));
        settings.add_some("--stride", splitting.and_then(|splitting| splitting.stride));
        settings.add(ON_ERROR, if *skip_bad_records { "skip" } else { "fail" });
    }

    fn add_input(&self, settings: &mut Settings) {
        let options = &self.config.input;
        settings.add_some("--input-format", options.format.map(name_of_format));
        let renamed = options.columns.iter().map(|(field, name)| format!("{}={name}", field.name()));
        let columns: Vec<String> = renamed.chain(options.columns.in_order().iter().cloned()).collect();
        settings.add_some("--columns", Some(columns.join(",")).filter(|columns| !columns.is_empty()));
        settings.add("--no-header", !options.columns.in_order().is_empty());
        settings.add_some("--delimiter", options.tables.delimiter.map(|delimiter| char::from(delimiter.0).to_string()));
        settings.add_some(
            "--quotes",
            options.tables.quotes.map(|quotes| match quotes {
                Quotes::Csv => "csv",
                Quotes::None => "none",
            }),
        );
        settings.add("--group", options.group);
    }

    /// How this run differs from one that had these settings, a sentence for each.
    ///
    /// # Errors
    /// If a file that is read can't be compared.
    pub(crate) fn differences(&self, old: &Settings, about: &Map<String, Value>) -> Result<Vec<String>> {
        Ok(self.named_differences((old, about), &self.settings(Some(old))?))
    }

    /// As [`RunFacts::differences`], of a run that stopped at a record: its files may be mended, or it may go on without the record.
    ///
    /// # Errors
    /// If a file that is read can't be compared.
    pub(crate) fn differences_of_stopped(&self, old: &Settings, about: &Map<String, Value>) -> Result<Vec<String>> {
        let new = self.settings(Some(old))?;
        Ok(self.named_differences((&old.taking(&new, true, |name| name == ON_ERROR), about), &new))
    }

    /// The differences between the settings of another run and these, with the names of the models.
    pub(super) fn named_differences(
        &self,
        (old, about): (&Settings, &Map<String, Value>),
        new: &Settings,
    ) -> Vec<String> {
        let new_about = self.about();
        let models = about.get("model").zip(new_about.get("model"));
        let named = |difference: String| match models {
            Some((old, new)) if difference.starts_with("the model ") => match old == new {
                true => format!("{difference} (both times of {new}: a file was changed)"),
                false => format!("{difference} ({old} then, {new} now)"),
            },
            _ => difference,
        };
        old.differences(new).into_iter().map(named).collect()
    }

    /// What people may want to know of the run.
    pub(super) fn about(&self) -> Map<String, Value> {
        let Config { input, .. } = self.config;
        let output = self.config.named_output();
        let name = |path: &Path| path.display().to_string();
        let pairs = [
            ("output", output.as_deref().map(name)),
            ("input", Some(named_input(input))),
            ("queries", input.queries.as_deref().map(name)),
            ("collection", input.collection.as_deref().map(name)),
            ("model", Some(self.setup.model())),
        ];
        pairs.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.into()))).collect()
    }
}

/// Adds what tells a file in parts from others.
fn add_parts(settings: &mut Settings, name: &str, directory: &Path) -> Result<()> {
    let files = parquet_files(directory)?;
    settings.add(&format!("the parts of {name}"), files.len());
    for (number, path) in files.iter().enumerate() {
        let identity = Identity::of_one_of(files.len(), path, None).with_context(|| unread(Some(path)))?;
        settings.add(&format!("{name}, part {}", number + 1), serde_json::to_value(identity)?);
    }
    Ok(())
}

/// The input, for people.
fn named_input(input: &InputOptions) -> String {
    match (input.files.as_slice(), &input.path) {
        ([first, .., last], _) => {
            format!("{} files, {} to {}", input.files.len(), first.path.display(), last.path.display())
        }
        (_, Some(path)) => path.display().to_string(),
        _ => "standard input".to_owned(),
    }
}

fn unread(path: Option<&Path>) -> String {
    format!("cannot read {}", path.map_or_else(|| "standard input".to_owned(), |path| path.display().to_string()))
}

fn name_of_format(format: InputFormat) -> String {
    use clap::ValueEnum;
    format.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}

/// Whether a file is read that can be compared with the one that was read before.
pub(crate) fn is_comparable(input: &InputOptions) -> io::Result<bool> {
    if !input.files.is_empty() || input.path.as_deref().is_some_and(store::is_address) {
        return Ok(input.is_stored());
    }
    Ok(matches!(Identity::of(input.path.as_deref(), None)?, Identity::File { .. }))
}
