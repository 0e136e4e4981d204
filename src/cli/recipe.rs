//! The options of the recipe: how a pair becomes a prompt, and a logit a score.

use clap::{Args, ValueEnum};

/// How the model is asked, and what of its answer is printed.
#[derive(Clone, Debug, Args)]
pub struct RecipeArguments {
    /// The prompt and the answers, in place of those that the model's files give: qwen3-reranker, mxbai-rerank-v2, zerank,
    /// ctxl-rerank-v2, bge-reranker-v2-gemma, nemotron-rerank, or a TOML file with `template` (with {instruction}, {query} and
    /// {document}), and optionally `instruction` (the default), `template_without_instruction`, `answers = { true = "yes",
    /// false = "no" }` (words or ids; false may be left out) or `head = "classifier"`, `activation` (sigmoid or raw),
    /// `temperature`, `special_tokens = true` (what the tokenizer adds around a text stands around the prompt), `cut =
    /// "document"`, `name` [default: the model's own, or the one by which it is known; --verbose prints it]
    #[arg(long, value_name = "NAME|FILE")]
    pub recipe: Option<String>,

    /// The instruction in the prompt, by which the model judges: a text, or `@FILE` [default: the recipe's own]
    #[arg(long, value_name = "TEXT")]
    pub instruction: Option<String>,

    /// What `score` is: sigmoid (a probability), or raw (the logit). auto: what the model's files give, else the
    /// recipe. The ranking is by logit in any case
    #[arg(long, value_name = "FUNCTION", value_enum, ignore_case = true, default_value_t = ScoreChoice::Auto, hide_possible_values = true)]
    pub score: ScoreChoice,
}

/// `--score`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ScoreChoice {
    /// The function that the model's files give.
    Auto,
    /// 1 / (1 + e^−logit).
    Sigmoid,
    /// The logit.
    Raw,
}
