//! A recipe that the user writes, as TOML.

use std::path::Path;

use anyhow::{Context, Result, anyhow, ensure};
use serde::Deserialize;

use super::activation::{Activation, Function};
use super::template::Template;
use super::value::{Answer, Recipe, RecipeOutput};
use super::{ModelFacts, builtin};
use crate::checkpoint::read_plain_text;

const MOST_BYTES: u64 = 1 << 20;

/// The keys of a recipe.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RecipeFile {
    name: Option<String>,
    template: String,
    template_without_instruction: Option<String>,
    instruction: Option<String>,
    /// What is cut where a prompt is too long. There is no choice yet; the key says what happens.
    #[serde(default, rename = "cut")]
    _cut: Cut,
    answers: Option<Answers>,
    head: Option<Head>,
    #[serde(default)]
    activation: Function,
    #[serde(default = "one")]
    temperature: f64,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Cut {
    #[default]
    Document,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Head {
    Classifier,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Answers {
    r#true: Answer,
    r#false: Option<Answer>,
}

fn one() -> f64 {
    1.
}

/// Reads a recipe's file.
///
/// # Errors
/// If it can't be read, has an unknown key, or does not fit to the model.
pub(super) fn read(path: &Path, model: &ModelFacts) -> Result<Recipe> {
    if !path.exists() {
        return Err(anyhow!(
            "--recipe {}: there is no such file, and no built-in recipe of this name; they are {}",
            path.display(),
            builtin::names()
        ));
    }
    let text = read_plain_text(path, MOST_BYTES)?;
    parse(&text, path, model).with_context(|| format!("--recipe {}", path.display()))
}

fn parse(text: &str, path: &Path, model: &ModelFacts) -> Result<Recipe> {
    let file: RecipeFile = toml::from_str(text).map_err(|error| anyhow!("{}", error.to_string().trim_end()))?;
    let template = |key: &str, text: &str| Template::parse(text).with_context(|| key.to_owned());
    let whole = template("template", &file.template)?;
    let without = file.template_without_instruction.as_deref();
    let without = without.map(|text| template("template_without_instruction", text)).transpose()?;
    let has_instruction = whole.has_instruction();
    ensure!(
        has_instruction || file.instruction.is_none() && without.is_none(),
        "the template has no {{instruction}}, but there is an instruction for it, or a template without one"
    );
    ensure!(
        without.as_ref().is_none_or(|without| !without.has_instruction()),
        "template_without_instruction has an {{instruction}}"
    );
    ensure!(
        file.temperature.is_finite() && file.temperature > 0.,
        "temperature is {}, and should be a number above 0",
        file.temperature
    );
    let (plain, instructed) = if has_instruction { (without, Some(whole)) } else { (Some(whole), None) };
    ensure!(
        plain.is_some() || file.instruction.is_some(),
        "the template has an {{instruction}}: give `instruction`, its default, or `template_without_instruction`"
    );
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Recipe {
        name: file.name.unwrap_or(stem),
        origin: path.display().to_string(),
        plain,
        instructed,
        instruction: file.instruction,
        output: output(file.head, file.answers, model)?,
        activation: Activation { function: file.activation, temperature: file.temperature },
        control_tokens: Vec::new(),
        chat: None,
    })
}

fn output(head: Option<Head>, answers: Option<Answers>, model: &ModelFacts) -> Result<RecipeOutput> {
    ensure!(
        head.is_none() || answers.is_none(),
        "it has `answers` and `head = \"classifier\"`, and a model has one of both"
    );
    ensure!(
        answers.is_none() || !model.is_classifier,
        "it has answers, which are tokens of a language model, and the model is a classifier; leave them out"
    );
    ensure!(
        head.is_none() || model.is_classifier,
        "its head is a classifier's, and the model is a language model, which needs `answers`"
    );
    match answers {
        Some(answers) => Ok(RecipeOutput::Answers { true_answer: answers.r#true, false_answer: answers.r#false }),
        None if model.is_classifier => Ok(RecipeOutput::Classifier),
        None => Err(anyhow!(
            "it has no answers, the tokens that a language model's score is made of, as in \
             answers = {{ true = \"yes\", false = \"no\" }}"
        )),
    }
}
