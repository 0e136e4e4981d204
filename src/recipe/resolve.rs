//! Chooses the recipe of a run, and prepares its prompts.

use std::sync::Arc;

use anyhow::{Error, Result, anyhow, bail, ensure};
use serde::Serialize;

use super::activation::{Activation, Function};
use super::checkpoint::{Found, find};
use super::prompts::{NoRoom, RecipePrompts};
use super::value::{Recipe, RecipeOutput};
use super::{ModelFacts, Prompts, RecipeChoice, RecipeSource, TextTokenizer, builtin};
use crate::checkpoint::ModelFiles;
use crate::exit::UsageError;
use crate::model::Answers;

/// The longest prompt if neither the user nor the model sets a limit: that of the reference code of Qwen3-Reranker.
pub const DEFAULT_MAX_LENGTH: usize = 8192;

/// The recipe of a run, ready to make prompts.
pub struct Resolved {
    /// How pairs become prompts.
    pub prompts: Arc<dyn Prompts>,
    /// The tokens whose logits are compared; none, if the logit is a classifier's.
    pub answers: Option<Answers>,
    /// How the logit becomes a score.
    pub activation: Activation,
    /// The recipe's name, and where it was read.
    pub name: RecipeName,
    /// The instruction of queries that have none of their own.
    pub instruction: Option<String>,
    /// Whether an instruction has a place in the prompt.
    pub takes_instruction: bool,
    /// The longest prompt in tokens.
    pub max_length: usize,
    /// What else the tokens of a prompt depend on, beside the model's files: names and values.
    pub settings: Vec<(&'static str, String)>,
    /// What users should know of the tokenizer.
    pub warnings: Vec<String>,
    /// What users should know of how the recipe was found.
    pub notes: Vec<String>,
    /// The same, for those who want every detail.
    pub details: Vec<String>,
}

/// A recipe's name, where it was read, and what makes the score, as `--stats` writes them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RecipeName {
    /// The name.
    pub name: String,
    /// Where it was read.
    pub origin: String,
    /// The function of the score.
    pub score: String,
}

/// Chooses the recipe: the user's, or else the checkpoint's own.
///
/// # Errors
/// If the files have something that is not supported, the recipe does not fit to the model or its tokenizer, or the choice has
/// something that the recipe has no place for.
pub fn resolve(
    choice: &RecipeChoice,
    files: &ModelFiles,
    tokenizer: TextTokenizer,
    model: &ModelFacts,
) -> Result<Resolved> {
    let resolved = prepare(choice, files, tokenizer, model);
    let Some(source) = &choice.recipe else { return resolved };
    // The files were read before: what is wrong now is that the recipe is another model's.
    resolved.map_err(|error| match (error.downcast::<UsageError>(), source) {
        (Ok(error), _) => error.into(),
        (Err(error), RecipeSource::Named(_)) => {
            UsageError::new(format!("{source}: {error:#}; leave --recipe out, or name this model's")).into()
        }
        (Err(error), RecipeSource::File(_)) => UsageError::new(format!("{source}: {error:#}")).into(),
    })
}

fn prepare(
    choice: &RecipeChoice,
    files: &ModelFiles,
    mut tokenizer: TextTokenizer,
    model: &ModelFacts,
) -> Result<Resolved> {
    let Found { mut recipe, max_length: stored, mut notes, details } = match &choice.recipe {
        Some(source) => {
            Found { recipe: chosen(source, model)?, max_length: None, notes: Vec::new(), details: Vec::new() }
        }
        None => find(files, &tokenizer, model, choice.score)?,
    };
    match choice.score {
        Some(Function::Identity) => recipe.activation = Activation::of(Function::Identity),
        Some(function) => recipe.activation.function = function,
        None => {}
    }
    // A recipe that the user names is named by its option.
    let place = (choice.recipe.is_none()).then(|| format!("the recipe {} ({})", recipe.name, recipe.origin));
    let placed = |error: Error| match &place {
        Some(place) => error.context(place.clone()),
        None => error,
    };
    recipe.check().map_err(placed)?;
    if choice.instruction.is_some() && recipe.instructed.is_none() {
        let problem = format!("--instruction: the recipe {} ({}) has no place for it", recipe.name, recipe.origin);
        return Err(UsageError::new(problem).into());
    }
    for template in [&recipe.plain, &recipe.instructed].into_iter().flatten() {
        let literals = template.literals();
        notes.extend(unknown_token(&literals, &tokenizer, &recipe));
        tokenizer.keep_as_text(&literals)?;
    }
    notes.extend(left_out(choice, &tokenizer, &recipe));
    notes.dedup();
    let warnings = tokenizer.warnings();
    let answers = recipe.output.resolve(&tokenizer).map_err(placed)?;
    check_vocabulary(answers, &recipe, model).map_err(placed)?;
    let longest = RecipePrompts::longest(&tokenizer, &recipe).map_err(placed)?;
    let limit = Limit::of(stored, tokenizer.max_length(), longest, model);
    let max_length = limit.max_length(choice)?;
    let settings = recipe.settings(choice.instruction.as_deref());
    let prompts = RecipePrompts::new(tokenizer, &recipe, choice.instruction.as_deref(), max_length);
    let prompts = prompts.map_err(placed)?;
    prompts.check_room().map_err(|no_room| limit.leaves_no_room(choice, max_length, &no_room))?;
    let name = RecipeName { name: recipe.name, origin: recipe.origin, score: recipe.activation.name().to_owned() };
    Ok(Resolved {
        prompts: Arc::new(prompts),
        answers,
        activation: recipe.activation,
        name,
        instruction: choice.instruction.clone().or(recipe.instruction),
        takes_instruction: recipe.instructed.is_some(),
        max_length,
        settings,
        warnings,
        notes,
        details,
    })
}

/// The recipe that the user names.
fn chosen(source: &RecipeSource, model: &ModelFacts) -> Result<Recipe> {
    match source {
        RecipeSource::File(recipe) => recipe.for_model(model),
        RecipeSource::Named(name) => {
            let recipe = builtin::built_in(name)?;
            let Some(mut recipe) = recipe else { bail!("there is no such recipe; built in are {}", builtin::names()) };
            // Converted checkpoints have the difference of both answers as their one row, and the same prompt.
            if model.is_classifier {
                recipe.output = RecipeOutput::Classifier;
            }
            ensure!(
                model.is_classifier || model.family.is_none() || recipe.output != RecipeOutput::Classifier,
                "it is for classifiers, and the model is a language model"
            );
            Ok(recipe)
        }
    }
}

/// A note on tokens that the tokenizer adds to a text, and a recipe of the user's does not mention.
fn left_out(choice: &RecipeChoice, tokenizer: &TextTokenizer, recipe: &Recipe) -> Option<String> {
    let [before, after] = tokenizer.around_text();
    let names = |ids: &[u32]| {
        let name =
            |id: &u32| tokenizer.control_tokens().find(|(_, other)| other == id).map(|(name, _)| name.to_owned());
        ids.iter().filter_map(name).collect::<Vec<_>>()
    };
    let names = [names(&before), names(&after)].concat();
    let is_of_user = matches!(choice.recipe, Some(RecipeSource::File(_)));
    let templates = [&recipe.plain, &recipe.instructed];
    let mentions = |name: &String| {
        templates.iter().any(|template| template.as_ref().is_some_and(|template| template.literals().contains(name)))
    };
    if !is_of_user || recipe.special_tokens || names.iter().all(mentions) {
        return None;
    }
    Some(format!(
        "the tokenizer puts {} around a text, and the recipe {} leaves that out; special_tokens = true in {} adds it",
        names.join(" "),
        recipe.name,
        recipe.origin
    ))
}

/// A note on what is written like a control token and is none: the model reads a dozen characters in its place.
fn unknown_token(literals: &str, tokenizer: &TextTokenizer, recipe: &Recipe) -> Option<String> {
    let starts = literals.match_indices("<|").filter_map(|(start, _)| literals.get(start..));
    let names = starts.filter_map(|text| text.split_inclusive("|>").next().filter(|name| name.ends_with("|>")));
    let mut unknown = names
        .filter(|name| name.len() < 64 && !name.contains(char::is_whitespace))
        .filter(|name| tokenizer.control_token(name).is_err());
    Some(format!(
        "the template of {} has {}, which is no token of the model's tokenizer, and is read as text",
        recipe.origin,
        unknown.next()?
    ))
}

fn check_vocabulary(answers: Option<Answers>, recipe: &Recipe, model: &ModelFacts) -> Result<()> {
    let Some(Answers { yes, no }) = answers else { return Ok(()) };
    let [of_true, of_false] = recipe.answer_names();
    ensure!(no != Some(yes), "{of_true} and {of_false} are the same token, {yes}, and every score would be 0.5");
    for (name, token) in [(of_true, Some(yes)), (of_false, no)] {
        if let (Some(token), Some(vocabulary)) = (token, model.vocabulary) {
            ensure!((token as usize) < vocabulary, "{name} is token {token}, and the model has {vocabulary} tokens");
        }
    }
    Ok(())
}

/// The longest prompt that a checkpoint allows.
struct Limit {
    /// The tokens that the model was made for.
    positions: usize,
    /// The usual limit.
    usual: usize,
    /// Where the usual limit is from.
    place: &'static str,
}

impl Limit {
    /// The least limit of those that the checkpoint has. One of sentence-transformers stands for that of the tokenizer.
    fn of(stored: Option<usize>, of_tokenizer: usize, of_recipe: Option<usize>, model: &ModelFacts) -> Self {
        let positions = model.positions.unwrap_or(usize::MAX);
        let stated = match model.is_in_gguf {
            true => "context_length of the GGUF file's metadata",
            false => "max_position_embeddings of config.json",
        };
        let mut least = (positions, stated);
        let of_files = match stored {
            Some(stored) => (stored, "max_seq_length of sentence_bert_config.json"),
            None => (of_tokenizer, "model_max_length of tokenizer_config.json"),
        };
        let of_recipe = of_recipe.map_or((DEFAULT_MAX_LENGTH, "rerank's default"), |tokens| (tokens, "the recipe"));
        for limit in [of_files, of_recipe] {
            if limit.0 < least.0 {
                least = limit;
            }
        }
        Self { positions, usual: least.0, place: least.1 }
    }

    /// The error that a prompt does not fit.
    fn leaves_no_room(&self, choice: &RecipeChoice, max_length: usize, no_room: &NoRoom) -> Error {
        let longer = if max_length < self.positions { "; raise --max-length" } else { "" };
        if choice.max_length.is_some() {
            return UsageError::new(format!("--max-length {max_length}: {no_room}{longer}")).into();
        }
        anyhow!("{} allows {max_length} tokens: {no_room}{longer}", self.place)
    }

    /// The longest prompt of a run.
    fn max_length(&self, choice: &RecipeChoice) -> Result<usize> {
        let max_length = choice.max_length.unwrap_or(self.usual);
        if max_length > self.positions {
            let problem = format!("--max-length {max_length}: the model was made for {} tokens", self.positions);
            return Err(UsageError::new(problem).into());
        }
        Ok(max_length)
    }
}
