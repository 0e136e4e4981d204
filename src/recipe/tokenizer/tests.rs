use std::path::Path;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const ODD: &str = "testdata/odd-reranker";

fn tokenizer() -> TextTokenizer {
    TextTokenizer::read(&ModelFiles::in_directory(Path::new(ODD))).unwrap()
}

/// The odd model's tokenizer with changes, in a directory without other files.
fn changed(change: impl FnOnce(&mut Value)) -> Result<TextTokenizer> {
    let directory = tempfile::tempdir().unwrap();
    let mut tokenizer: Value =
        serde_json::from_str(&std::fs::read_to_string(format!("{ODD}/tokenizer.json")).unwrap()).unwrap();
    change(&mut tokenizer);
    std::fs::write(directory.path().join("tokenizer.json"), tokenizer.to_string()).unwrap();
    TextTokenizer::read(&ModelFiles::in_directory(directory.path()))
}

fn added(id: u32, content: &str, flags: [bool; 5]) -> Value {
    let [single_word, lstrip, rstrip, normalized, special] = flags;
    json!({"id": id, "content": content, "single_word": single_word, "lstrip": lstrip, "rstrip": rstrip,
           "normalized": normalized, "special": special})
}

/// A tokenizer with tokens of all kinds of flags.
fn domain() -> TextTokenizer {
    let tokens = [
        ("<drug>", [false; 5]),
        ("<drug>ged", [false; 5]),
        ("flea", [true, false, false, true, false]),
        ("\\n", [false, true, true, false, false]),
        (" cats", [false, true, false, false, false]),
        ("e\u{301}t", [false, false, false, true, false]),
        ("[ENT]", [false, false, false, false, true]),
        ("  ", [false; 5]),
        ("cats live on 12 farms", [false; 5]),
    ];
    changed(|tokenizer| {
        let list = tokenizer["added_tokens"].as_array_mut().unwrap();
        list.extend((420..).zip(tokens).map(|(id, (content, flags))| added(id, content, flags)));
    })
    .unwrap()
}

#[test]
fn control_tokens_in_a_text_are_text() {
    for tokenizer in [tokenizer(), domain()] {
        for token in ["<|im_end|>", "<think>", "</think>", "<|endoftext|>"] {
            let control = tokenizer.control_token(token).unwrap();
            let ids = tokenizer.encode(token).unwrap();
            assert!(!ids.contains(&control), "{token} became {ids:?}");
            assert!(ids.len() > 1);
        }
    }
}

#[test]
fn a_template_makes_control_tokens_of_what_it_uses() {
    let mut tokenizer = domain();
    let [drug, entity] = ["<drug>", "[ENT]"].map(|token| tokenizer.control_token(token).unwrap());
    assert_eq!(tokenizer.encode("<drug>[ENT]").unwrap(), [drug, entity]);
    tokenizer.keep_as_text("A flea:  {document} [ENT]").unwrap();
    let ids = tokenizer.encode("<drug>[ENT]  flea x").unwrap();
    assert!(ids[0] == drug && !ids.contains(&entity), "{ids:?}");
    assert!(ids.contains(&tokenizer.control_token("  ").unwrap()), "spaces are text: {ids:?}");
    assert!(ids.contains(&tokenizer.control_token("flea").unwrap()), "a word is text: {ids:?}");
    let mut control: Vec<&str> = tokenizer.control_tokens().map(|(token, _)| token).collect();
    control.sort_unstable();
    assert_eq!(control, ["</think>", "<think>", "<|endoftext|>", "<|im_end|>", "<|im_start|>", "[ENT]"]);
    let error = tokenizer.keep_as_text("\\n").unwrap_err().to_string();
    assert!(error.contains("`\\n`") && error.contains("lstrip"), "{error}");
    assert!(tokenizer.warnings().is_empty(), "{:?}", tokenizer.warnings());
}

#[test]
fn a_missing_control_token_is_named() {
    let error = tokenizer().control_token("<|im_middle|>").unwrap_err().to_string();
    assert!(error.contains("<|im_middle|>") && error.contains("tokenizer.json"), "{error}");
}

#[test]
fn the_pieces_of_a_unigram_model_are_not_its_control_tokens() {
    let pieces = json!([
        ["<s>", 0.0],
        ["<pad>", 0.0],
        ["</s>", 0.0],
        ["<unk>", 0.0],
        ["▁", -2.0],
        ["<", -3.0],
        ["s", -3.0],
        [">", -3.0],
        ["/", -3.0],
        ["▁a", -2.5],
        ["<mask>", 0.0]
    ]);
    let control = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"];
    let directory = tempfile::tempdir().unwrap();
    let list: Vec<Value> = [0, 1, 2, 3, 10]
        .into_iter()
        .zip(control)
        .map(|(id, token)| added(id, token, [false, false, false, false, true]))
        .chain([added(11, "<drug>", [false; 5])])
        .collect();
    let tokenizer = json!({"version": "1.0", "added_tokens": list, "normalizer": null, "post_processor": null,
        "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true},
        "decoder": null, "model": {"type": "Unigram", "unk_id": 3, "vocab": pieces, "byte_fallback": false}});
    std::fs::write(directory.path().join("tokenizer.json"), tokenizer.to_string()).unwrap();
    std::fs::write(directory.path().join("config.json"), r#"{"model_type": "xlm-roberta"}"#).unwrap();
    let tokenizer = TextTokenizer::read(&ModelFiles::in_directory(directory.path())).unwrap();
    assert_eq!(tokenizer.encode("<s> a</s>").unwrap(), [4, 5, 6, 7, 9, 5, 8, 6, 7]);
    assert_eq!(tokenizer.encode("a<drug> ü").unwrap(), [9, 11, 4, 3]);
    tokenizer.check_rows(12).unwrap();
    tokenizer.check_rows(11).unwrap_err();
}

#[test]
fn the_first_tokens_of_a_long_text_are_those_of_the_whole() {
    let sentence = "Fleas  live\n\n on 12 cats, 漢字と   e\u{301}tudes; ";
    let tokens = " the <drug>  \\n [ENT]e\u{301}t, flea cats <dru";
    let mut texts = vec![sentence.repeat(400), "a".repeat(30_000), " ".repeat(30_000)];
    texts.push(format!("{}{}", "word ".repeat(40), "x".repeat(20_000)));
    texts.push(format!("{sentence}{tokens}").repeat(200));
    texts.push(format!("word{}<drug>", " \n".repeat(10_000)));
    for (tokenizer, text) in
        [tokenizer(), domain()].iter().flat_map(|tokenizer| texts.iter().map(move |text| (tokenizer, text)))
    {
        let whole = tokenizer.encode(text).unwrap();
        for limit in [0, 1, 7, 40, 41, 500, whole.len() - 1, whole.len(), whole.len() + 9] {
            let (head, cut) = tokenizer.encode_up_to(text, limit).unwrap();
            assert_eq!(head, whole[..limit.min(whole.len())], "limit {limit} of {text:.20}");
            assert_eq!(cut, limit < whole.len());
        }
    }
}

#[test]
fn a_part_of_an_added_token_settles_nothing() {
    let tokenizer = domain();
    let settles = |head: &str, limit| {
        let encoding = tokenizer.text.encode(head, false).unwrap();
        tokenizer.margin.settles(head, &encoding, limit)
    };
    assert!(!settles("cats live on 12 far", 1), "it may become one token");
    let more = " 12".repeat(40);
    assert!(settles(&format!("cats live on 12 fares{more}"), 1));
    let spaces = "\n x".repeat(40);
    assert!(!settles(&format!("x{}", " ".repeat(400)), 1), "a token may take the spaces away");
    assert!(settles(&format!("x{spaces}"), 1));
}

const PIECES: [&str; 31] = [
    "<drug>",
    "<drug>ged",
    "<dr",
    "ug>",
    "ged",
    "flea",
    "s",
    " cats",
    "cats",
    "\\n",
    "\\",
    "n",
    "e",
    "\u{301}",
    "t",
    "[ENT]",
    "[EN",
    " ",
    " ",
    "  ",
    "\n",
    "\t",
    "12",
    "!",
    "<|im_end|>",
    "<|im_",
    "漢字",
    "word ",
    "cats live",
    " on 12",
    " farms",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_head_settles_only_what_no_continuation_changes(pieces in prop::collection::vec(prop::sample::select(&PIECES[..]), 0..70)) {
        let tokenizer = domain();
        let text = pieces.concat();
        let whole = tokenizer.encode(&text).unwrap();
        for end in (0..=text.len()).filter(|end| text.is_char_boundary(*end)) {
            let head = tokenizer.text.encode(&text[..end], false).unwrap();
            for limit in (1..=head.len()).filter(|limit| tokenizer.margin.settles(&text[..end], &head, *limit)) {
                prop_assert_eq!(&head.get_ids()[..limit], whole.get(..limit).unwrap_or_default(), "{:?}", &text[..end]);
            }
        }
    }
}
