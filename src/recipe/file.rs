//! A recipe that the user writes, as TOML.

use std::path::Path;

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde::Deserialize;

use super::activation::{Activation, Function};
use super::template::Template;
use super::value::{Answer, Cut, Recipe, RecipeOutput};
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
    /// Whether the tokens that the tokenizer adds around a text stand around the prompt.
    #[serde(default)]
    special_tokens: bool,
    #[serde(default)]
    cut: Cut,
    answers: Option<Answers>,
    head: Option<Head>,
    #[serde(default)]
    activation: Function,
    #[serde(default = "one")]
    temperature: f64,
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

/// A recipe from a file, before the model is known.
#[derive(Clone, Debug)]
pub struct FileRecipe {
    recipe: Recipe,
    /// The output that the file gives; none, if it leaves it to the model.
    output: Option<RecipeOutput>,
}

/// What is wrong with a file, with the line.
fn problem(error: &toml::de::Error, text: &str) -> anyhow::Error {
    let message = error.message().trim_end();
    let place = error.span().and_then(|span| text.get(..span.start)).filter(|_| !message.starts_with("missing field"));
    let Some(before) = place else { return anyhow!("{message}") };
    let start = before.rfind('\n').map_or(0, |at| at + 1);
    let line: String =
        text.get(start..).unwrap_or_default().lines().next().unwrap_or_default().trim().chars().take(60).collect();
    anyhow!("line {}, `{line}`: {message}", before.matches('\n').count() + 1)
}

impl FileRecipe {
    /// The file's path.
    pub(super) fn path(&self) -> &str {
        &self.recipe.origin
    }

    /// Reads a file.
    ///
    /// # Errors
    /// If it can't be read, has an unknown key, or a template that is none.
    pub(super) fn read(path: &Path) -> Result<Self> {
        if !path.exists() {
            bail!(
                "--recipe {}: there is no such file, and no built-in recipe of this name; they are {}",
                path.display(),
                builtin::names()
            );
        }
        let option = || format!("--recipe {}", path.display());
        let length = path.metadata().with_context(option)?.len();
        ensure!(!path.is_dir(), "{}: it is a directory, and should be a recipe in TOML", option());
        ensure!(length > 0, "{}: it is empty, and should be a recipe in TOML with a `template`", option());
        // An editor on Windows ends lines with two characters, of which the first would become a part of the prompt.
        let text = read_plain_text(path, MOST_BYTES).with_context(option)?.replace("\r\n", "\n");
        let parse = || -> Result<Self> {
            let file: RecipeFile = toml::from_str(&text).map_err(|error| problem(&error, &text))?;
            Self::of(file, path)
        };
        parse().with_context(option)
    }

    fn of(file: RecipeFile, path: &Path) -> Result<Self> {
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
        ensure!(
            file.head.is_none() || file.answers.is_none(),
            "it has `answers` and `head = \"classifier\"`, and a model has one of both"
        );
        let answers = file
            .answers
            .map(|answers| RecipeOutput::Answers { true_answer: answers.r#true, false_answer: answers.r#false });
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let recipe = Recipe {
            name: file.name.unwrap_or(stem),
            origin: path.display().to_string(),
            plain,
            instructed,
            instruction: file.instruction,
            output: RecipeOutput::Classifier,
            special_tokens: file.special_tokens,
            cut: file.cut,
            longest_pair: None,
            pair: None,
            answers_file: None,
            activation: Activation { function: file.activation, temperature: file.temperature },
            control_tokens: Vec::new(),
            chat: None,
        };
        Ok(Self { recipe, output: answers.or(file.head.map(|_| RecipeOutput::Classifier)) })
    }

    /// The recipe for a model.
    ///
    /// # Errors
    /// If the model does not have the recipe's output.
    pub(super) fn for_model(&self, model: &ModelFacts) -> Result<Recipe> {
        Ok(Recipe { output: self.output(model)?, ..self.recipe.clone() })
    }

    fn output(&self, model: &ModelFacts) -> Result<RecipeOutput> {
        Ok(match (&self.output, model.is_classifier) {
            (Some(RecipeOutput::Answers { .. }), true) => {
                bail!(
                    "it has answers, which are tokens of a language model, and the model is a classifier; leave them out"
                )
            }
            (Some(RecipeOutput::Classifier), false) => {
                bail!("its head is a classifier's, and the model is a language model, which needs `answers`")
            }
            (None, false) => bail!(
                "it has no answers, the tokens that a language model's score is made of, as in \
                 answers = {{ true = \"yes\", false = \"no\" }}"
            ),
            (output, _) => output.clone().unwrap_or(RecipeOutput::Classifier),
        })
    }
}
