//! Tokenizers in the metadata of GGUF files, against the `tokenizer.json` that the metadata were made of.

use proptest::prelude::*;
use rerank::checkpoint::{Extent, ModelFiles};
use rerank::recipe::{PairFrame, TextTokenizer};
use serde_json::{Value, json};

use crate::fixture::{Files, rerank};
use crate::gguf_metadata::{PLACE, bert, converted, modern_bert, qwen, roberta, with, write, xlm_roberta};

/// The tokenizer of a file that has this metadata and nothing else.
fn tokenizer(metadata: &Value) -> anyhow::Result<TextTokenizer> {
    let files = Files::in_memory();
    write(&files, metadata);
    let mut found = ModelFiles::in_directory(&files.path(""));
    found.find_gguf(None, Extent::Whole)?;
    TextTokenizer::read(&found)
}

/// The tokenizer of a folder of small tokenizers, in a model of this family.
fn official(name: &str, family: &str) -> TextTokenizer {
    let files = Files::in_memory();
    let folder = files.copy_model(&format!("{PLACE}/{name}"), "model");
    files.write("model/config.json", json!({"model_type": family}).to_string());
    TextTokenizer::read(&ModelFiles::in_directory(folder.as_ref())).unwrap()
}

fn warnings(metadata: &Value) -> String {
    tokenizer(metadata).unwrap().warnings().join("\n")
}

fn error(metadata: &Value) -> String {
    format!("{:#}", tokenizer(metadata).err().expect("the metadata are refused"))
}

/// Texts of many scripts, and what only looks like tokens.
fn texts() -> Vec<String> {
    let sentences = std::fs::read_to_string("scripts/reference/sentences.txt").unwrap();
    let pairs = std::fs::read_to_string("testdata/tokens/pairs.json").unwrap();
    let pairs: Value = serde_json::from_str(&pairs).unwrap();
    let of_pairs = pairs["pairs"].as_array().unwrap().iter().flat_map(|pair| pair.as_array().unwrap());
    let others = [
        "e\u{301}te\u{301} \u{1112}\u{1161}\u{11ab} ﬁ ½",
        "\t\r\n  two\u{3000}\u{a0}spaces  ",
        "[CLS] [SEP] <s></s><pad> <mask>",
        "[PAD1001] [PAD681] <|im_start|>user\n<|im_end|>",
        "▁the ##ing Ġthe",
        "1234567 3.14 ٣٤٥ DON'T we'll I'VE",
        "a\0b\u{1}\u{7f}\u{85}\u{200b}\u{feff} 👨‍👩‍👧 🇩🇪",
        "if (a<=b) { x+=1; }",
    ];
    let texts = sentences.lines().chain(of_pairs.filter_map(Value::as_str)).chain(others);
    texts.map(str::to_owned).collect()
}

#[test]
fn metadata_give_the_tokens_of_the_tokenizer_that_they_were_made_of() {
    let texts = texts();
    for (name, family, metadata) in [
        ("bert", "bert", bert()),
        ("xlm-roberta", "xlm-roberta", xlm_roberta()),
        ("roberta", "roberta", roberta()),
        ("modernbert", "modernbert", modern_bert()),
        ("qwen2", "qwen3", qwen()),
    ] {
        let (found, expected) = (tokenizer(&metadata).unwrap(), official(name, family));
        for text in &texts {
            assert_eq!(found.encode(text).unwrap(), expected.encode(text).unwrap(), "{name}: {text:?}");
        }
        let frame = |tokenizer: &TextTokenizer| PairFrame { left_out: false, ..tokenizer.pair_frame().unwrap() };
        assert_eq!(frame(&found), frame(&expected), "{name}");
        assert_eq!(found.around_text(), expected.around_text(), "{name}");
        let control = |tokenizer: &TextTokenizer| {
            let tokens = tokenizer.control_tokens().map(|(token, id)| (id, token.to_owned()));
            let mut tokens: Vec<_> = tokens.collect();
            tokens.sort();
            tokens
        };
        assert_eq!(control(&found), control(&expected), "{name}");
        assert_eq!(found.warnings().len(), usize::from(name == "bert"), "{name}: {:?}", found.warnings());
    }
}

/// The ways of cutting words that no small tokenizer has, on the vocabulary of one.
#[test]
fn the_name_of_a_pre_tokenizer_is_obeyed() {
    let llama = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
    let bytes = |own_words: bool| json!({"type": "ByteLevel", "add_prefix_space": false, "use_regex": own_words, "trim_offsets": true});
    let of_llama = json!({"type": "Sequence", "pretokenizers": [
        {"type": "Split", "pattern": {"Regex": llama}, "behavior": "Isolated", "invert": false},
        bytes(false),
    ]});
    for (name, pre_tokenizer, takes_words) in [("gpt-2", bytes(true), false), ("llama-bpe", of_llama, true)] {
        let mut metadata = qwen();
        metadata["tokenizer.ggml.pre"] = name.into();
        metadata["tokenizer.ggml.add_bos_token"] = false.into();
        let files = Files::in_memory();
        let folder = files.copy_model(&format!("{PLACE}/qwen2"), "model");
        let mut whole: Value = serde_json::from_str(&files.read("model/tokenizer.json")).unwrap();
        (whole["normalizer"], whole["pre_tokenizer"]) = (Value::Null, pre_tokenizer);
        whole["model"]["ignore_merges"] = takes_words.into();
        files.write("model/tokenizer.json", whole.to_string());
        files.write("model/tokenizer_config.json", json!({"tokenizer_class": "TokenizersBackend"}).to_string());
        let expected = TextTokenizer::read(&ModelFiles::in_directory(folder.as_ref())).unwrap();
        let found = tokenizer(&metadata).unwrap();
        for text in texts() {
            assert_eq!(found.encode(&text).unwrap(), expected.encode(&text).unwrap(), "{name}: {text:?}");
        }
    }
}

/// The whole program with and without a `tokenizer.json` beside the file.
#[test]
fn a_file_alone_scores_as_with_a_tokenizer_beside_it() {
    for (name, folder, pre, flags, arguments) in [
        ("xlm-roberta", "tokenizers/xlm-roberta", "default", [true; 3], &["--max-length", "128"][..]),
        ("modernbert", "tokenizers/modernbert", "modern-bert", [true, true, false], &[]),
        ("qwen2", "tokenizers/qwen2", "qwen2", [false; 3], &["--recipe", "mxbai-rerank-v2"]),
        ("qwen3-mixed", "odd-reranker", "qwen2", [false; 3], &["--recipe", "qwen3-reranker"]),
    ] {
        let folder = format!("testdata/{folder}");
        let file = std::fs::read(format!("testdata/gguf/{name}.gguf")).unwrap();
        let files = Files::new();
        let alone = files.write("alone.gguf", with(&file, &converted(&folder, pre, flags)));
        std::fs::create_dir(files.path("beside")).unwrap();
        let beside = files.write("beside/model.gguf", &file);
        for name in ["tokenizer.json", "tokenizer_config.json"] {
            std::fs::copy(format!("{folder}/{name}"), files.path("beside").join(name)).unwrap();
        }
        let options = ["--input", "testdata/candidates.jsonl", "--dtype", "f32"];
        let scored = |file: &str| rerank(&[&["--model", file], &options[..], arguments].concat());
        let (alone, beside) = (scored(&alone), scored(&beside));
        assert_eq!((alone.status, beside.status), (0, 0), "{name}: {}{}", alone.stderr, beside.stderr);
        assert_eq!(alone.stdout, beside.stdout, "{name}");
    }
}

#[test]
fn tokens_that_were_added_are_seen_in_texts() {
    for (mut metadata, content) in [(bert(), "▁<drug>"), (qwen(), "<drug>"), (xlm_roberta(), "<drug>")] {
        let tokens = metadata["tokenizer.ggml.tokens"].as_array_mut().unwrap();
        let id = tokens.len() - 2;
        tokens[id] = content.into();
        metadata["tokenizer.ggml.token_type"][id] = 4.into();
        let tokenizer = tokenizer(&metadata).unwrap();
        let ids = tokenizer.encode("the <drug>ged").unwrap();
        assert!(ids.contains(&(id as u32)), "{content}: {ids:?}");
        assert_eq!(tokenizer.added_token(id as u32), Some("<drug>"));
        let warnings = tokenizer.warnings().join("\n");
        assert!(warnings.contains("`<drug>`") && warnings.contains("lstrip"), "{warnings}");
    }
    let mut fills = qwen();
    let id = fills["tokenizer.ggml.tokens"].as_array().unwrap().len() - 1;
    fills["tokenizer.ggml.token_type"][id] = 4.into();
    assert_eq!(tokenizer(&fills).unwrap().added_token(id as u32), None, "older files mark rows without a token so");
}

#[test]
fn the_flags_of_the_metadata_place_tokens_around_texts() {
    let frame = |metadata: &Value, flags: [Option<bool>; 3]| {
        let mut metadata = metadata.clone();
        for (name, flag) in ["bos", "eos", "sep"].into_iter().zip(flags) {
            let name = format!("tokenizer.ggml.add_{name}_token");
            metadata.as_object_mut().unwrap().remove(&name);
            if let Some(flag) = flag {
                metadata[name] = flag.into();
            }
        }
        let frame = tokenizer(&metadata).unwrap().pair_frame().unwrap();
        (frame.before, frame.between, frame.after, frame.second_type)
    };
    let (cls, sep) = (2, 3);
    let usual = (vec![cls], vec![sep], vec![sep], Some(1));
    assert_eq!(frame(&bert(), [Some(true), Some(true), Some(false)]), usual);
    assert_eq!(frame(&bert(), [None; 3]), usual);
    assert_eq!(frame(&bert(), [Some(true), None, Some(true)]), usual, "as in older files");
    assert_eq!(frame(&bert(), [Some(false), Some(true), Some(false)]), (vec![], vec![sep], vec![sep], Some(1)));
    assert_eq!(frame(&bert(), [Some(true), Some(false), Some(false)]), (vec![cls], vec![], vec![], Some(0)));
    let mut one_type = bert();
    one_type["tokenizer.ggml.token_type_count"] = 1.into();
    assert_eq!(frame(&one_type, [None; 3]), (vec![cls], vec![sep], vec![sep], None));
    assert_eq!(frame(&xlm_roberta(), [None; 3]), (vec![0], vec![2, 2], vec![2], None));
    assert_eq!(frame(&xlm_roberta(), [Some(true), Some(true), Some(false)]), (vec![0], vec![2], vec![2], None));
    assert_eq!(frame(&qwen(), [None; 3]), (vec![], vec![], vec![], None));
    let end = qwen()["tokenizer.ggml.eos_token_id"].as_u64().unwrap() as u32;
    assert_eq!(frame(&qwen(), [None, Some(true), None]), (vec![], vec![end], vec![end], None));
}

#[test]
fn the_vocabulary_shows_how_its_texts_are_normalized() {
    let words = |metadata: &mut Value, words: &[&str]| {
        for (id, word) in (20..).zip(words) {
            metadata["tokenizer.ggml.tokens"][id] = format!("▁{word}").into();
        }
    };
    let ids = |metadata: &Value, text: &str| tokenizer(metadata).unwrap().encode(text).unwrap();
    let plain = bert();
    assert_eq!(ids(&plain, "Férry"), ids(&plain, "ferry"));
    let note = warnings(&plain);
    assert!(note.contains("m.gguf") && note.contains("normalizer.lowercase") && note.contains("no capitals"), "{note}");
    let mut accents = bert();
    words(&mut accents, &["für"]);
    assert_eq!(ids(&accents, "Für"), [20]);
    assert!(warnings(&accents).contains("strip_accents"), "{}", warnings(&accents));
    let mut few = bert();
    words(&mut few, &["Ferry"]);
    let refused = error(&few);
    assert!(
        refused.contains("`Ferry`") && refused.contains("too few") && refused.contains("tokenizer.json"),
        "{refused}"
    );
    let mut cased = bert();
    let capitals: Vec<String> = (1..30).map(|length| "Q".repeat(length)).collect();
    words(&mut cased, &capitals.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(ids(&cased, "QQ"), [21]);
    assert!(warnings(&cased).contains("capitals: they are not"), "{}", warnings(&cased));
    cased["tokenizer.ggml.normalizer.lowercase"] = true.into();
    assert_eq!(ids(&cased, "QQ"), ids(&cased, "qq"));
    assert_eq!(warnings(&cased), "");
}

#[test]
fn rows_without_a_token_change_nothing_and_what_is_not_obeyed_is_reported() {
    let mut metadata = xlm_roberta();
    let expected = tokenizer(&metadata).unwrap();
    // The vocabulary of SentencePiece lacks the mask, whose row is then without a token.
    let mask = metadata["tokenizer.ggml.mask_token_id"].as_u64().unwrap() as usize;
    metadata["tokenizer.ggml.tokens"][mask] = "[PAD1]".into();
    metadata["tokenizer.ggml.token_type"][mask] = 5.into();
    metadata["tokenizer.ggml.scores"][mask] = json!(-10000.);
    let found = tokenizer(&metadata).unwrap();
    for text in texts().iter().filter(|text| !text.contains("<mask>")) {
        assert_eq!(found.encode(text).unwrap(), expected.encode(text).unwrap(), "{text:?}");
    }
    metadata["tokenizer.ggml.remove_extra_whitespaces"] = false.into();
    metadata["tokenizer.ggml.new_rule"] = 1.into();
    let notes = warnings(&metadata);
    for part in ["remove_extra_whitespaces = false", "tokenizer.ggml.new_rule"] {
        assert!(notes.contains(part), "{notes}");
    }
    let whole = std::fs::read_to_string(format!("{PLACE}/bert/tokenizer.json")).unwrap();
    let whole = json!({"general.architecture": "bert", "tokenizer.huggingface.json": whole});
    let text = "the ferry leaves";
    assert_eq!(tokenizer(&whole).unwrap().encode(text).unwrap(), tokenizer(&bert()).unwrap().encode(text).unwrap());
}

const PREFIX: &str = "tokenizer.ggml.";

fn without(mut metadata: Value, name: &str) -> Value {
    metadata.as_object_mut().unwrap().remove(&format!("{PREFIX}{name}")).unwrap();
    metadata
}

fn set(mut metadata: Value, name: &str, value: impl Into<Value>) -> Value {
    metadata[format!("{PREFIX}{name}")] = value.into();
    metadata
}

fn at(mut metadata: Value, name: &str, index: usize, value: impl Into<Value>) -> Value {
    metadata[format!("{PREFIX}{name}")][index] = value.into();
    metadata
}

fn shorter(mut metadata: Value, name: &str) -> Value {
    metadata[format!("{PREFIX}{name}")].as_array_mut().unwrap().pop().unwrap();
    metadata
}

#[test]
fn other_and_damaged_metadata_are_refused_by_name() {
    for (metadata, words) in [
        (json!({"general.architecture": "qwen3"}), &["tokenizer.ggml.model", "without a tokenizer"][..]),
        (set(qwen(), "model", "llama"), &["tokenizer.ggml.model", "\"llama\"", "gpt2"]),
        (set(qwen(), "model", 7), &["tokenizer.ggml.model", "a whole number"]),
        (without(qwen(), "pre"), &["no tokenizer.ggml.pre"]),
        (set(qwen(), "pre", "default"), &["tokenizer.ggml.pre", "\"default\""]),
        (set(qwen(), "pre", "tekken"), &["tokenizer.ggml.pre", "\"tekken\"", "qwen2"]),
        (without(qwen(), "tokens"), &["no tokens", "tokenizer.ggml.tokens"]),
        (set(qwen(), "tokens", vec![1, 2]), &["tokenizer.ggml.tokens", "a list of texts"]),
        (without(qwen(), "token_type"), &["no tokenizer.ggml.token_type"]),
        (shorter(qwen(), "token_type"), &["token_type has 681 elements", "has 682"]),
        (at(qwen(), "token_type", 9, 7), &["token_type of token 9", "is 7"]),
        (at(qwen(), "tokens", 9, "Ġthe"), &["twice", "`Ġthe`", "tokenizer.ggml.tokens"]),
        (without(qwen(), "merges"), &["no tokenizer.ggml.merges"]),
        (at(qwen(), "merges", 3, "ab"), &["merge 3", "`ab`", "space between"]),
        (at(qwen(), "merges", 3, "a b c"), &["merge 3", "space between"]),
        (at(qwen(), "merges", 3, "a €"), &["merge 3", "`€` is no token"]),
        (at(set(qwen(), "merges", json!([])), "tokens", 0, "€"), &["no token for 1 of the bytes", "`!`"]),
        (set(qwen(), "eos_token_id", 5000), &["eos_token_id is 5000", "682 tokens"]),
        (set(qwen(), "eos_token_id", -1), &["eos_token_id", "a token's id"]),
        (set(qwen(), "add_bos_token", true), &["add_bos_token", "bos_token_id"]),
        (set(qwen(), "add_eos_token", "yes"), &["add_eos_token is a text", "true or false"]),
        (set(qwen(), "add_space_prefix", true), &["add_space_prefix"]),
        (set(bert(), "unknown_token_id", 1002), &["unknown_token_id is 1002", "no token"]),
        (set(bert(), "tokens", vec!["##a"; 1003]), &["no word that begins with `▁`"]),
        (without(xlm_roberta(), "scores"), &["no tokenizer.ggml.scores"]),
        (shorter(xlm_roberta(), "scores"), &["tokenizer.ggml.scores has", "elements"]),
        (at(xlm_roberta(), "scores", 9, 1e300), &["scores has inf"]),
        (at(xlm_roberta(), "token_type", 9, 6), &["tokens of bytes", "`<0x00>`"]),
        (at(xlm_roberta(), "precompiled_charsmap", 0, 300), &["precompiled_charsmap", "no byte"]),
        (set(xlm_roberta(), "precompiled_charsmap", vec![9, 0, 0, 0, 1]), &["precompiled_charsmap", "damaged"]),
    ] {
        let error = error(&metadata);
        assert!(error.contains("m.gguf"), "{error}");
        assert!(words.iter().all(|word| error.contains(word)), "{words:?}: {error}");
    }
    let files = Files::new();
    let name = write(&files, &qwen());
    let mut bytes = std::fs::read(&name).unwrap();
    let place = memchr::memmem::find(&bytes, "Ġthe".as_bytes()).unwrap();
    bytes[place + 1] = b'a';
    std::fs::write(&name, bytes).unwrap();
    rerank(&["--model", &name, "--input", "testdata/candidates.jsonl"])
        .fails(1, &["m.gguf", "tokenizer.ggml.tokens", "UTF-8"]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn no_metadata_end_the_program(
        kind in 0_usize..3,
        name in any::<prop::sample::Index>(),
        index in any::<prop::sample::Index>(),
        value in prop_oneof![
            any::<i32>().prop_map(Value::from),
            ".{0,3}".prop_map(Value::from),
            any::<bool>().prop_map(Value::from),
            Just(json!([])),
            prop::collection::vec(0_i64..9, 0..4).prop_map(Value::from),
        ],
    ) {
        let mut metadata = [bert, xlm_roberta, qwen][kind]();
        let names: Vec<String> = metadata.as_object().unwrap().keys().cloned().collect();
        let name = name.get(&names);
        match metadata[name].as_array_mut() {
            Some(list) if !list.is_empty() && !value.is_array() => *index.get_mut(list) = value,
            _ => metadata[name] = value,
        }
        if let Ok(tokenizer) = tokenizer(&metadata) {
            tokenizer.encode("The ferry 😀 \u{1}<s> [CLS]").ok();
        }
    }
}
