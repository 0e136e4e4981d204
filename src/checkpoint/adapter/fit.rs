//! Finds the modules of a model that an adapter changes. What the adapter has and the model does not take, or the other way
//! round, is refused: a model that is changed in part scores like neither.

use std::collections::{BTreeMap, HashMap, HashSet};

use anyhow::{Result, anyhow, bail, ensure};

use super::keys::Part;
use super::matrices::{Expected, check_shape, dtype};
use super::targets::{Module, ModuleKind};
use super::{Adapter, CONFIG};
use crate::checkpoint::safetensors_file::Entry;
use crate::checkpoint::tensor_names::{Harmless, LM_HEAD, harmless, names_in_wrappers, stored_names};
use crate::model::{Architecture, HeadOutput, Tensor};

/// The most names that a message has.
const MOST_NAMED: usize = 3;

/// What an adapter adds to a tensor.
pub(super) enum Change {
    /// The product of a module's matrices.
    Product {
        /// The module, as the adapter calls it.
        module: String,
        expected: Expected,
    },
    /// A vector, times a scale.
    Vector {
        /// The module, as the adapter calls it.
        module: String,
        scale: f32,
    },
}

/// A module and its weights.
struct Weighted {
    module: Module,
    shape: [usize; 2],
}

/// A module that the adapter changes: its name in the model, and which of a module's possible names the adapter has.
struct Placed<'a> {
    index: usize,
    weighted: &'a Weighted,
    naming: usize,
    /// As the adapter calls it.
    name: &'a str,
}

impl Adapter {
    /// Checks that it is one of this model, of whose weights nothing but the description needs to be there.
    ///
    /// # Errors
    /// If anything is left over on either side, or does not fit.
    pub fn check(&self, architecture: &Architecture) -> Result<()> {
        let fits = self.fit(architecture).map(drop);
        let fits_another = || architecture.under_other_names().iter().any(|other| self.fit(other).is_ok());
        fits.or_else(|problem| if fits_another() { Ok(()) } else { Err(problem) })
    }

    /// The changes by the names of the model's tensors.
    ///
    /// # Errors
    /// If anything is left over on either side, or does not fit.
    pub(super) fn fit(&self, architecture: &Architecture) -> Result<BTreeMap<String, Change>> {
        self.check_whole(architecture)?;
        let modules = modules_of(architecture);
        let placed = self.place_modules(&modules)?;
        self.check_targets(&modules, &placed)?;
        let vectors: HashSet<&str> = architecture
            .tensors()
            .iter()
            .filter(|tensor| tensor.shape.len() == 1)
            .map(|tensor| tensor.name.as_str())
            .collect();
        let mut changes = BTreeMap::new();
        for place in &placed {
            let weighted = place.weighted;
            let own = &weighted.module.name;
            let expected = self.check_parts(place)?;
            if self.settings.has_bias {
                let bias = format!("{own}.bias");
                ensure!(
                    vectors.contains(bias.as_str()),
                    "{}: lora_bias is true, and module {} has no bias that it could be added to",
                    self.config.display(),
                    place.name
                );
                changes.insert(bias, Change::Vector { module: place.name.to_owned(), scale: expected.scale });
            }
            changes.insert(format!("{own}.weight"), Change::Product { module: place.name.to_owned(), expected });
        }
        Ok(changes)
    }

    /// Checks the tensors that stand in place of the model's.
    fn check_whole(&self, architecture: &Architecture) -> Result<()> {
        let mut taken = HashSet::new();
        for tensor in architecture.tensors() {
            let names = stored_names(&tensor.name);
            let Some((name, entry)) = names.iter().find_map(|name| self.file.tensors.get_key_value(name)) else {
                let module = tensor.name.rsplit_once('.').map_or("", |(module, _)| module);
                self.check_saved(module)?;
                continue;
            };
            taken.insert(name.as_str());
            let checked = check_shape(entry, &tensor.shape).and_then(|()| dtype(entry).map(drop));
            checked.map_err(|problem| self.wrong(self.stored_name(name), &problem.to_string()))?;
        }
        // A head that is the embedding is none of the model's tensors. PEFT saves it whole, unless both change together.
        if head_is_embedding(architecture) && !self.settings.ties && !self.file.tensors.contains_key(LM_HEAD) {
            self.check_saved(LM_HEAD.trim_end_matches(".weight"))?;
        }
        // Where the head is the embedding, its rows were compared with those of the adapter's head.
        let is_harmless = |name: &&String| {
            matches!(harmless(name), Some(Harmless::Table))
                || (name.as_str() == LM_HEAD && head_is_embedding(architecture))
        };
        let left: Vec<&str> = self.file.tensors.keys().filter(|name| !is_harmless(name)).map(String::as_str).collect();
        let left: Vec<&str> =
            left.into_iter().filter(|name| !taken.contains(name)).map(|name| self.stored_name(name)).collect();
        self.check_left(left, "that the model has no place for")
    }

    /// Refuses a module that the configuration calls saved, where it is not.
    fn check_saved(&self, module: &str) -> Result<()> {
        if let Some(name) = self.saved_as(module)? {
            bail!(
                "{}: modules_to_save has {name}, and {} has no tensors of {module}",
                self.config.display(),
                self.path.display()
            );
        }
        Ok(())
    }

    /// The entry of `modules_to_save` that means a module.
    pub(super) fn saved_as(&self, module: &str) -> Result<Option<&str>> {
        for (name, pattern) in &self.settings.saved {
            if pattern.matches(module)? {
                return Ok(Some(name));
            }
        }
        Ok(None)
    }

    fn stored_name<'a>(&'a self, name: &'a str) -> &'a str {
        self.stored.get(name).map_or(name, String::as_str)
    }

    /// The modules of the model that the adapter has matrices for.
    fn place_modules<'a>(&'a self, modules: &'a [Weighted]) -> Result<Vec<Placed<'a>>> {
        let mut known = HashMap::new();
        for (index, weighted) in modules.iter().enumerate() {
            for (naming, name) in names_in_wrappers(&weighted.module.name).into_iter().enumerate() {
                known.entry(name).or_insert((index, weighted, naming));
            }
        }
        let mut placed = Vec::new();
        let mut left = Vec::new();
        let mut seen = HashSet::new();
        for (name, parts) in &self.modules {
            match known.get(name) {
                Some((index, ..)) if !seen.insert(*index) => {
                    bail!("{}: module {name} is there twice, under two names", self.path.display())
                }
                Some(&(index, weighted, naming)) => placed.push(Placed { index, weighted, naming, name }),
                None => left.extend(parts.values().map(|(stored, _)| stored.as_str())),
            }
        }
        self.check_left(left, "of modules that the model does not have")?;
        Ok(placed)
    }

    /// Compares the modules that the configuration means with those that there are matrices for.
    fn check_targets(&self, modules: &[Weighted], placed: &[Placed<'_>]) -> Result<()> {
        let by_index: HashMap<usize, &Placed<'_>> = placed.iter().map(|place| (place.index, place)).collect();
        // The names of the others are those of a model that is wrapped as the one was of which the adapter has modules.
        let naming = placed.iter().map(|place| place.naming).max().unwrap_or_default();
        let (mut missing, mut unmeant) = (Vec::new(), Vec::new());
        for (index, weighted) in modules.iter().enumerate() {
            let place = by_index.get(&index);
            let own = || names_in_wrappers(&weighted.module.name).into_iter().nth(naming).unwrap_or_default();
            let name = place.map_or_else(own, |place| place.name.to_owned());
            let module = Module { name, kind: weighted.module.kind };
            let is_meant = self.settings.targets.has(&module, self.saved_as(&module.name)?.is_some());
            match (is_meant.map_err(|error| error.context(self.config.display().to_string()))?, place) {
                (true, None) => missing.push(module.name),
                (false, Some(_)) => unmeant.push(module.name),
                _ => {}
            }
        }
        ensure!(
            missing.is_empty(),
            "{} has no tensors of modules that target_modules of {CONFIG} means: {}; is it complete?",
            self.path.display(),
            some(&missing)
        );
        ensure!(
            unmeant.is_empty(),
            "{} has tensors of modules that {CONFIG} does not mean, and which PEFT would leave out without a word: {}; add them to \
             target_modules if they were trained",
            self.path.display(),
            some(&unmeant)
        );
        Ok(())
    }

    /// Checks the matrices of a module.
    fn check_parts(&self, place: &Placed<'_>) -> Result<Expected> {
        let weighted = place.weighted;
        let (rank, scale) = self.settings.scale(place.name)?;
        let is_embedding = weighted.module.kind == ModuleKind::Embedding;
        let [outputs, inputs] = weighted.shape;
        let expected = Expected { outputs, inputs, rank, scale, is_embedding };
        let parts = self.modules.get(place.name);
        let [a, b] = self.matrices(place.name, is_embedding)?;
        for ((stored, entry), shape) in [a, b].into_iter().zip(expected.shapes()) {
            check_shape(entry, &shape).map_err(|problem| {
                let problem = format!("{problem} by the model, and by r or rank_pattern of {CONFIG} (rank {rank})");
                self.wrong(stored, &problem)
            })?;
            dtype(entry).map_err(|problem| self.wrong(stored, &problem.to_string()))?;
        }
        match (parts.and_then(|parts| parts.get(&Part::Bias)), self.settings.has_bias) {
            (Some((stored, entry)), true) => {
                let checked = check_shape(entry, &[outputs]).and_then(|()| dtype(entry).map(drop));
                checked.map_err(|problem| self.wrong(stored, &problem.to_string()))?;
            }
            (None, false) => {}
            (Some((stored, _)), false) => {
                bail!("{}", self.wrong(stored, &format!("is a bias, and lora_bias is not true in {CONFIG}")))
            }
            (None, true) => {
                bail!("{}: module {} has no bias, and lora_bias is true in {CONFIG}", self.path.display(), place.name)
            }
        }
        let is_other = |part: &Part| matches!(part, Part::A | Part::B) == is_embedding && *part != Part::Bias;
        let other = parts.and_then(|parts| parts.iter().find(|(part, _)| is_other(part)));
        if let Some((_, (stored, _))) = other {
            let problem = "is not of the kind that its module is: an embedding has lora_embedding_A and _B";
            bail!("{}", self.wrong(stored, problem));
        }
        Ok(expected)
    }

    /// The two matrices of a module, with their stored names.
    pub(super) fn matrices(&self, module: &str, is_embedding: bool) -> Result<[(&str, &Entry); 2]> {
        let [a, b] = if is_embedding { [Part::EmbeddingA, Part::EmbeddingB] } else { [Part::A, Part::B] };
        let find = |part| {
            let found = self.modules.get(module).and_then(|parts| parts.get(&part));
            let (stored, entry) = found.ok_or_else(|| {
                anyhow!("{}: module {module} has no {}; is the file complete?", self.path.display(), name_of(part))
            })?;
            Ok::<_, anyhow::Error>((stored.as_str(), entry))
        };
        Ok([find(a)?, find(b)?])
    }

    fn check_left(&self, mut left: Vec<&str>, what: &str) -> Result<()> {
        left.sort_unstable();
        let left: Vec<String> = left.into_iter().map(str::to_owned).collect();
        ensure!(
            left.is_empty(),
            "{} has tensors {what}: {}; is it an adapter of this model{}?",
            self.path.display(),
            some(&left),
            self.settings.base.as_ref().map_or_else(String::new, |base| format!(" (it was trained on {base})"))
        );
        Ok(())
    }

    fn wrong(&self, stored: &str, problem: &str) -> anyhow::Error {
        anyhow!("{}: tensor {stored} {problem}", self.path.display())
    }
}

fn name_of(part: Part) -> &'static str {
    match part {
        Part::A => "lora_A",
        Part::B => "lora_B",
        Part::Bias => "lora_B.bias",
        Part::EmbeddingA => "lora_embedding_A",
        Part::EmbeddingB => "lora_embedding_B",
    }
}

/// Whether a language model's head is its embedding.
pub(super) fn head_is_embedding(architecture: &Architecture) -> bool {
    matches!(&architecture.head.output, HeadOutput::Vocabulary(head) if *head == architecture.embedding.tokens)
}

/// All modules with weights that PEFT could change.
fn modules_of(architecture: &Architecture) -> Vec<Weighted> {
    let embedding = &architecture.embedding;
    let tables: Vec<&Tensor> = [&embedding.tokens]
        .into_iter()
        .chain(embedding.positions.as_ref().map(|positions| &positions.table))
        .chain(&embedding.token_types)
        .collect();
    // PEFT changes nothing where a table is not looked up by rows.
    let relative =
        architecture.layers.iter().find_map(|layer| layer.attention.relative.as_ref().map(|relative| &relative.table));
    let last = match &architecture.head.output {
        HeadOutput::Vocabulary(tensor) | HeadOutput::Answers { rows: tensor, .. } => tensor,
        HeadOutput::Classifier(linear) => &linear.weight,
    };
    let mut seen = HashSet::new();
    let mut modules = Vec::new();
    for tensor in architecture.tensors() {
        let (Some(name), &[outputs, inputs]) = (tensor.name.strip_suffix(".weight"), tensor.shape.as_slice()) else {
            continue;
        };
        // The modules of sentence-transformers stand behind the model that was wrapped.
        if name.contains('/') || relative == Some(tensor) || !seen.insert(name) {
            continue;
        }
        let kind = match &architecture.head.output {
            _ if tables.contains(&tensor) => ModuleKind::Embedding,
            HeadOutput::Vocabulary(_) | HeadOutput::Answers { .. } if tensor == last => ModuleKind::LanguageHead,
            HeadOutput::Classifier(_) if tensor == last => ModuleKind::Classifier,
            _ => ModuleKind::Linear,
        };
        modules.push(Weighted { module: Module { name: name.to_owned(), kind }, shape: [outputs, inputs] });
    }
    if head_is_embedding(architecture)
        && let [outputs, inputs] = embedding.tokens.shape[..]
    {
        let name = LM_HEAD.trim_end_matches(".weight").to_owned();
        modules.push(Weighted { module: Module { name, kind: ModuleKind::LanguageHead }, shape: [outputs, inputs] });
    }
    modules
}

/// The first of many names.
fn some(names: &[String]) -> String {
    let shown = names.iter().take(MOST_NAMED).map(|name| name.chars().take(200).collect());
    let shown = shown.collect::<Vec<String>>().join(", ");
    match names.len().saturating_sub(MOST_NAMED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
