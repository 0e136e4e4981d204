//! A recipe without a model: words become hashes. It serves to try a pipeline out, and to test everything around a model.

use std::sync::Arc;

use anyhow::{Result, ensure};

use super::{
    Activation, DEFAULT_MAX_LENGTH, Function, Prompt, Prompts, QueryTooLong, RecipeChoice, RecipeName, Resolved,
};
use crate::record::Query;

/// The token between the query's words and the document's, and at the end; no word has this id.
pub(crate) const SEPARATOR: u32 = 0;

/// The recipe of the fake model.
pub fn fake_recipe(choice: &RecipeChoice) -> Resolved {
    let max_length = choice.max_length.unwrap_or(DEFAULT_MAX_LENGTH);
    let activation = Activation::of(choice.score.unwrap_or(Function::Sigmoid));
    Resolved {
        prompts: Arc::new(FakePrompts { max_length }),
        answers: None,
        activation,
        name: RecipeName {
            name: "fake".to_owned(),
            origin: "built in".to_owned(),
            score: activation.name().to_owned(),
        },
        instruction: None,
        takes_instruction: false,
        max_length,
        settings: Vec::new(),
        warnings: Vec::new(),
        notes: Vec::new(),
        details: Vec::new(),
    }
}

/// `query words · separator · document words · separator`; a word's id is a hash of its letters in lower case.
struct FakePrompts {
    max_length: usize,
}

impl Prompts for FakePrompts {
    fn check_query_within(&self, query: &Query, tokens: usize) -> Result<Option<String>> {
        let (words, tokens) = (words(&query.text).count(), self.max_length.min(tokens));
        ensure!(words + 2 < tokens, QueryTooLong { tokens });
        Ok(None)
    }

    fn room(&self, query: &Query, in_front: &str) -> Result<usize> {
        let taken = words(&query.text).count() + words(in_front).count() + 2;
        Ok(self.max_length.saturating_sub(taken))
    }

    fn beginning<'a>(&self, text: &'a str, tokens: usize) -> Result<&'a str> {
        let mut words = word_texts(text);
        Ok(match words.nth(tokens) {
            None => text,
            Some(_) if tokens == 0 => "",
            // It is a part of the text.
            Some(next) => text.get(..next.as_ptr() as usize - text.as_ptr() as usize).unwrap_or(text),
        })
    }

    fn prompt_within(&self, query: &Query, document: &str, tokens: usize) -> Result<Prompt> {
        let mut token_ids: Vec<u32> = words(&query.text).chain([SEPARATOR]).collect();
        let most = self.max_length.min(tokens);
        ensure!(token_ids.len() < most, "the query leaves no room for a document in {most} tokens");
        let room = most - token_ids.len() - 1;
        let mut document = words(document);
        token_ids.extend(document.by_ref().take(room));
        token_ids.push(SEPARATOR);
        let truncated = document.next().is_some();
        Ok(Prompt { token_ids, second_type: None, truncated, document_cut: truncated })
    }

    fn text(&self, query: &Query, document: &str) -> Result<String> {
        Ok(format!("{}⟦⟧{document}⟦⟧", query.text))
    }
}

/// The runs of letters and digits.
fn word_texts(text: &str) -> impl Iterator<Item = &str> {
    text.split(|character: char| !character.is_alphanumeric()).filter(|word| !word.is_empty())
}

/// The FNV-1a hash of each run of letters and digits.
fn words(text: &str) -> impl Iterator<Item = u32> + '_ {
    word_texts(text).map(|word| {
        let bytes = word.bytes().map(|byte| byte.to_ascii_lowercase());
        bytes.fold(0x811c_9dc5, |hash: u32, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)).max(1)
    })
}
