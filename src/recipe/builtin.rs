//! The recipes that the program has itself, as data: those of published rerankers.

use anyhow::Result;

use super::activation::{Activation, Function};
use super::template::Template;
use super::value::{Answer, Cut, PairLength, Recipe, RecipeOutput};

/// The recipe that is assumed where a checkpoint of Qwen3's family has none.
pub const DEFAULT: &str = "qwen3-reranker";

pub(super) struct BuiltIn {
    pub(super) name: &'static str,
    /// Parts of the names of models that are known to have it.
    pub(super) models: &'static [&'static str],
    /// The families of those models.
    pub(super) families: &'static [&'static str],
    /// Whether every model of these families has it.
    pub(super) of_family: bool,
    /// Parts, each of which is tokenized as one string.
    template: &'static [&'static str],
    /// The prompt where no instruction is given and there is no default.
    without_instruction: Option<&'static [&'static str]>,
    instruction: Option<&'static str>,
    output: Output,
    activation: Activation,
    special_tokens: bool,
    cut: Cut,
    longest_pair: Option<PairLength>,
    /// Tokens without which the tokenizer is another model's.
    control_tokens: &'static [&'static str],
}

/// What the logit is made of.
enum Output {
    /// The logit of a word, or how far it is above that of another.
    Words(&'static str, Option<&'static str>),
    /// The logit of a token.
    Token(u32),
    /// The one output of a classifier.
    Classifier,
}

const CHAT: &[&str] = &["<|im_start|>", "<|im_end|>"];
const SIGMOID: Activation = Activation { function: Function::Sigmoid, temperature: 1. };
const RAW: Activation = Activation { function: Function::Identity, temperature: 1. };

/// What most of them have.
const USUAL: BuiltIn = BuiltIn {
    name: "",
    models: &[],
    families: &[],
    of_family: false,
    template: &[],
    without_instruction: None,
    instruction: None,
    output: Output::Classifier,
    activation: RAW,
    special_tokens: false,
    cut: Cut::Document,
    longest_pair: None,
    control_tokens: &[],
};

/// The model cards and the makers' own programs have them.
pub(super) const RECIPES: [BuiltIn; 6] = [
    BuiltIn {
        name: DEFAULT,
        families: &["qwen3"],
        template: &[
            "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the \
                     Instruct provided. Note that the answer can only be \"yes\" or \"no\".<|im_end|>\n<|im_start|>user\n\
                     <Instruct>: {instruction}\n<Query>: {query}\n<Document>: {document}<|im_end|>\n\
                     <|im_start|>assistant\n<think>\n\n</think>\n\n",
        ],
        // Without a final full stop, as trained.
        instruction: Some("Given a web search query, retrieve relevant passages that answer the query"),
        output: Output::Words("yes", Some("no")),
        activation: SIGMOID,
        control_tokens: &["<|im_start|>", "<|im_end|>", "<think>", "</think>"],
        ..USUAL
    },
    BuiltIn {
        name: "mxbai-rerank-v2",
        models: &["mxbai-rerank-base-v2", "mxbai-rerank-large-v2"],
        families: &["qwen2"],
        template: &[
            MXBAI_BEFORE,
            "instruction: {instruction}\nquery: {query}",
            "\n",
            "document: {document}",
            "\n",
            MXBAI_TASK,
            MXBAI_AFTER,
        ],
        without_instruction: Some(&[
            MXBAI_BEFORE,
            "query: {query}",
            "\n",
            "document: {document}",
            "\n",
            MXBAI_TASK,
            MXBAI_AFTER,
        ]),
        output: Output::Words("1", Some("0")),
        activation: SIGMOID,
        cut: Cut::QueryShare,
        // The line break between both is counted.
        longest_pair: Some(PairLength { tokens: 8192, fixed: 1 }),
        control_tokens: CHAT,
        ..USUAL
    },
    BuiltIn {
        name: "zerank",
        models: &["zerank-1", "zerank-2"],
        families: &["qwen3"],
        template: &[
            "<|im_start|>system\n<query>{query|trim}</query>\n<instruction>{instruction}</instruction><|im_end|>\n\
                     <|im_start|>user\n{document|trim}<|im_end|>\n<|im_start|>assistant\n",
        ],
        without_instruction: Some(&["<|im_start|>system\n{query|trim}<|im_end|>\n<|im_start|>user\n\
                                     {document|trim}<|im_end|>\n<|im_start|>assistant\n"]),
        output: Output::Words("Yes", None),
        activation: Activation { function: Function::Sigmoid, temperature: 5. },
        control_tokens: CHAT,
        ..USUAL
    },
    BuiltIn {
        name: "ctxl-rerank-v2",
        models: &["ctxl-rerank-v2"],
        families: &["qwen3", "mistral"],
        template: &["Check whether a given document contains information helpful to answer the query.\n\
                     <Document> {document}\n<Query> {query} {instruction} ??"],
        without_instruction: Some(&["Check whether a given document contains information helpful to answer the \
                                     query.\n<Document> {document}\n<Query> {query} ??"]),
        output: Output::Token(0),
        // That of the 6b model adds a token that begins the text.
        special_tokens: true,
        ..USUAL
    },
    BuiltIn {
        name: "bge-reranker-v2-gemma",
        models: &["bge-reranker-v2-gemma"],
        families: &["gemma"],
        template: &["<bos>", "A: {query}", "\n", "B: {document}", "\n", "{instruction}"],
        instruction: Some(
            "Given a query A and a passage B, determine whether the passage contains an answer to the query by providing \
             a prediction of either 'Yes' or 'No'.",
        ),
        output: Output::Words("Yes", None),
        cut: Cut::QueryShare,
        // The first token and the line break between both are counted.
        longest_pair: Some(PairLength { tokens: 1024, fixed: 2 }),
        control_tokens: &["<bos>"],
        ..USUAL
    },
    BuiltIn {
        name: "nemotron-rerank",
        families: &["llama_bidirec"],
        of_family: true,
        template: &["question:{query} \n \n passage:{document}"],
        special_tokens: true,
        ..USUAL
    },
];

const MXBAI_BEFORE: &str = "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.\
     <|im_end|>\n<|im_start|>user\n";
const MXBAI_TASK: &str = "You are a search relevance expert who evaluates how well documents match search queries. For each \
     query-document pair, carefully analyze the semantic relationship between them, then provide your binary relevance judgment \
     (0 for not relevant, 1 for relevant).\nRelevance:";
const MXBAI_AFTER: &str = "<|im_end|>\n<|im_start|>assistant\n";

/// The names of all built-in recipes, as a message lists them.
pub fn names() -> String {
    RECIPES.iter().map(|recipe| recipe.name).collect::<Vec<_>>().join(", ")
}

/// Whether a built-in recipe has this name.
pub fn is_name(text: &str) -> bool {
    RECIPES.iter().any(|recipe| recipe.name == text)
}

/// The recipe of this name.
pub fn built_in(name: &str) -> Result<Option<Recipe>> {
    RECIPES.iter().find(|recipe| recipe.name == name).map(BuiltIn::recipe).transpose()
}

impl BuiltIn {
    pub(super) fn recipe(&self) -> Result<Recipe> {
        let template = Template::parse_parts(self.template)?;
        let plain = match self.without_instruction {
            Some(parts) => Some(Template::parse_parts(parts)?),
            None if template.has_instruction() => None,
            None => Some(template.clone()),
        };
        let word = |word: &str| Answer::Word(word.to_owned());
        Ok(Recipe {
            name: self.name.to_owned(),
            origin: "built in".to_owned(),
            plain,
            instructed: template.has_instruction().then_some(template),
            instruction: self.instruction.map(str::to_owned),
            output: match self.output {
                Output::Words(yes, no) => RecipeOutput::Answers { true_answer: word(yes), false_answer: no.map(word) },
                Output::Token(id) => RecipeOutput::Answers { true_answer: Answer::Id(id), false_answer: None },
                Output::Classifier => RecipeOutput::Classifier,
            },
            special_tokens: self.special_tokens,
            cut: self.cut,
            longest_pair: self.longest_pair,
            pair: None,
            answers_file: None,
            activation: self.activation,
            control_tokens: self.control_tokens.iter().map(|&token| token.to_owned()).collect(),
            chat: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_recipes_are_whole() {
        for name in names().split(", ") {
            let recipe = built_in(name).unwrap().unwrap();
            recipe.check().unwrap();
            assert!(recipe.instructed.is_none_or(|template| template.has_instruction()), "{name}");
        }
        assert!(built_in("nonesuch").unwrap().is_none());
    }
}
