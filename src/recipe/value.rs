//! A recipe: how a pair becomes a prompt, and the model's output a score. It is a value, wherever it was read.

use std::sync::Arc;

use anyhow::{Result, ensure};
use serde::Deserialize;

use super::TextTokenizer;
use super::activation::Activation;
use super::chat_template::ChatTemplate;
use super::template::Template;

/// How a reranker is used.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// A short name.
    pub name: String,
    /// Where it was read, for messages.
    pub origin: String,
    /// The prompt without an instruction; none, if every prompt has one.
    pub plain: Option<Template>,
    /// The prompt with an instruction; none, if an instruction has no place.
    pub instructed: Option<Template>,
    /// The instruction where the user gives none.
    pub instruction: Option<String>,
    /// What of the model's output is the logit.
    pub output: RecipeOutput,
    /// How the logit becomes a score.
    pub activation: Activation,
    /// Tokens without which the tokenizer is another model's.
    pub control_tokens: Vec<String>,
    /// The chat template that the prompts were read from, and must agree with.
    pub chat: Option<Arc<ChatTemplate>>,
}

/// What of the model's output is the logit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecipeOutput {
    /// The logit of one token, or how far it is above that of another.
    Answers {
        /// The token that stands for relevant.
        true_answer: Answer,
        /// The token that stands for not relevant.
        false_answer: Option<Answer>,
    },
    /// The one output of a classifier.
    Classifier,
}

/// A token that is an answer.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Answer {
    /// A word that is one token, or a control token.
    Word(String),
    /// A token's id.
    Id(u32),
}

/// What of the model's output is the logit, with the ids of tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Row `true_token` of the language model's head, less row `false_token` if there is one.
    Answers {
        /// The token that stands for relevant.
        true_token: u32,
        /// The token that stands for not relevant.
        false_token: Option<u32>,
    },
    /// The one row of a classifier.
    Classifier,
}

impl Recipe {
    /// Checks that there is a prompt for every case.
    ///
    /// # Errors
    /// If there is none without an instruction, and no default instruction.
    pub(super) fn check(&self) -> Result<()> {
        ensure!(
            self.plain.is_some() || self.instructed.is_some() && self.instruction.is_some(),
            "the template needs an instruction, and there is no default for it"
        );
        Ok(())
    }
}

impl RecipeOutput {
    /// Finds the tokens' ids.
    ///
    /// # Errors
    /// If a word is not one token.
    pub(super) fn resolve(&self, tokenizer: &TextTokenizer) -> Result<Output> {
        let Self::Answers { true_answer, false_answer } = self else { return Ok(Output::Classifier) };
        let id = |answer: &Answer| match answer {
            Answer::Id(id) => Ok(*id),
            Answer::Word(word) => tokenizer.control_token(word).or_else(|_| tokenizer.single_token(word)),
        };
        Ok(Output::Answers { true_token: id(true_answer)?, false_token: false_answer.as_ref().map(id).transpose()? })
    }
}
