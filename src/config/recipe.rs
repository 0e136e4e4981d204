//! Resolves the options of the recipe.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

use crate::cli::{RecipeArguments, ScoreChoice};
use crate::exit::UsageError;
use crate::recipe::{Function, RecipeChoice, RecipeSource};

/// The files that the options name and the run reads.
pub(super) fn files_read(arguments: &RecipeArguments) -> impl Iterator<Item = PathBuf> {
    let instruction = arguments.instruction.as_deref().and_then(|text| text.strip_prefix('@')).map(PathBuf::from);
    let recipe = arguments.recipe.as_deref().and_then(RecipeSource::path);
    instruction.into_iter().chain(recipe)
}

pub(super) fn resolve_recipe(arguments: &RecipeArguments, max_length: Option<u64>) -> Result<RecipeChoice> {
    Ok(RecipeChoice {
        recipe: arguments.recipe.as_deref().map(RecipeSource::read).transpose()?,
        score: match arguments.score {
            ScoreChoice::Auto => None,
            ScoreChoice::Sigmoid => Some(Function::Sigmoid),
            ScoreChoice::Raw => Some(Function::Identity),
        },
        instruction: arguments.instruction.as_deref().map(resolve_instruction).transpose()?,
        max_length: max_length.map(|length| length as usize),
    })
}

/// Refuses a least score that no candidate can have, or that all have: it was meant for another function.
///
/// # Errors
/// If scores are probabilities, and the least one is none.
pub(crate) fn check_least_score(least: Option<f32>, is_probability: bool) -> Result<()> {
    match least {
        Some(least) if is_probability && !(0. ..=1.).contains(&least) => {
            let problem = format!(
                "--min-score {least}: the scores are probabilities, from 0 to 1; with --score raw they are logits"
            );
            Err(UsageError::new(problem).into())
        }
        _ => Ok(()),
    }
}

/// The note that the fake model has no use for an option.
pub(super) fn note_on_fake(arguments: &RecipeArguments) -> Option<String> {
    let option = match arguments {
        RecipeArguments { recipe: Some(_), .. } => "--recipe: the fake model compares words, and has no prompt",
        RecipeArguments { instruction: Some(_), .. } => {
            "--instruction: the fake model compares words, and is not instructed"
        }
        _ => return None,
    };
    Some(option.to_owned())
}

fn resolve_instruction(text: &str) -> Result<String> {
    let instruction = match text.strip_prefix('@') {
        None => text.to_owned(),
        Some(path) => {
            ensure!(!path.is_empty(), "--instruction @: name a file behind the @, as in @instruction.txt");
            let text = std::fs::read_to_string(path).with_context(|| format!("--instruction: cannot read {path}"))?;
            text.trim_start_matches('\u{feff}').trim_end().to_owned()
        }
    };
    ensure!(!instruction.trim().is_empty(), "--instruction is empty; leave it out for the model's own");
    Ok(instruction)
}
