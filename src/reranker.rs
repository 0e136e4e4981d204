//! The steps from the name of a reranker to its scorer: its files are found, then prompts can be made, then weights are loaded.
//! Each step can fail before the next, more expensive one begins.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, bail};

use crate::batch::{Limits, LimitsChoice};
use crate::checkpoint::{Downloads, ModelFiles, ModelSource, Weights};
use crate::device::Target;
use crate::engine::cpu::Precision;
use crate::engine::cpu::forward::EncoderConfig;
use crate::engine::gpu::forward::{GpuDecoder, MOST_TOKENS};
use crate::engine::{FakeRecipe, FakeScorer, FirstTokenScorer, LastTokenScorer, Scorer};
use crate::exit::UsageError;
use crate::model::ModelConfig;
use crate::recipe::{Qwen3Recipe, Recipe, TextTokenizer};

/// The longest prompt if neither the user nor the model sets a limit: that of the model's reference code.
const DEFAULT_MAX_LENGTH: usize = 8192;

/// The choice of a reranker, and how it is used.
#[derive(Clone, Debug)]
pub struct RerankerOptions {
    /// Where the model is.
    pub source: ModelSource,
    /// Longest prompt in tokens.
    pub max_length: Option<usize>,
    /// The instruction in the prompt, in place of the model's default.
    pub instruction: Option<String>,
    /// Whether weights are needed; to count tokens, they are not.
    pub weights: bool,
    /// How downloads are shown.
    pub downloads: Downloads,
}

/// A reranker whose prompts can be made; its weights are not loaded yet.
pub struct Reranker {
    recipe: Arc<dyn Recipe>,
    max_length: usize,
    config: Option<ModelConfig>,
    /// The precision of weights that happen to be on this machine, if a run does not need them.
    seen: Option<Precision>,
    model: Option<Model>,
}

struct Model {
    config: ModelConfig,
    files: Vec<PathBuf>,
    weights: Arc<Weights>,
    /// Warnings of what the checkpoint and its directory have and the model does not use.
    warnings: Vec<String>,
    answers: [u32; 2],
}

impl Reranker {
    /// Finds the files, downloading what is missing, prepares the prompt, and checks that the weights are those that the
    /// configuration describes; they are not read yet.
    ///
    /// # Errors
    /// If a file is missing, cut off or not supported, tensors are missing, of other shapes or too many, or the maximum length
    /// is beyond the model's.
    pub fn find(options: &RerankerOptions) -> Result<Self> {
        let files = match &options.source {
            ModelSource::Fake => {
                let max_length = options.max_length.unwrap_or(DEFAULT_MAX_LENGTH);
                return Ok(Self {
                    recipe: Arc::new(FakeRecipe::new(max_length)),
                    max_length,
                    config: None,
                    seen: None,
                    model: None,
                });
            }
            ModelSource::Directory(directory) => ModelFiles::in_directory(directory),
            ModelSource::Hub { id, revision, offline } => {
                ModelFiles::on_hub(id, revision, *offline, options.downloads)?
            }
        };
        Self::from_files(options, &files).map_err(|error| files.with_remedy(error))
    }

    fn from_files(options: &RerankerOptions, files: &ModelFiles) -> Result<Self> {
        files.check_purpose()?;
        // A tokenizer alone is enough to count tokens: without a configuration it is taken for Qwen3-Reranker's.
        let config = if options.weights || files.has("config.json")? {
            Some(ModelConfig::read(&files.get("config.json")?)?)
        } else {
            None
        };
        let tokenizer = TextTokenizer::read(files)?;
        let limit = config.as_ref().map_or(usize::MAX, |config| config.decoder.max_positions);
        if let Some(config) = &config {
            tokenizer.check_rows(config.decoder.vocabulary)?;
        }
        let of_tokenizer = tokenizer.warnings();
        let max_length = options.max_length.unwrap_or(DEFAULT_MAX_LENGTH.min(limit));
        if max_length > limit {
            let problem = format!("--max-length {max_length}: the model was made for {limit} tokens");
            return Err(UsageError::new(problem).into());
        }
        let recipe = Qwen3Recipe::new(tokenizer, max_length, options.instruction.as_deref());
        let recipe = match options.max_length {
            Some(_) => recipe?,
            None => recipe.with_context(|| format!("max_position_embeddings of config.json allows {limit} tokens"))?,
        };
        let model = match config.clone().filter(|_| options.weights) {
            Some(config) => {
                let answers = recipe.answers()?;
                let paths = files.weights()?;
                let weights = Arc::new(Weights::open(&paths)?);
                let warnings = [of_tokenizer, weights.check(&config)?, files.warnings()].concat();
                Some(Model { config, files: paths, weights, warnings, answers })
            }
            None => None,
        };
        let seen = if options.weights { None } else { files.local_weights().map(|weights| weights.stored()) };
        Ok(Self { recipe: Arc::new(recipe), max_length, config, seen, model })
    }

    /// How pairs become prompts.
    pub fn recipe(&self) -> Arc<dyn Recipe> {
        Arc::clone(&self.recipe)
    }

    /// The longest prompt in tokens.
    pub fn max_length(&self) -> usize {
        self.max_length
    }

    /// The model's configuration, if it was read.
    pub fn config(&self) -> Option<&ModelConfig> {
        self.config.as_ref()
    }

    /// How many tokens the model knows; 0 if its configuration was not read.
    pub fn vocabulary(&self) -> usize {
        self.model.as_ref().map_or(0, |model| model.config.decoder.vocabulary)
    }

    /// The model that will be loaded, in one line.
    pub fn describe(&self) -> String {
        let Some(model) = &self.model else { return "no weights are needed".to_owned() };
        let shape = &model.config.decoder;
        let files: Vec<String> = model.files.iter().map(|path| path.display().to_string()).collect();
        format!(
            "{:?}: {} layers, {} features, {}/{} heads of {}, {} tokens; {}",
            model.config.family,
            shape.layers,
            shape.hidden,
            shape.heads,
            shape.key_heads,
            shape.head_dim,
            shape.vocabulary,
            files.join(", ")
        )
    }

    /// What users should know about the checkpoint.
    pub fn warnings(&self) -> &[String] {
        self.model.as_ref().map_or(&[], |model| &model.warnings)
    }

    /// The precision in which the checkpoint is stored; none, where no weights are needed.
    pub fn stored(&self) -> Option<Precision> {
        self.model.as_ref().map(|model| model.weights.stored())
    }

    /// The precision in which the checkpoint would be loaded: as it is stored, if it is on this machine, or else in bf16, as
    /// such models are published.
    pub fn expected(&self) -> Precision {
        self.stored().or(self.seen).unwrap_or(Precision::Bf16)
    }

    /// What a batch may hold on a device, before the weights are loaded.
    ///
    /// # Errors
    /// If the device's free memory can't be queried.
    pub fn limits(&self, choice: LimitsChoice, target: &Target) -> Result<Limits> {
        match (target, &self.model) {
            (Target::Gpu(gpu), Some(model)) => Ok(choice.on_gpu(GpuDecoder::budget(&model.config.decoder, gpu)?)),
            (Target::Gpu(_), None) => Ok(choice.on_gpu(MOST_TOKENS)),
            (Target::Cpu(_), _) => Ok(choice.on_cpu()),
        }
    }

    /// Loads the weights.
    ///
    /// # Errors
    /// If the device fails, or has no room for them.
    pub fn load(&self, target: &Target) -> Result<Box<dyn Scorer>> {
        let Some(model) = &self.model else { return Ok(Box::new(FakeScorer)) };
        let scorer = LastTokenScorer::load(&model.config, &model.weights, target, model.answers);
        Ok(Box::new(scorer.context("cannot load the model")?))
    }
}

/// Makes a scorer of a decoder with random weights, for measuring.
///
/// # Errors
/// If the shape is impossible.
pub fn random_scorer(config: &ModelConfig, target: &Target) -> Result<Box<dyn Scorer>> {
    let decoder = &config.decoder;
    let widest = decoder.intermediate.max(decoder.heads * decoder.head_dim).max(decoder.vocabulary);
    let weights = Arc::new(Weights::random(widest * decoder.hidden));
    Ok(Box::new(LastTokenScorer::load(config, &weights, target, [1, 0])?))
}

/// Makes a scorer of an encoder with random weights, for measuring.
///
/// # Errors
/// If the shape is impossible, or the target a GPU.
pub fn random_encoder(config: &EncoderConfig, target: &Target) -> Result<Box<dyn Scorer>> {
    let Target::Cpu(arithmetic) = *target else { bail!("encoders don't run on a GPU yet; use --device cpu") };
    let weights = Arc::new(Weights::random(config.intermediate.max(config.vocabulary) * config.hidden));
    Ok(Box::new(FirstTokenScorer::load(config, &weights, arithmetic)?))
}
