//! The recipes that the program has itself, as data: those of published rerankers.

use anyhow::Result;

use super::activation::{Activation, Function};
use super::template::Template;
use super::value::{Answer, Cut, Recipe, RecipeOutput};

/// The recipe that is assumed where a checkpoint has none.
pub const DEFAULT: &str = "qwen3-reranker";

struct BuiltIn {
    name: &'static str,
    template: &'static str,
    /// The prompt where no instruction is given and there is no default.
    without_instruction: Option<&'static str>,
    instruction: Option<&'static str>,
    answers: (&'static str, Option<&'static str>),
    temperature: f64,
    /// Tokens without which the tokenizer is another model's.
    control_tokens: &'static [&'static str],
}

const CHAT: &[&str] = &["<|im_start|>", "<|im_end|>"];

/// The model cards have them. Only the first is ever assumed, the others are chosen by name.
const RECIPES: [BuiltIn; 3] = [
    BuiltIn {
        name: DEFAULT,
        template: "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the \
                   Instruct provided. Note that the answer can only be \"yes\" or \"no\".<|im_end|>\n<|im_start|>user\n\
                   <Instruct>: {instruction}\n<Query>: {query}\n<Document>: {document}<|im_end|>\n\
                   <|im_start|>assistant\n<think>\n\n</think>\n\n",
        without_instruction: None,
        // Without a final full stop, as trained.
        instruction: Some("Given a web search query, retrieve relevant passages that answer the query"),
        answers: ("yes", Some("no")),
        temperature: 1.,
        control_tokens: &["<|im_start|>", "<|im_end|>", "<think>", "</think>"],
    },
    BuiltIn {
        name: "mxbai-rerank-v2",
        template: "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n\
                   <|im_start|>user\ninstruction: {instruction}\nquery: {query}\ndocument: {document}\nYou are a search \
                   relevance expert who evaluates how well documents match search queries. For each query-document \
                   pair, carefully analyze the semantic relationship between them, then provide your binary relevance \
                   judgment (0 for not relevant, 1 for relevant).\nRelevance:<|im_end|>\n<|im_start|>assistant\n",
        without_instruction: Some(
            "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n\
             <|im_start|>user\nquery: {query}\ndocument: {document}\nYou are a search relevance expert who evaluates \
             how well documents match search queries. For each query-document pair, carefully analyze the semantic \
             relationship between them, then provide your binary relevance judgment (0 for not relevant, 1 for \
             relevant).\nRelevance:<|im_end|>\n<|im_start|>assistant\n",
        ),
        instruction: None,
        answers: ("1", Some("0")),
        temperature: 1.,
        control_tokens: CHAT,
    },
    BuiltIn {
        name: "zerank",
        template: "<|im_start|>system\n<query>{query|trim}</query>\n<instruction>{instruction}</instruction><|im_end|>\n\
                   <|im_start|>user\n{document|trim}<|im_end|>\n<|im_start|>assistant\n",
        without_instruction: Some(
            "<|im_start|>system\n{query|trim}<|im_end|>\n<|im_start|>user\n{document|trim}<|im_end|>\n\
             <|im_start|>assistant\n",
        ),
        instruction: None,
        answers: ("Yes", None),
        temperature: 5.,
        control_tokens: CHAT,
    },
];

/// The names of all built-in recipes, as a message lists them.
pub fn names() -> String {
    RECIPES.iter().map(|recipe| recipe.name).collect::<Vec<_>>().join(", ")
}

/// The recipe of this name.
pub fn built_in(name: &str) -> Result<Option<Recipe>> {
    let Some(found) = RECIPES.iter().find(|recipe| recipe.name == name) else { return Ok(None) };
    let template = Template::parse(found.template)?;
    let answer = |word: &str| Answer::Word(word.to_owned());
    Ok(Some(Recipe {
        name: name.to_owned(),
        origin: "built in".to_owned(),
        plain: found.without_instruction.map(Template::parse).transpose()?,
        instructed: Some(template),
        instruction: found.instruction.map(str::to_owned),
        output: RecipeOutput::Answers {
            true_answer: answer(found.answers.0),
            false_answer: found.answers.1.map(answer),
        },
        cut: Cut::Document,
        answers_file: None,
        activation: Activation { function: Function::Sigmoid, temperature: found.temperature },
        control_tokens: found.control_tokens.iter().map(|&token| token.to_owned()).collect(),
        chat: None,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_recipes_are_whole() {
        for name in names().split(", ") {
            let recipe = built_in(name).unwrap().unwrap();
            recipe.check().unwrap();
            assert!(recipe.instructed.is_some_and(|template| template.has_instruction()), "{name}");
        }
        assert!(built_in("nonesuch").unwrap().is_none());
    }
}
