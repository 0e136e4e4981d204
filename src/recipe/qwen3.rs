//! Qwen3-Reranker's prompt, as on its model card: a judge answers `yes` or `no`.
//!
//! ```text
//! <|im_start|>system\nJudge …<|im_end|>\n<|im_start|>user\n
//! <Instruct>: {instruction}\n<Query>: {query}\n<Document>: {document}
//! <|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n
//! ```
//!
//! The middle line, the body, is tokenized as one string, like the reference does: cutting it into fields first could
//! change where tokens meet.

use anyhow::{Result, bail, ensure};

use super::{Prompt, Recipe, TextTokenizer};
use crate::record::Query;

/// The default instruction (without a final full stop, as trained).
pub const DEFAULT_INSTRUCTION: &str = "Given a web search query, retrieve relevant passages that answer the query";

const PREFIX: &str = "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the \
     Instruct provided. Note that the answer can only be \"yes\" or \"no\".<|im_end|>\n<|im_start|>user\n";
const SUFFIX: &str = "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n";
const CONTROL_TOKENS: [&str; 4] = ["<|im_start|>", "<|im_end|>", "<think>", "</think>"];

/// The recipe of Qwen3-Reranker in all its sizes.
pub struct Qwen3Recipe {
    tokenizer: TextTokenizer,
    prefix: Vec<u32>,
    suffix: Vec<u32>,
    instruction: String,
    body_budget: usize,
}

impl Qwen3Recipe {
    /// Prepares the template.
    ///
    /// `max_length` is the longest whole prompt in tokens, `instruction` the run's own.
    ///
    /// # Errors
    /// If the tokenizer lacks the template's control tokens, or the template leaves no room in `max_length`.
    pub fn new(tokenizer: TextTokenizer, max_length: usize, instruction: Option<&str>) -> Result<Self> {
        let prefix = encode_template(&tokenizer, PREFIX)?;
        let suffix = encode_template(&tokenizer, SUFFIX)?;
        let template = prefix.len() + suffix.len();
        ensure!(
            max_length > template,
            "--max-length {max_length} leaves no room: the model's prompt alone takes {template} tokens"
        );
        let instruction = instruction.unwrap_or(DEFAULT_INSTRUCTION).to_owned();
        Ok(Self { tokenizer, prefix, suffix, instruction, body_budget: max_length - template })
    }

    /// The token ids of `yes` and `no`.
    ///
    /// # Errors
    /// If the tokenizer makes several tokens of one.
    pub fn answers(&self) -> Result<[u32; 2]> {
        Ok([self.tokenizer.single_token("yes")?, self.tokenizer.single_token("no")?])
    }

    fn head(&self, query: &Query) -> String {
        let instruction = query.instruction.as_deref().unwrap_or(&self.instruction);
        format!("<Instruct>: {instruction}\n<Query>: {}\n<Document>:", query.text)
    }
}

impl Recipe for Qwen3Recipe {
    fn check_query(&self, query: &Query) -> Result<()> {
        let (head, longer) = self.tokenizer.encode_up_to(&self.head(query), self.body_budget)?;
        if longer || head.len() == self.body_budget {
            bail!(
                "the query and its instruction leave no room for a document in {} tokens; raise --max-length or shorten \
                 the query",
                self.prefix.len() + self.body_budget + self.suffix.len()
            );
        }
        Ok(())
    }

    fn prompt(&self, query: &Query, document: &str) -> Result<Prompt> {
        let body = format!("{} {document}", self.head(query));
        let (body, truncated) = self.tokenizer.encode_up_to(&body, self.body_budget)?;
        let mut token_ids = Vec::with_capacity(self.prefix.len() + body.len() + self.suffix.len());
        token_ids.extend_from_slice(&self.prefix);
        token_ids.extend_from_slice(&body);
        token_ids.extend_from_slice(&self.suffix);
        Ok(Prompt { token_ids, truncated })
    }
}

/// Tokenizes a template: control tokens are themselves, and what stands between them is text.
fn encode_template(tokenizer: &TextTokenizer, template: &str) -> Result<Vec<u32>> {
    let mut token_ids = Vec::new();
    let mut rest = template;
    while !rest.is_empty() {
        let next = CONTROL_TOKENS.iter().filter_map(|token| Some((rest.find(token)?, *token))).min();
        let (text, control) = next.map_or((rest, ""), |(at, token)| (&rest[..at], token));
        if !text.is_empty() {
            token_ids.extend(tokenizer.encode(text)?);
        }
        if !control.is_empty() {
            token_ids.push(tokenizer.control_token(control)?);
        }
        rest = &rest[text.len() + control.len()..];
    }
    Ok(token_ids)
}
