//! What passages of any text have in common, with the fake model's words for tokens.

use proptest::prelude::*;

use super::*;
use crate::recipe::{RecipeChoice, fake_recipe};

const QUERY: &str = "red planet";

fn query() -> Query {
    Query { text: QUERY.into(), ..Query::default() }
}

fn candidate(title: Option<&str>, text: &str) -> Candidate {
    Candidate { title: title.map(str::to_owned), text: text.into(), ..Candidate::default() }
}

fn prompts(max_length: usize) -> std::sync::Arc<dyn Prompts> {
    fake_recipe(&RecipeChoice { max_length: Some(max_length), ..RecipeChoice::default() }).prompts
}

/// The prompts and the passages of a text.
fn cut(splitting: Splitting, max_length: usize, candidate: &Candidate) -> (Vec<Prompt>, Vec<String>) {
    let (made, passages) = splitting.prompts(&query(), candidate, prompts(max_length).as_ref()).unwrap();
    (made, passages.ranges.into_iter().map(|range| candidate.text[range].to_owned()).collect())
}

const MAX: Splitting = Splitting { aggregation: Aggregation::Max, tokens: None, stride: None };

#[test]
fn passages_end_with_sentences_and_lines_in_any_script() {
    let splitting = Splitting { tokens: Some(6), stride: Some(6), ..MAX };
    for (text, expected) in [
        ("One two three. Four five six? Seven eight.", vec!["One two three. Four five six?", "Seven eight."]),
        ("one two three\nfour five\nsix seven eight", vec!["one two three\nfour five", "six seven eight"]),
        ("aa bb cc dd ee ff gg hh", vec!["aa bb cc dd ee ff", "gg hh"]),
    ] {
        assert_eq!(cut(splitting, 99, &candidate(None, text)).1, expected);
    }
    // Each character of these is a token here only if something that is no letter stands between: so the sentences do.
    let splitting = Splitting { tokens: Some(2), stride: Some(2), ..MAX };
    let chinese = "火星是红色的。地球是蓝色的。金星很亮。";
    assert_eq!(cut(splitting, 99, &candidate(None, chinese)).1, ["火星是红色的。地球是蓝色的。", "金星很亮。"]);
}

#[test]
fn a_title_stands_in_front_of_each_passage_and_takes_half_of_the_room_at_most() {
    // Room for five words beside the query, of which the title takes one.
    let (made, passages) = cut(MAX, 9, &candidate(Some("Mars"), "a b c d e f g"));
    assert_eq!(passages, ["a b c d", "d e f g"]);
    let by_hand: Vec<Prompt> =
        passages.iter().map(|text| prompts(9).prompt(&query(), &format!("Mars {text}")).unwrap()).collect();
    assert_eq!(made, by_hand);
    let long = candidate(Some("a long title of many words"), "a b c d");
    let (_, passages) = MAX.prompts(&query(), &long, prompts(9).as_ref()).unwrap();
    assert!(passages.truncated && passages.ranges.len() == 2, "{passages:?}");
}

#[test]
fn a_document_that_fits_is_scored_whole() {
    let (made, passages) = cut(MAX, 9, &candidate(None, " a b c \n"));
    assert_eq!((made.len(), passages), (1, vec![" a b c \n".to_owned()]));
    assert_eq!(made[0], prompts(9).prompt(&query(), " a b c \n").unwrap());
    // White space alone has no passages.
    let empty = candidate(Some("one two three four five six"), " \n ");
    let (made, passages) = MAX.prompts(&query(), &empty, prompts(9).as_ref()).unwrap();
    assert!(made.len() == 1 && passages.truncated, "{passages:?}");
}

#[test]
fn logits_become_one() {
    let logits = [0.5, 2., -1., 2.];
    assert_eq!(Aggregation::Max.logit(&logits), (2., 1));
    assert_eq!(Aggregation::First.logit(&logits), (0.5, 0));
    assert_eq!(Aggregation::Mean.logit(&logits), (0.875, 1));
    for aggregation in [Aggregation::Max, Aggregation::Mean, Aggregation::First] {
        assert!(aggregation.logit(&[1., f32::NAN, 3.]).0.is_nan());
        assert_eq!(aggregation.logit(&[-f32::INFINITY]).0, -f32::INFINITY);
    }
}

#[test]
fn the_best_passage_is_named_by_its_characters() {
    let text = "äöü 火星. Ende";
    let passages = Passages { ranges: vec![0..14, 15..19], ..Passages::default() };
    assert_eq!(passages.field(1, text, true).unwrap().get(), r#"{"start":8,"end":12,"passages":2,"text":"Ende"}"#);
    assert_eq!(passages.field(0, text, false).unwrap().get(), r#"{"start":0,"end":7,"passages":2}"#);
}

proptest! {
    #[test]
    fn passages_cover_the_text_in_order_and_fit(
        text in "([a-c]{1,3}[ .!?\n]{0,2}|火星。?|é|👩‍🚀){0,60}",
        (tokens, stride) in (1usize..9).prop_flat_map(|tokens| (Just(tokens), 1..=tokens)),
        limited in any::<bool>(),
    ) {
        let splitting = Splitting { tokens: limited.then_some(tokens), stride: Some(stride), ..MAX };
        let max_length = if limited { 50 } else { tokens + 4 };
        let candidate = candidate(None, &text);
        let (made, passages) = splitting.prompts(&query(), &candidate, prompts(max_length).as_ref()).unwrap();
        prop_assert_eq!(made.len(), passages.ranges.len());
        prop_assert!(!passages.truncated && made.iter().all(|prompt| !prompt.truncated));
        let (mut covered, mut last_start) = (0, None);
        for (prompt, range) in made.iter().zip(&passages.ranges) {
            prop_assert!(last_start < Some(range.start), "each begins behind the one before");
            prop_assert!(range.start <= covered || text[covered..range.start].trim().is_empty(), "nothing is left out");
            prop_assert!(range.end > covered || made.len() == 1);
            if made.len() > 1 {
                prop_assert_eq!(prompt, &prompts(max_length).prompt(&query(), &text[range.clone()]).unwrap());
                prop_assert!(prompt.token_ids.len() <= tokens + 4);
            }
            (covered, last_start) = (range.end, Some(range.start));
        }
        prop_assert!(text[covered..].trim().is_empty());
    }
}
