//! Where an adapter is: where `--adapter` names it, or in the directory that is named as the model.

use std::path::Path;

use anyhow::{Context, Error, Result, anyhow, bail, ensure};
use serde_json::Value;

use super::{Adapter, CONFIG, PICKLED, WEIGHTS};
use crate::checkpoint::{Downloads, Extent, ModelFiles, ModelSource};

/// `--adapter` as it is understood.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AdapterChoice {
    /// Where the adapter is, if one is named.
    pub source: Option<ModelSource>,
    /// Whether only files that were downloaded before may be used.
    pub offline: bool,
}

/// A model's files, and the adapter that belongs to them.
pub struct LocatedAdapter {
    /// The files of the base model.
    pub files: ModelFiles,
    /// The adapter.
    pub adapter: Option<Adapter>,
    /// What users should know of how both were found.
    pub notes: Vec<String>,
}

impl AdapterChoice {
    /// Understands `--adapter`, of which there may be one.
    ///
    /// # Errors
    /// If there are several, or one is neither a directory nor an id on the hub.
    pub fn parse(adapters: &[String], model: &ModelSource, offline: bool) -> Result<Self> {
        let adapter = match adapters {
            [] => return Ok(Self { source: None, offline }),
            [adapter] => adapter,
            several => bail!(
                "--adapter is given {} times: merging several adapters is not supported; combine them with add_weighted_adapter() of \
                 peft, and save the result",
                several.len()
            ),
        };
        ensure!(
            *model != ModelSource::Fake,
            "--adapter {adapter}: the model `fake` counts words, and has no weights to which something could be added"
        );
        Ok(Self { source: Some(ModelSource::parse_adapter(adapter, offline)?), offline })
    }

    /// Finds the adapter, and the base model where the model that is named is an adapter.
    ///
    /// # Errors
    /// If it can't be read, or there are two.
    pub fn locate(&self, files: ModelFiles, downloads: Downloads, extent: Extent) -> Result<LocatedAdapter> {
        let has_own = files.optional(CONFIG)?.is_some();
        let Some(source) = &self.source else {
            return if has_own {
                self.of_model(files, downloads, extent)
            } else {
                Ok(LocatedAdapter { files, adapter: None, notes: Vec::new() })
            };
        };
        let place = source.to_string();
        ensure!(
            !has_own,
            "--adapter {place}: the model has an adapter of its own ({CONFIG}), and merging several is not supported; name the base \
             model with --model, or merge the model's own with merge_and_unload() of peft"
        );
        let own = source.files(downloads)?;
        let adapter = Adapter::read(&own, place).map_err(|error| own.with_remedy(error))?;
        let notes = adapter.note_on_base(&files).into_iter().chain(note_on_tokenizer(&own, &files)?).collect();
        Ok(LocatedAdapter { files, adapter: Some(adapter), notes })
    }

    /// The adapter in the model's own directory.
    fn of_model(&self, files: ModelFiles, downloads: Downloads, extent: Extent) -> Result<LocatedAdapter> {
        let place = files.place();
        let adapter = Adapter::read(&files, place.clone())?;
        if files.is_whole_directory() {
            let note = format!("the model's own adapter is merged into it ({CONFIG} in {place}), as transformers does");
            return Ok(LocatedAdapter { files, adapter: Some(adapter), notes: vec![note] });
        }
        let settings = &adapter.settings;
        let base = settings.base.as_deref().with_context(|| {
            format!(
                "{place} holds an adapter, whose {CONFIG} names no base model; run with --model BASE --adapter {place}"
            )
        })?;
        let revision = settings.revision.as_deref().unwrap_or("main");
        let source = match Path::new(base).is_dir() {
            true => Ok(ModelSource::Directory(base.into())),
            false => ModelSource::parse(base, revision, self.offline),
        };
        let remedy = || without_base(&place, base);
        // The user has named no base with --model.
        let problem = |error: Error| anyhow!("{}", error.to_string().replace(&format!("--model {base}: "), ""));
        let source = source.map_err(problem).with_context(remedy)?;
        let mut base_files = source.files(downloads).with_context(remedy)?;
        let found = base_files.find_transformer().and_then(|()| base_files.find_gguf(source.file().as_deref(), extent));
        found.with_context(remedy)?;
        ensure!(
            base_files.optional(CONFIG).with_context(remedy)?.is_none(),
            "{place} holds an adapter, whose base model {base} has an adapter of its own; merging several is not supported"
        );
        if base_files.gguf().is_none() {
            base_files.get("config.json").with_context(remedy)?;
        }
        let mut notes = vec![format!(
            "{place} holds an adapter, which is merged into its base model {base} (base_model_name_or_path in {CONFIG})"
        )];
        notes.extend(note_on_tokenizer(&files, &base_files)?);
        Ok(LocatedAdapter { files: base_files, adapter: Some(adapter), notes })
    }
}

impl Adapter {
    /// The note that the adapter was trained on a model of another name.
    fn note_on_base(&self, files: &ModelFiles) -> Option<String> {
        let base = self.settings.base.as_deref()?;
        let last = |name: &str| name.trim_end_matches('/').rsplit(['/', '\\']).next().unwrap_or(name).to_lowercase();
        let is_base = |name: &String| {
            let name = name.strip_prefix("models--").map_or_else(|| name.clone(), |name| name.replace("--", "/"));
            last(&name) == last(base)
        };
        let names = files.names_of_model();
        (!names.iter().any(is_base)).then(|| {
            format!(
                "the adapter {} was trained on {base} (base_model_name_or_path), and is merged into {}: scores are right if these are \
                 the same weights",
                self.place,
                files.place()
            )
        })
    }
}

/// Why the base of an adapter can't be had, and what to do. PEFT, too, takes a relative path from the current directory.
fn without_base(place: &str, base: &str) -> String {
    let path = Path::new(base);
    let sought = match std::env::current_dir() {
        Ok(current) if path.is_relative() => format!("; as a path, it was sought from {}", current.display()),
        _ => String::new(),
    };
    let adapter = Path::new(place);
    let folders = [adapter.parent(), Some(adapter)].into_iter().flatten();
    let beside = folders.flat_map(|folder| [Some(folder.join(path)), path.file_name().map(|name| folder.join(name))]);
    let known = beside.flatten().find(|directory| directory.is_dir());
    let remedy = match known {
        Some(directory) => {
            format!("a directory of this name is {0}: run with --model {0} --adapter {place}", directory.display())
        }
        None => format!("if you have it elsewhere, run with --model BASE --adapter {place}"),
    };
    format!(
        "{place} holds an adapter, whose base model {base} (base_model_name_or_path in {CONFIG}) can't be found{sought}; {remedy}"
    )
}

/// The note that the tokenizer beside an adapter is not the one that is used.
fn note_on_tokenizer(adapter: &ModelFiles, base: &ModelFiles) -> Result<Option<String>> {
    const TOKENIZER: &str = "tokenizer.json";
    if !adapter.is_here(TOKENIZER) {
        return Ok(None);
    }
    let (Some((path, own)), Some((_, other))) = (adapter.json(TOKENIZER)?, base.json(TOKENIZER)?) else {
        return Ok(None);
    };
    // How a batch is cut and padded is saved with a tokenizer, and is nobody's text.
    let same = |name: &str| own.get(name) == other.get(name);
    let fields =
        |value: &Value| value.as_object().map(|fields| fields.keys().cloned().collect::<Vec<_>>()).unwrap_or_default();
    let names = fields(&own).into_iter().chain(fields(&other));
    let differs = names.filter(|name| !["truncation", "padding"].contains(&name.as_str())).any(|name| !same(&name));
    Ok(differs
        .then(|| format!("{} differs from the base model's tokenizer, which is the one that is used", path.display())))
}

/// Why a place has no configuration of an adapter.
pub(super) fn without_config(place: &str, files: &ModelFiles) -> String {
    let is_model = files.is_here("config.json");
    let what = if is_model { "; it has a config.json: a whole model is named with --model" } else { "" };
    format!(
        "{place} has no {CONFIG}{what}; an adapter's directory holds {CONFIG} and {WEIGHTS}, as save_pretrained() of peft writes them"
    )
}

/// Why a place has no weights of an adapter.
pub(super) fn without_weights(place: &str, files: &ModelFiles) -> String {
    match files.has(PICKLED) {
        Ok(true) => format!(
            "{place} has no {WEIGHTS}, only {PICKLED}, in Python's pickle format, which can run any program while it is read; convert \
             it: load_file = torch.load({PICKLED:?}, weights_only=True), and safetensors.torch.save_file(load_file, {WEIGHTS:?})"
        ),
        _ => format!("{place} has no {WEIGHTS} beside its {CONFIG}; save the adapter with save_pretrained() of peft"),
    }
}
