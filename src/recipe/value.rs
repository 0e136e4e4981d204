//! A recipe: how a pair becomes a prompt, and the model's output a score. It is a value, wherever it was read.

use std::sync::Arc;

use anyhow::{Result, ensure};
use serde::Deserialize;

use super::activation::Activation;
use super::chat_template::ChatTemplate;
use super::template::Template;
use super::{PairFrame, TextTokenizer};
use crate::model::Answers;

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
    /// Whether the tokens that the tokenizer adds around a text stand around the prompt.
    pub special_tokens: bool,
    /// What is cut where a prompt is too long.
    pub cut: Cut,
    /// The longest pair, where the recipe limits it.
    pub longest_pair: Option<PairLength>,
    /// What stands around the two texts that the templates are made of, where a model is given those.
    pub pair: Option<PairFrame>,
    /// The file that has the answers as token ids, if one of sentence-transformers does.
    pub answers_file: Option<String>,
    /// How the logit becomes a score.
    pub activation: Activation,
    /// Tokens without which the tokenizer is another model's.
    pub control_tokens: Vec<String>,
    /// The chat template that the prompts were read from, and must agree with.
    pub chat: Option<Arc<ChatTemplate>>,
}

/// What is cut where a prompt is too long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cut {
    /// The end of the document. A query that leaves no room for one is an error.
    #[default]
    Document,
    /// The end of the longer of two texts, until both are equally long, and then of both: `longest_first` of transformers.
    #[serde(skip)]
    LongestFirst,
    /// The end of a query that is longer than three quarters of a prompt, and then that of the document: as FlagEmbedding does.
    #[serde(skip)]
    QueryShare,
}

/// A limit that counts a query and a document, and not what stands around them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PairLength {
    /// Tokens.
    pub tokens: usize,
    /// Tokens of the template that are counted, too, as that between the texts.
    pub fixed: usize,
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

impl Recipe {
    /// The answers as messages name them.
    pub(super) fn answer_names(&self) -> [String; 2] {
        match &self.answers_file {
            Some(file) => ["true_token_id", "false_token_id"].map(|name| format!("{name} of {file}")),
            None => ["true", "false"].map(|name| format!("the answer `{name}`")),
        }
    }

    /// What the tokens of a prompt depend on: names and values. `instruction` is the run's own.
    pub(super) fn settings(&self, instruction: Option<&str>) -> Vec<(&'static str, String)> {
        let template = |name, template: &Option<Template>| Some((name, template.as_ref()?.source()));
        let instruction = instruction.or(self.instruction.as_deref()).map(|text| ("the instruction", text.to_owned()));
        let of_tokenizer = self.special_tokens.then(|| ("special_tokens of the recipe", "true".to_owned()));
        let parts = [
            template("the template", &self.plain),
            template("the template with an instruction", &self.instructed),
            instruction,
            of_tokenizer,
            Some(("what is cut of a prompt that is too long", format!("{:?}", self.cut))),
        ];
        parts.into_iter().flatten().collect()
    }

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
    /// Finds the ids of the answers' tokens; a classifier has none.
    ///
    /// # Errors
    /// If a word is not one token.
    pub(super) fn resolve(&self, tokenizer: &TextTokenizer) -> Result<Option<Answers>> {
        let Self::Answers { true_answer, false_answer } = self else { return Ok(None) };
        let id = |answer: &Answer| match answer {
            Answer::Id(id) => Ok(*id),
            Answer::Word(word) => tokenizer.control_token(word).or_else(|_| tokenizer.single_token(word)),
        };
        Ok(Some(Answers { yes: id(true_answer)?, no: false_answer.as_ref().map(id).transpose()? }))
    }
}
