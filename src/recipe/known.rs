//! Which built-in recipe a checkpoint without one of its own has: it is recognised by its family or by the model's name, and
//! otherwise assumed for Qwen3's family alone.

use anyhow::{Context, Result, bail};

use super::ModelFacts;
use super::builtin::{self, BuiltIn, RECIPES};
use super::checkpoint::Found;
use super::value::RecipeOutput;
use crate::checkpoint::ModelFiles;

/// What zerank's configuration names as its code.
const ZERANK_CODE: &str = "ZEConfig";

/// A recipe by which a model is known.
pub(super) struct Known {
    recipe: &'static BuiltIn,
    how: String,
    /// Whether there is no other model that would look the same.
    is_certain: bool,
}

/// The built-in recipe by which a model is known.
pub(super) fn recognised(files: &ModelFiles, model: &ModelFacts) -> Result<Option<Known>> {
    let Some(family) = model.family else { return Ok(None) };
    let of_family = |recipe: &&BuiltIn| recipe.families.contains(&family);
    if let Some(recipe) = RECIPES.iter().filter(of_family).find(|recipe| recipe.of_family) {
        return Ok(Some(Known { recipe, how: format!("that of {family} models"), is_certain: true }));
    }
    let config = files.json("config.json")?;
    let code = config.as_ref().and_then(|(_, config)| config.pointer("/auto_map/AutoConfig")?.as_str());
    if code.is_some_and(|code| code.ends_with(ZERANK_CODE)) {
        let zerank = RECIPES.iter().filter(of_family).find(|recipe| recipe.name == "zerank");
        let how = format!("by {ZERANK_CODE} in its config.json");
        return Ok(zerank.map(|recipe| Known { recipe, how, is_certain: true }));
    }
    let names = files.names_of_model();
    for recipe in RECIPES.iter().filter(of_family) {
        let is_model = |name: &&String| recipe.models.iter().any(|model| name.to_lowercase().contains(model));
        if let Some(name) = names.iter().find(is_model) {
            let how = format!("by the model's name, {name}");
            return Ok(Some(Known { recipe, how, is_certain: false }));
        }
    }
    Ok(None)
}

impl Known {
    /// The recipe for a model.
    pub(super) fn found(&self, model: &ModelFacts) -> Result<Found> {
        let mut recipe = self.recipe.recipe()?;
        if model.is_classifier {
            recipe.output = RecipeOutput::Classifier;
        }
        let note = format!("the recipe is taken to be {}, {}", recipe.name, self.how);
        let found = Found::of(recipe);
        Ok(match self.is_certain {
            true => Found { details: vec![note], ..found },
            false => found.with_note(format!("{note}; --recipe NAME|FILE names another")),
        })
    }
}

/// Qwen3-Reranker's recipe, in place of one that is not there: language models of this family are mostly rerankers by that
/// prompt. Where there is more reason for doubt, the assumption is stated in every run.
///
/// # Errors
/// If the model is of another family.
pub(super) fn assumed(why: &str, is_doubtful: bool, model: &ModelFacts) -> Result<Found> {
    if let Some(family) = model.family.filter(|family| *family != "qwen3") {
        bail!(
            "{why}, and rerank knows no prompt for this {family} model by its files or its name; --recipe NAME|FILE gives it: built \
             in are {}",
            builtin::names()
        );
    }
    let recipe = builtin::built_in(builtin::DEFAULT)?.context("the default recipe is missing")?;
    let note = format!("the recipe is taken to be {} ({why})", recipe.name);
    let stated = format!("{note}; --recipe {} confirms that, or names another", recipe.name);
    let found = Found::of(recipe);
    Ok(match is_doubtful {
        true => found.with_note(stated),
        false => Found { details: vec![note], ..found },
    })
}
