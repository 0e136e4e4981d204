//! Makes a tokenizer as a class of transformers 5 does that takes the vocabulary of `tokenizer.json` only: the other parts, and
//! the model's settings, are the class's own.

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde_json::{Value, json};
use tokenizers::models::bpe::BPE;
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::{BertNormalizer, NFC};
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::{Model, ModelWrapper, NormalizerWrapper, PreTokenizerWrapper, Tokenizer};

use super::class::Class;
use super::files::TokenizerFiles;
use super::{sentence_piece, unigram};

/// How Qwen cuts a text into words.
pub(super) const QWEN2_WORDS: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// The vocabulary of a stored tokenizer with the parts of a class, and the id of a Unigram model's unknown token. Its
/// post-processor stays as it is.
pub(super) fn rebuilt(stored: &Tokenizer, class: Class, files: &TokenizerFiles) -> Result<(Tokenizer, Option<usize>)> {
    let path = files.vocabulary.path();
    let parts = match class {
        Class::AsStored => return Ok((stored.clone(), None)),
        Class::Qwen2 => qwen2(stored, files),
        Class::Bert => bert(stored, files),
        Class::XlmRoberta => unigram::xlm_roberta(stored, files),
        Class::Roberta => roberta(stored, files),
        Class::Gemma => sentence_piece::gemma(stored, files),
        Class::Llama => sentence_piece::llama(stored, files),
        Class::DebertaV2 => unigram::deberta_v2(stored, files),
    };
    let parts = parts.with_context(|| path.display().to_string())?;
    let mut tokenizer = Tokenizer::new(parts.model);
    let with_normalizer = tokenizer.with_normalizer(parts.normalizer);
    with_normalizer.map_err(|error| anyhow!("{}: {error}", path.display()))?;
    tokenizer.with_pre_tokenizer(Some(parts.pre_tokenizer));
    tokenizer.with_post_processor(stored.get_post_processor().cloned());
    Ok((tokenizer, parts.unknown))
}

/// The parts that a class makes.
pub(super) struct Parts {
    pub(super) model: ModelWrapper,
    /// The id of a Unigram model's unknown token.
    pub(super) unknown: Option<usize>,
    pub(super) normalizer: Option<NormalizerWrapper>,
    pub(super) pre_tokenizer: PreTokenizerWrapper,
}

fn qwen2(stored: &Tokenizer, files: &TokenizerFiles) -> Result<Parts> {
    let prefix_space = files.config.field(|fields| fields.flag("add_prefix_space"))?;
    let pre_tokenizer = json!({
        "type": "Sequence",
        "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": QWEN2_WORDS}, "behavior": "Isolated", "invert": false},
            {"type": "ByteLevel", "add_prefix_space": prefix_space, "trim_offsets": true, "use_regex": false},
        ],
    });
    Ok(Parts {
        model: bpe(stored, Class::Qwen2)?.into(),
        unknown: None,
        normalizer: Some(NFC.into()),
        pre_tokenizer: serde_json::from_value(pre_tokenizer)?,
    })
}

fn roberta(stored: &Tokenizer, files: &TokenizerFiles) -> Result<Parts> {
    let prefix_space = files.config.field(|fields| fields.flag("add_prefix_space"))?;
    let pre_tokenizer =
        json!({"type": "ByteLevel", "add_prefix_space": prefix_space, "trim_offsets": true, "use_regex": true});
    Ok(Parts {
        model: bpe(stored, Class::Roberta)?.into(),
        unknown: None,
        normalizer: None,
        pre_tokenizer: serde_json::from_value(pre_tokenizer)?,
    })
}

/// The vocabulary and merges of a BPE model, without further settings.
pub(super) fn bpe(stored: &Tokenizer, class: Class) -> Result<BPE> {
    let ModelWrapper::BPE(stored) = stored.get_model() else { bail!("{}", other_model(class, "BPE")) };
    let affixes = [&stored.continuing_subword_prefix, &stored.end_of_word_suffix];
    ensure!(
        affixes.iter().all(|affix| affix.as_ref().is_none_or(String::is_empty)),
        "it marks parts of words by a prefix or a suffix, which the tokenizer class {} does not",
        class.name()
    );
    let mut model = stored.clone();
    (model.dropout, model.unk_token, model.fuse_unk) = (None, None, false);
    (model.byte_fallback, model.ignore_merges) = (false, false);
    (model.continuing_subword_prefix, model.end_of_word_suffix) = (None, None);
    Ok(model)
}

fn bert(stored: &Tokenizer, files: &TokenizerFiles) -> Result<Parts> {
    let ModelWrapper::WordPiece(model) = stored.get_model() else { bail!("{}", other_model(Class::Bert, "WordPiece")) };
    let config = &files.config;
    let or_true = |name: &str| config.field(|fields| fields.flag_or_true(name));
    let strips =
        config.field(|fields| fields.get("strip_accents").map(|_| fields.flag("strip_accents")).transpose())?;
    let unknown = config.unknown_token("[UNK]");
    ensure!(
        model.token_to_id(&unknown).is_some(),
        "its vocabulary has no `{unknown}`, the token of unknown words (unk_token of {})",
        config.name
    );
    let mut model = model.clone();
    model.unk_token = unknown;
    model.continuing_subword_prefix = "##".to_owned();
    model.max_input_chars_per_word = 100;
    Ok(Parts {
        model: model.into(),
        unknown: None,
        normalizer: Some(
            BertNormalizer::new(true, or_true("tokenize_chinese_chars")?, strips, or_true("do_lower_case")?).into(),
        ),
        pre_tokenizer: BertPreTokenizer.into(),
    })
}

pub(super) fn other_model(class: Class, kind: &str) -> String {
    format!("it holds no {kind} model, which the tokenizer class {} is", class.name())
}

/// The parts of a stored tokenizer that give other tokens than those of the tokenizer that replaces it.
pub(super) fn replaced(stored: &Tokenizer, new: &Tokenizer) -> Result<Vec<&'static str>> {
    let mut parts = Vec::new();
    let normalizer = |tokenizer: &Tokenizer| tokenizer.get_normalizer().map(canonical::<NormalizerWrapper>).transpose();
    if normalizer(stored)? != normalizer(new)? {
        parts.push("the normalizer");
    }
    let pre = |tokenizer: &Tokenizer| tokenizer.get_pre_tokenizer().map(canonical::<PreTokenizerWrapper>).transpose();
    if pre(stored)? != pre(new)? {
        parts.push("the pre_tokenizer");
    }
    match (stored.get_model(), new.get_model()) {
        (ModelWrapper::BPE(stored), ModelWrapper::BPE(new)) => {
            let settings = |model: &BPE| {
                let BPE { unk_token, fuse_unk, byte_fallback, ignore_merges, .. } = model;
                let dropout = model.dropout.is_some_and(|share| share != 0.);
                (dropout, unk_token.clone(), *fuse_unk, *byte_fallback, *ignore_merges)
            };
            if settings(stored) != settings(new) {
                parts.push("the model's settings (dropout, unk_token, fuse_unk, byte_fallback, ignore_merges)");
            }
        }
        (ModelWrapper::WordPiece(stored), ModelWrapper::WordPiece(new)) => {
            let settings = |model: &WordPiece| {
                let WordPiece { unk_token, continuing_subword_prefix, max_input_chars_per_word, .. } = model;
                (unk_token.clone(), continuing_subword_prefix.clone(), *max_input_chars_per_word)
            };
            if settings(stored) != settings(new) {
                parts.push("the model's settings (unk_token, continuing_subword_prefix, max_input_chars_per_word)");
            }
        }
        (ModelWrapper::Unigram(stored), ModelWrapper::Unigram(new))
            if stored.byte_fallback() != new.byte_fallback() =>
        {
            parts.push("the model's byte_fallback");
        }
        _ => {}
    }
    Ok(parts)
}

/// A part as JSON, without what changes offsets only. A sequence of one part is that part.
fn canonical<T: serde::Serialize>(part: &T) -> Result<Value> {
    let mut value = serde_json::to_value(part)?;
    for list in ["pretokenizers", "normalizers"] {
        if let Some([only]) = value.get(list).and_then(Value::as_array).map(Vec::as_slice) {
            value = only.clone();
        }
    }
    let parts = value.get_mut("pretokenizers").and_then(Value::as_array_mut);
    for part in parts.into_iter().flatten().filter_map(Value::as_object_mut) {
        part.remove("trim_offsets");
    }
    if let Some(part) = value.as_object_mut() {
        part.remove("trim_offsets");
    }
    Ok(value)
}
