//! The steps from the name of a reranker to its engine: its files are found, then prompts can be made, then weights are loaded.
//! Each step can fail before the next, more expensive one begins.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};

use crate::batch::{Limits, LimitsChoice};
use crate::checkpoint::{
    self, Adapter, AdapterChoice, Description, Downloads, Extent, LocatedAdapter, ModelFiles, ModelSource, ModuleHead,
    Quantization, Weights,
};
use crate::compute::Stored;
use crate::engine::Target;
use crate::engine::gpu::forward::MOST_TOKENS;
use crate::engine::{self, Engine, FakeEngine, Model};
use crate::exit::UsageError;
use crate::model::{Answers, Architecture, HeadOutput};
use crate::precision::Precision;
use crate::recipe::{self, ModelFacts, RecipeChoice, Resolved, TextTokenizer, WithoutPadding, fake_recipe};
use crate::weights_report::WeightsReport;

/// The choice of a reranker, and how it is used.
#[derive(Clone, Debug)]
pub struct RerankerOptions {
    /// Where the model is.
    pub source: ModelSource,
    /// What is merged into the model.
    pub adapter: AdapterChoice,
    /// What the user chooses of the recipe.
    pub recipe: RecipeChoice,
    /// Whether weights are needed; to count tokens, they are not.
    pub weights: bool,
    /// Whether it is to run on GPUs.
    pub on_gpu: bool,
    /// How downloads are shown.
    pub downloads: Downloads,
}

/// A reranker whose prompts can be made; its weights are not loaded yet.
pub struct Reranker {
    recipe: Resolved,
    architecture: Option<Arc<Architecture>>,
    /// Weights that a run does not need, as far as they are here.
    local: Option<Weights>,
    /// The precision of such weights, as far as it is known.
    seen: Option<Precision>,
    checkpoint: Option<Checkpoint>,
    /// Warnings of what is not known of the files.
    warnings: Vec<String>,
    /// How the adapter and its base were found.
    notes: Vec<String>,
}

/// The precision in which language models are published.
const USUAL_PRECISION: Precision = Precision::Bf16;

/// Weights that are found and not read yet.
struct Checkpoint {
    model: Model,
    files: Vec<PathBuf>,
    /// All files that were read, by their paths within the model.
    read: BTreeMap<String, PathBuf>,
    /// Warnings of what the checkpoint and its directory have and the model does not use.
    warnings: Vec<String>,
}

impl Reranker {
    /// Finds the files, downloading what is missing, prepares the prompt, and checks that the weights are those that the
    /// configuration describes; they are not read yet.
    ///
    /// # Errors
    /// If a file is missing, cut off or not supported, tensors are missing, of other shapes or too many, or the maximum length
    /// is beyond the model's.
    pub fn find(options: &RerankerOptions) -> Result<Self> {
        if options.source == ModelSource::Fake {
            return Ok(Self {
                recipe: fake_recipe(&options.recipe),
                architecture: None,
                local: None,
                seen: None,
                checkpoint: None,
                warnings: Vec::new(),
                notes: Vec::new(),
            });
        }
        let mut files = options.source.files(options.downloads)?;
        let extent = if options.weights { Extent::Whole } else { Extent::Description };
        let found = files.find_transformer().and_then(|()| files.find_gguf(options.source.file().as_deref(), extent));
        found.map_err(|error| files.with_remedy(error))?;
        let LocatedAdapter { files, adapter, notes } = options.adapter.locate(files, options.downloads, extent)?;
        let found = Self::from_files(options, &files, adapter).map_err(|error| files.with_remedy(error))?;
        let notes = notes.into_iter().chain(found.notes).collect();
        Ok(Self { notes, ..found })
    }

    fn from_files(options: &RerankerOptions, files: &ModelFiles, adapter: Option<Adapter>) -> Result<Self> {
        let head = ModuleHead::read(files)?;
        let (architecture, mut warnings) = described(options, files, head.as_ref(), adapter.as_ref())?;
        let architecture = architecture.map(Arc::new);
        let unmatched = match (&adapter, &architecture) {
            (Some(adapter), Some(architecture)) => adapter.note_on_unmatched(architecture)?,
            _ => None,
        };
        let tokenizer = TextTokenizer::read(files)?;
        if let Some(architecture) = &architecture {
            tokenizer.check_rows(architecture.vocabulary())?;
            if let Some(padding) = architecture.padding_position() {
                tokenizer.check_padding(padding)?;
            }
        }
        let facts = facts(architecture.as_deref(), files.gguf().is_some());
        let yes_and_no =
            architecture.as_ref().map(|architecture| words_of_rows(architecture, &tokenizer)).transpose()?;
        let mut recipe = recipe::resolve(&options.recipe, files, tokenizer, &facts)?;
        if let Some(answers) = yes_and_no.flatten() {
            ensure!(
                recipe.answers == Some(answers),
                "the model's file has rows for the answers yes and no alone (cls.output.weight), and the recipe {} ({}) asks for others",
                recipe.name.name,
                recipe.name.origin
            );
        }
        if let Some(token) = architecture.as_ref().and_then(|architecture| architecture.padding) {
            recipe.prompts = Arc::new(WithoutPadding { prompts: recipe.prompts, token });
        }
        let mut local = if options.weights { None } else { files.local_weights() };
        let checkpoint = match architecture.clone().filter(|_| options.weights) {
            Some(architecture) => Some(Checkpoint::find(architecture, head.as_ref(), adapter, recipe.answers, files)?),
            None => {
                if let (Some(adapter), Some(architecture)) = (&adapter, &architecture) {
                    adapter.check(architecture)?;
                }
                if let (Some(weights), Some(adapter)) = (&mut local, adapter) {
                    weights.attach(adapter);
                }
                None
            }
        };
        let seen = match &local {
            Some(weights) => Some(weights.precision()),
            None if options.weights => None,
            None => files.stated_precision()?,
        };
        warnings.extend(files.unknown());
        if !options.weights && seen.is_none() {
            warnings.push(format!(
                "the weights are not here, and config.json has no dtype that would state their precision: where --dtype leaves \
                 it open, {} is assumed",
                USUAL_PRECISION.name()
            ));
        }
        Ok(Self { recipe, architecture, local, seen, checkpoint, warnings, notes: unmatched.into_iter().collect() })
    }

    /// How pairs become prompts, and logits scores.
    pub fn recipe(&self) -> &Resolved {
        &self.recipe
    }

    /// The model's description, if its configuration was read.
    pub fn architecture(&self) -> Option<&Architecture> {
        self.architecture.as_deref()
    }

    /// The model that will be loaded, in one line.
    pub fn describe(&self) -> String {
        let Some(Checkpoint { model, files, .. }) = &self.checkpoint else { return "no weights are needed".to_owned() };
        let Architecture { family, layers, hidden, .. } = &*model.architecture;
        let heads = layers[0].attention.heads;
        let files: Vec<String> = files.iter().map(|path| path.display().to_string()).collect();
        let quantized = model.weights.quantization().map(|quantization| quantization.describe() + "; ");
        format!(
            "{family}: {} layers, {hidden} features, {}/{} heads of {}, {} tokens; {}{}",
            layers.len(),
            heads.query,
            heads.key,
            heads.head_dim,
            model.architecture.vocabulary(),
            quantized.unwrap_or_default(),
            files.join(", ")
        )
    }

    /// What the weights are, and the memory that they take on a device; none, where there are none, or not all of them are here.
    ///
    /// # Errors
    /// If a tensor is missing, or of another shape or type than described.
    pub fn weights(&self, target: &Target) -> Result<Option<WeightsReport>> {
        if let Some(Checkpoint { model, .. }) = &self.checkpoint {
            return WeightsReport::new(&model.architecture, &model.weights, target).map(Some);
        }
        let Some((architecture, weights)) = self.architecture().zip(self.local.as_ref()) else { return Ok(None) };
        let mut architecture = architecture.clone();
        weights.resolve_names(&mut architecture);
        // Without a check of the weights, a tensor that is missing is no error of this run.
        Ok(WeightsReport::new(&architecture, weights, target).ok())
    }

    /// The directory or the id of the adapter that is merged into the model, as it was named.
    pub fn adapter(&self) -> Option<&str> {
        let needed = self.checkpoint.as_ref().map(|checkpoint| &*checkpoint.model.weights);
        needed.or(self.local.as_ref())?.adapter().map(Adapter::place)
    }

    /// A model that was found by this name, with its adapter, if it has one, for messages.
    pub fn with_adapter(&self, model: &ModelSource) -> String {
        match self.adapter() {
            Some(adapter) => format!("{model} with the adapter {adapter}"),
            None => model.to_string(),
        }
    }

    /// What users should know of how the model was found.
    pub fn notes(&self) -> impl Iterator<Item = &String> {
        self.notes.iter()
    }

    /// What users should know about the checkpoint and its tokenizer.
    pub fn warnings(&self) -> impl Iterator<Item = &String> {
        let of_checkpoint = self.checkpoint.iter().flat_map(|checkpoint| &checkpoint.warnings);
        self.warnings.iter().chain(&self.recipe.warnings).chain(of_checkpoint)
    }

    /// What tells the model from another one, by all bytes of its weights or by samples; none, where no weights are needed.
    ///
    /// # Errors
    /// If a file can't be read any more.
    pub fn fingerprint(&self, by_all_bytes: bool) -> Result<Option<String>> {
        let of = |checkpoint: &Checkpoint| {
            checkpoint::fingerprint(&checkpoint.read, &checkpoint.model.weights, by_all_bytes)
        };
        self.checkpoint.as_ref().map(of).transpose()
    }

    /// The precision of the checkpoint; none, where its weights are neither needed nor here.
    pub fn stored(&self) -> Option<Stored> {
        let needed = self.checkpoint.as_ref().map(|checkpoint| &*checkpoint.model.weights);
        let stored =
            |weights: &Weights| Stored { precision: weights.precision(), is_quantized: weights.is_quantized() };
        needed.or(self.local.as_ref()).map(stored)
    }

    /// The precision in which the checkpoint would be loaded: as it is stored, if it is on this machine, else as its
    /// configuration states, or else in bf16, of which a warning is given.
    pub fn expected(&self) -> Precision {
        self.stored().map(|stored| stored.precision).or(self.seen).unwrap_or(USUAL_PRECISION)
    }

    /// The one precision in which the model can be computed, if there is but one.
    pub fn only_precision(&self) -> Option<Precision> {
        self.architecture().and_then(engine::only_precision)
    }

    /// Refuses a precision in which the model can't be computed.
    ///
    /// # Errors
    /// If the target has another one.
    pub fn check_precision(&self, target: &Target) -> Result<()> {
        let Some(architecture) = self.architecture() else { return Ok(()) };
        let quantizes = matches!(target, Target::Gpu(gpu) if gpu.quantizes());
        if quantizes && architecture.layers.len() < 2 {
            let problem = "--dtype fp8 leaves the last layer as it is, and the model has no other; use --dtype bf16";
            return Err(UsageError::new(problem).into());
        }
        engine::check_precision(architecture, target)
    }

    /// What a batch may hold on a device, before the weights are loaded.
    ///
    /// # Errors
    /// If the device's free memory can't be queried, or the model can't be computed in the target's precision.
    pub fn limits(&self, choice: LimitsChoice, target: &Target) -> Result<Limits> {
        self.check_precision(target)?;
        match &self.checkpoint {
            Some(checkpoint) => engine::limits(choice, &checkpoint.model.architecture, target),
            None => {
                let shares = self.architecture.as_ref().is_none_or(|architecture| architecture.shares_prefixes());
                let on_gpu = matches!(target, Target::Gpu(_));
                let limits = if on_gpu { choice.on_gpu(MOST_TOKENS) } else { choice.on_cpu() };
                Ok(Limits { share_prefixes: limits.share_prefixes && shares, ..limits })
            }
        }
    }

    /// Loads the weights.
    ///
    /// # Errors
    /// If the device's engine lacks what the model has, or the device fails or has no room for them.
    pub fn load(&self, target: &Target) -> Result<Box<dyn Engine>> {
        let Some(checkpoint) = &self.checkpoint else { return Ok(Box::new(FakeEngine)) };
        engine::load(&checkpoint.model, target).context("cannot load the model")
    }
}

/// The tokens of yes and no, where a model has rows for these answers alone.
fn words_of_rows(architecture: &Architecture, tokenizer: &TextTokenizer) -> Result<Option<Answers>> {
    let HeadOutput::Answers { .. } = architecture.head.output else { return Ok(None) };
    let [yes, no] = [tokenizer.single_token("yes")?, tokenizer.single_token("no")?];
    Ok(Some(Answers { yes, no: Some(no) }))
}

/// The model that the files describe, and what users should know of that. A tokenizer alone is enough to count tokens: without a
/// configuration it is taken for Qwen3-Reranker's.
fn described(
    options: &RerankerOptions,
    files: &ModelFiles,
    head: Option<&ModuleHead>,
    adapter: Option<&Adapter>,
) -> Result<(Option<Architecture>, Vec<String>)> {
    let Description { architecture, warnings } = if let Some(gguf) = files.gguf() {
        gguf.describe(files, head.is_some())?
    } else if options.weights || files.has("config.json")? {
        let path = files.get("config.json")?;
        let architecture = match (head, adapter) {
            (Some(head), _) => Architecture::read_with_head(&path, head)?,
            (None, Some(adapter)) => Architecture::read_with_adapter(&path, adapter)?,
            (None, None) => Architecture::read(&path)?,
        };
        Description { architecture, warnings: Vec::new() }
    } else {
        return Ok((None, Vec::new()));
    };
    engine::check(&architecture, options.on_gpu)?;
    // What is not supported is refused before the weights are downloaded.
    if options.weights && files.gguf().is_none() {
        Quantization::read(files)?;
    }
    Ok((Some(architecture), warnings))
}

/// What a recipe must know of the model, as far as it is described.
fn facts(architecture: Option<&Architecture>, is_in_gguf: bool) -> ModelFacts {
    ModelFacts {
        is_classifier: architecture
            .is_some_and(|architecture| matches!(architecture.head.output, HeadOutput::Classifier(_))),
        is_encoder: architecture.is_some_and(Architecture::looks_both_ways),
        token_types: architecture
            .and_then(|architecture| architecture.embedding.token_types.as_ref())
            .map(|table| table.rows.len()),
        positions: architecture.map(|architecture| architecture.max_length),
        vocabulary: architecture.map(Architecture::vocabulary),
        family: architecture.map(|architecture| architecture.family),
        is_in_gguf,
    }
}

impl Checkpoint {
    /// Checks that the weights are those that are described.
    fn find(
        architecture: Arc<Architecture>,
        head: Option<&ModuleHead>,
        adapter: Option<Adapter>,
        answers: Option<Answers>,
        files: &ModelFiles,
    ) -> Result<Self> {
        let mut paths = files.weights()?;
        let mut weights = match files.gguf() {
            Some(gguf) => Weights::of_gguf(gguf.clone()),
            None => {
                let weights = Weights::open(&paths)?;
                let quantization = Quantization::of_weights(files, &weights)?;
                weights.quantized(quantization)
            }
        };
        if let Some(head) = head {
            paths.extend(head.add_weights(files, &mut weights)?);
        }
        if let Some(adapter) = adapter {
            paths.push(adapter.path().to_owned());
            weights.attach(adapter);
        }
        let mut architecture = (*architecture).clone();
        weights.resolve_names(&mut architecture);
        if let HeadOutput::Classifier(linear) = &architecture.head.output {
            weights.check_one_label(&linear.weight)?;
        }
        let of_head = weights.resolve_tied_head(&mut architecture, answers)?;
        weights.merge(&mut architecture)?;
        let warnings = of_head.into_iter().chain(weights.check(&architecture)?).collect();
        let model = Model { architecture: Arc::new(architecture), weights: Arc::new(weights), answers };
        Ok(Self { model, files: paths, read: files.all_read(), warnings })
    }
}
