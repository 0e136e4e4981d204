//! `modules.json` of sentence-transformers: the modules that a text passes through, each with a folder of its own. Those behind
//! a pooling are the model's head, in files of their own.

mod folder;
mod head;

use anyhow::{Context, Result, bail, ensure};

use super::ModelFiles;
use crate::fields::Fields;
pub use head::ModuleHead;

/// The file.
pub(crate) const MODULES: &str = "modules.json";

/// The settings of all modules together, which stand beside the list.
pub(crate) const SETTINGS: &str = "config_sentence_transformers.json";

/// The modules of a model, in their order.
pub(crate) struct Modules {
    /// The file's path, for messages.
    pub(crate) place: String,
    /// The modules, of which there is at least one.
    pub(crate) list: Vec<Module>,
}

/// A module, and the folder of its files.
pub(crate) struct Module {
    /// Its number; 0 is the transformer.
    pub(crate) index: usize,
    /// What it does.
    pub(crate) kind: ModuleKind,
    /// The folder, without a slash at its end.
    pub(crate) folder: String,
    /// The class, as the file names it.
    pub(crate) class: String,
}

/// The modules that are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ModuleKind {
    /// The model of transformers.
    Transformer,
    /// The difference of two tokens' logits.
    LogitScore,
    /// From the tokens' vectors to one.
    Pooling,
    /// A linear layer.
    Dense,
    /// A norm.
    LayerNorm,
    /// Nothing, outside of training.
    Dropout,
    /// Any other.
    Other,
}

impl Modules {
    /// Reads the file, if there is one.
    ///
    /// # Errors
    /// If it is no list of modules, or a folder leads out of the model.
    pub(crate) fn read(files: &ModelFiles) -> Result<Option<Self>> {
        let Some((path, value)) = files.json(MODULES)? else { return Ok(None) };
        let place = path.display().to_string();
        let entries = value.as_array().with_context(|| format!("{place} is no list of modules"))?;
        ensure!(!entries.is_empty(), "{place} lists no modules");
        let read = |(index, entry)| {
            let module = Fields::of(entry).and_then(|fields| Module::read(index, fields));
            module.with_context(|| format!("{place}, module {index}"))
        };
        let list = entries.iter().enumerate().map(read).collect::<Result<Vec<Module>>>()?;
        if let Some(first) = list.first().filter(|first| first.kind != ModuleKind::Transformer) {
            bail!("{place}: module 0 is {}, and should be a Transformer", first.class);
        }
        Ok(Some(Self { place, list }))
    }

    /// Reads the configuration of a module.
    ///
    /// # Errors
    /// If there is none, or the module refuses it.
    pub(crate) fn config<T>(
        &self,
        files: &ModelFiles,
        module: &Module,
        parse: impl FnOnce(Fields<'_>, &str) -> Result<T>,
    ) -> Result<T> {
        ensure!(
            !module.folder.is_empty(),
            "{}: the path of module {}, {}, is empty, and should name its folder",
            self.place,
            module.index,
            module.class
        );
        let name = module.config();
        let found = files.json(&name)?;
        let (path, value) =
            found.with_context(|| format!("{} has {}, and there is no {name}", self.place, module.class))?;
        let place = path.display().to_string();
        Fields::of(&value).and_then(|fields| parse(fields, &place)).with_context(|| place.clone())
    }

    /// Whether the modules behind the transformer make a head of its vectors.
    pub(crate) fn pools(&self) -> bool {
        self.list.get(1).is_some_and(|module| module.kind == ModuleKind::Pooling)
    }
}

impl Module {
    /// The file that has its settings.
    pub(crate) fn config(&self) -> String {
        format!("{}/config.json", self.folder)
    }

    fn read(index: usize, fields: Fields<'_>) -> Result<Self> {
        fields.only_known(&["idx", "name", "path", "type", "kwargs"])?;
        // The names of arguments that a caller in Python may give.
        fields.texts("kwargs")?;
        let class = fields.text("type")?.context("it has no type")?.to_owned();
        let folder = fields.text("path")?.context("it has no path, the folder of the module's files")?;
        let folder = folder.trim_end_matches('/').to_owned();
        let outside = folder.starts_with('/') || folder.split(['/', '\\']).any(|part| part == "..");
        ensure!(!outside, "its path {folder} leads out of the model");
        Ok(Self { index, kind: ModuleKind::of_class(&class), folder, class })
    }
}

impl ModuleKind {
    fn of_class(class: &str) -> Self {
        if !class.starts_with("sentence_transformers.") {
            return Self::Other;
        }
        match class.rsplit('.').next() {
            Some("Transformer") => Self::Transformer,
            Some("LogitScore") => Self::LogitScore,
            Some("Pooling") => Self::Pooling,
            Some("Dense") => Self::Dense,
            Some("LayerNorm") => Self::LayerNorm,
            Some("Dropout") => Self::Dropout,
            _ => Self::Other,
        }
    }
}
