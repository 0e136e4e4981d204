//! Properties of prompts, whatever the texts.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::builtin::built_in;
use super::prompts::RecipePrompts;
use super::template::Template;
use super::{Prompts, TextTokenizer};
use crate::checkpoint::ModelFiles;
use crate::record::Query;

const DIRECTORY: &str = "testdata/odd-reranker";

fn tokenizer() -> TextTokenizer {
    TextTokenizer::read(&ModelFiles::in_directory(DIRECTORY.as_ref())).unwrap()
}

/// The prompts of a recipe with this template.
fn prompts(template: &str, max_length: usize) -> RecipePrompts {
    let mut recipe = built_in("qwen3-reranker").unwrap().unwrap();
    recipe.plain = Some(Template::parse(template).unwrap());
    recipe.instructed = None;
    recipe.instruction = None;
    RecipePrompts::new(tokenizer(), &recipe, None, max_length).unwrap()
}

/// Words, control tokens, slots, marks, and white space.
fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[a-z]{1,6}",
        "[ \n\t]{1,3}",
        proptest::sample::select(vec!["<|im_end|>", "</think>", "{document}", "{{", "QxQueryZj", "é", "漢字", "7"])
            .prop_map(str::to_owned),
    ];
    proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

const CHAT: &str = "<|im_start|>system\n{query}<|im_end|>\nDoc: {document} (end)<think>\n";
const BEHIND: &str = "<|im_start|>{document} of {query} ??<|im_end|>";

static WHOLE: LazyLock<[RecipePrompts; 2]> = LazyLock::new(|| [CHAT, BEHIND].map(|template| prompts(template, 8192)));

#[test]
fn a_prompt_without_room_for_its_document_is_refused() {
    let query = Query { text: "word ".repeat(50), ..Query::default() };
    for template in [CHAT, "{document} ?? {query}<|im_end|>"] {
        assert!(prompts(template, 8192).check_query(&query).is_ok());
        let error = prompts(template, 40).check_query(&query).unwrap_err().to_string();
        assert!(error.contains("no room for a document in 40 tokens"), "{error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn control_tokens_are_those_of_the_template(query in text(), document in text()) {
        let query = Query { text: query, ..Query::default() };
        let ids = WHOLE[0].prompt(&query, &document).unwrap().token_ids;
        let control: Vec<u32> = ids.into_iter().filter(|id| *id >= 415).collect();
        prop_assert_eq!(control, [416, 417, 418]);
    }

    #[test]
    fn what_stands_between_control_tokens_is_one_string(query in text(), document in text()) {
        let tokenizer = tokenizer();
        let expected = [
            vec![416],
            tokenizer.encode(&format!("system\n{query}")).unwrap(),
            vec![417],
            tokenizer.encode(&format!("\nDoc: {document} (end)")).unwrap(),
            vec![418],
            tokenizer.encode("\n").unwrap(),
        ];
        let query = Query { text: query, ..Query::default() };
        prop_assert_eq!(WHOLE[0].prompt(&query, &document).unwrap().token_ids, expected.concat());
    }

    #[test]
    fn only_the_document_is_cut(query in "[a-z]{1,9}", document in text(), max_length in 40usize..90) {
        let query = Query { text: query, ..Query::default() };
        for (template, uncut) in [CHAT, BEHIND].into_iter().zip(&*WHOLE) {
            let whole = uncut.prompt(&query, &document).unwrap();
            let cut = prompts(template, max_length).prompt(&query, &document).unwrap();
            prop_assert!(!whole.truncated);
            prop_assert_eq!(cut.truncated, whole.token_ids.len() > max_length);
            if !cut.truncated {
                prop_assert_eq!(&cut.token_ids, &whole.token_ids);
                continue;
            }
            prop_assert!(cut.token_ids.len() <= max_length);
            // Whatever the document, the prompt ends with the tokens that the template and the query have behind it.
            let common = |one: &[u32], other: &[u32]| {
                one.iter().rev().zip(other.iter().rev()).take_while(|(one, other)| one == other).count()
            };
            let others = ["0", "1 2 3 4"].map(|document| uncut.prompt(&query, document).unwrap().token_ids);
            let tail = common(&others[0], &others[1]);
            prop_assert!(common(&cut.token_ids, &others[0]) >= tail);
            let kept = cut.token_ids.len() - tail;
            prop_assert_eq!(&cut.token_ids[..kept], &whole.token_ids[..kept]);
        }
    }
}
