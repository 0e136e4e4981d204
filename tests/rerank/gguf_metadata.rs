//! Writes metadata into GGUF files, and makes those of a tokenizer as llama.cpp's converter does.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::fixture::Files;

/// Where the small tokenizers are.
pub const PLACE: &str = "testdata/tokenizers";
/// Magic, version, and how many tensors and names there are.
const HEAD: usize = 24;
/// Where tensors are placed.
const ALIGNMENT: usize = 32;

/// A file of no tensors.
pub fn empty() -> Vec<u8> {
    [&b"GGUF"[..], &3_u32.to_le_bytes(), &[0; 16]].concat()
}

/// A file with more metadata, which an object has by its names. Those that the file has stay as they are.
pub fn with(file: &[u8], metadata: &Value) -> Vec<u8> {
    let mut added = Vec::new();
    let mut count = u64::from_le_bytes(file[16..HEAD].try_into().unwrap());
    for (name, value) in metadata.as_object().unwrap() {
        if memchr::memmem::find(file, name.as_bytes()).is_none() {
            text(&mut added, name);
            put(&mut added, value);
            count += 1;
        }
    }
    // The tensors stay where they are aligned.
    text(&mut added, "general.description");
    let length = added.len() + 4 + 8;
    put(&mut added, &" ".repeat(length.next_multiple_of(ALIGNMENT) - length).into());
    [&file[..16], &(count + 1).to_le_bytes(), &added, &file[HEAD..]].concat()
}

fn text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend((text.len() as u64).to_le_bytes());
    bytes.extend(text.as_bytes());
}

/// A value behind the number of its type.
fn put(bytes: &mut Vec<u8>, value: &Value) {
    let Value::Array(list) = value else {
        bytes.extend(kind(value).to_le_bytes());
        return plain(bytes, value, kind(value));
    };
    let kinds = || list.iter().map(kind);
    // A list of numbers has one type.
    let kind = if kinds().any(|kind| kind == 6) { 6 } else { kinds().max().unwrap_or(8) };
    bytes.extend(9_u32.to_le_bytes());
    bytes.extend(kind.to_le_bytes());
    bytes.extend((list.len() as u64).to_le_bytes());
    list.iter().for_each(|value| plain(bytes, value, kind));
}

fn kind(value: &Value) -> u32 {
    match value {
        Value::String(_) => 8,
        Value::Bool(_) => 7,
        Value::Number(number) if number.is_f64() => 6,
        _ => 5,
    }
}

fn plain(bytes: &mut Vec<u8>, value: &Value, kind: u32) {
    match kind {
        8 => text(bytes, value.as_str().unwrap_or_default()),
        7 => bytes.push(value.as_bool().unwrap_or_default().into()),
        6 => bytes.extend((value.as_f64().unwrap_or_default() as f32).to_le_bytes()),
        _ => bytes.extend((value.as_i64().unwrap_or_default() as i32).to_le_bytes()),
    }
}

fn json_of(path: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// A token as the converter collects it.
struct Token {
    id: u64,
    content: String,
    kind: i64,
    score: f64,
}

/// The tokens of a `tokenizer.json`, and three rows without a token behind them.
fn tokens(file: &Value) -> Vec<Token> {
    let model = &file["model"];
    let mut tokens: Vec<Token> = match &model["vocab"] {
        Value::Object(words) => {
            let token = |(word, id): (&String, &Value)| (id.as_u64().unwrap(), word.clone(), 0.);
            words.iter().map(token).map(|(id, content, score)| Token { id, content, kind: 1, score }).collect()
        }
        pieces => {
            let pieces = pieces.as_array().unwrap().iter().zip(0..);
            let token = |(piece, id): (&Value, u64)| {
                let [content, score] = [0, 1].map(|part| &piece[part]);
                Token { id, content: content.as_str().unwrap().to_owned(), kind: 1, score: score.as_f64().unwrap() }
            };
            pieces.map(token).collect()
        }
    };
    for added in file["added_tokens"].as_array().unwrap() {
        let (id, content) = (added["id"].as_u64().unwrap(), added["content"].as_str().unwrap().to_owned());
        let is_special = added["special"] == true;
        let kind = if model["unk_id"] == id {
            2
        } else if is_special {
            3
        } else {
            4
        };
        tokens.retain(|token| token.id != id);
        tokens.push(Token { id, content, kind, score: 0. });
    }
    tokens.sort_by_key(|token| token.id);
    let used = tokens.len() as u64;
    tokens.extend((used..used + 3).map(|id| Token { id, content: format!("[PAD{id}]"), kind: 5, score: -10000. }));
    tokens
}

/// The metadata that `convert_hf_to_gguf.py` makes of a tokenizer's directory, with these flags for the tokens around texts.
pub fn converted(directory: &str, pre: &str, flags: [bool; 3]) -> Value {
    let file = json_of(&format!("{directory}/tokenizer.json"));
    let settings = json_of(&format!("{directory}/tokenizer_config.json"));
    let (model, tokens) = (&file["model"], tokens(&file));
    let is_word_piece = model["type"] == "WordPiece";
    let stored = |token: &Token| match token.content.strip_prefix("##") {
        _ if !is_word_piece || token.kind == 3 => token.content.clone(),
        Some(rest) => rest.to_owned(),
        None => format!("▁{}", token.content),
    };
    let kind = match model["type"].as_str().unwrap() {
        "BPE" => "gpt2",
        "WordPiece" => "bert",
        _ => "t5",
    };
    let [bos, eos, sep] = flags;
    let mut metadata = json!({
        "tokenizer.ggml.model": kind,
        "tokenizer.ggml.pre": pre,
        "tokenizer.ggml.tokens": tokens.iter().map(stored).collect::<Vec<_>>(),
        "tokenizer.ggml.token_type": tokens.iter().map(|token| token.kind).collect::<Vec<_>>(),
        "tokenizer.ggml.add_bos_token": bos,
        "tokenizer.ggml.add_eos_token": eos,
        "tokenizer.ggml.add_sep_token": sep,
    });
    if kind == "t5" {
        metadata["tokenizer.ggml.scores"] = tokens.iter().map(|token| token.score).collect::<Vec<_>>().into();
    }
    if let Some(merges) = model["merges"].as_array() {
        let merges = merges.iter().map(|pair| format!("{} {}", pair[0].as_str().unwrap(), pair[1].as_str().unwrap()));
        metadata["tokenizer.ggml.merges"] = merges.collect::<Vec<_>>().into();
    }
    let tables = file["normalizer"]["normalizers"].as_array().into_iter().flatten().chain([&file["normalizer"]]);
    if let Some(table) = tables.filter_map(|part| part["precompiled_charsmap"].as_str()).next() {
        // Some writers store bytes with a sign.
        let bytes = STANDARD.decode(table).unwrap().into_iter().map(|byte| byte as i8);
        metadata["tokenizer.ggml.precompiled_charsmap"] = bytes.collect::<Vec<_>>().into();
    }
    let ids = ["bos", "eos", "unknown", "seperator", "padding", "cls", "mask"];
    for (key, role) in ids.into_iter().zip(["bos", "eos", "unk", "sep", "pad", "cls", "mask"]) {
        let token = &settings[format!("{role}_token")];
        let token = token.as_str().or(token["content"].as_str());
        if let Some(token) = token.and_then(|content| tokens.iter().find(|token| token.content == content)) {
            metadata[format!("tokenizer.ggml.{key}_token_id")] = token.id.into();
        }
    }
    metadata
}

/// The metadata of the small tokenizers, with the architecture that they are in.
pub fn bert() -> Value {
    of("bert", converted(&format!("{PLACE}/bert"), "default", [true, true, false]))
}

pub fn xlm_roberta() -> Value {
    of("bert", converted(&format!("{PLACE}/xlm-roberta"), "default", [true; 3]))
}

pub fn roberta() -> Value {
    of("bert", converted(&format!("{PLACE}/roberta"), "roberta-bpe", [true; 3]))
}

pub fn modern_bert() -> Value {
    of("modern-bert", converted(&format!("{PLACE}/modernbert"), "modern-bert", [true, true, false]))
}

pub fn qwen() -> Value {
    of("qwen3", converted(&format!("{PLACE}/qwen2"), "qwen2", [false; 3]))
}

fn of(architecture: &str, mut metadata: Value) -> Value {
    metadata["general.architecture"] = architecture.into();
    metadata
}

/// Writes a file of metadata alone into a directory of its own, and gives the file's name.
pub fn write(files: &Files, metadata: &Value) -> String {
    files.write("m.gguf", with(&empty(), metadata))
}
