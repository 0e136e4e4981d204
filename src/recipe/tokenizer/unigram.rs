//! The classes of transformers whose model is a Unigram: a list of pieces with their scores.

use anyhow::{Result, anyhow, bail, ensure};
use serde_json::{Value, json};
use tokenizers::models::unigram::Unigram;
use tokenizers::{ModelWrapper, NormalizerWrapper, Tokenizer};

use super::class::Class;
use super::files::TokenizerFiles;
use super::rebuilt::{Parts, other_model};

/// The id of the unknown token, in every tokenizer of the class XLMRobertaTokenizer.
const XLM_ROBERTA_UNKNOWN: usize = 3;
/// The same of DebertaV2Tokenizer, where no piece of the score 0 is that token.
const DEBERTA_V2_UNKNOWN: usize = 1;

pub(super) fn xlm_roberta(stored: &Tokenizer, files: &TokenizerFiles) -> Result<Parts> {
    let model = model(pieces(stored, Class::XlmRoberta)?, XLM_ROBERTA_UNKNOWN)?;
    let scheme = if files.config.field(|fields| fields.flag_or_true("add_prefix_space"))? { "always" } else { "never" };
    let pre_tokenizer = json!({
        "type": "Sequence",
        "pretokenizers": [
            {"type": "WhitespaceSplit"},
            {"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": true},
        ],
    });
    Ok(Parts {
        model,
        unknown: Some(XLM_ROBERTA_UNKNOWN),
        normalizer: stored.get_normalizer().and_then(precompiled),
        pre_tokenizer: serde_json::from_value(pre_tokenizer)?,
    })
}

/// SentencePiece's own normalizer among those of a tokenizer.
fn precompiled(normalizer: &NormalizerWrapper) -> Option<NormalizerWrapper> {
    match normalizer {
        NormalizerWrapper::Precompiled(_) => Some(normalizer.clone()),
        NormalizerWrapper::Sequence(sequence) => sequence.as_ref().iter().find_map(precompiled),
        _ => None,
    }
}

/// DebertaV2Tokenizer, whose normalizer is not SentencePiece's.
pub(super) fn deberta_v2(stored: &Tokenizer, files: &TokenizerFiles) -> Result<Parts> {
    let config = &files.config;
    let [lowers, splits, spaces] = config.field(|fields| {
        Ok([fields.flag("do_lower_case")?, fields.flag("split_by_punct")?, fields.flag_or_true("add_prefix_space")?])
    })?;
    let pieces = pieces(stored, Class::DebertaV2)?;
    let word = config.unknown_token("[UNK]");
    let of_word = pieces.iter().position(|(piece, score)| *piece == word && *score == 0.);
    let given = config.field(|fields| fields.count_from_zero("unk_id"))?;
    let unknown = of_word.or(given).unwrap_or(DEBERTA_V2_UNKNOWN);
    let normalizers = [
        lowers.then(|| json!({"type": "Lowercase"})),
        Some(json!({"type": "Replace", "pattern": {"Regex": r"\s{2,}|[\n\r\t]"}, "content": " "})),
        Some(json!({"type": "NFC"})),
        Some(json!({"type": "Strip", "strip_left": false, "strip_right": true})),
    ];
    let scheme = if spaces { "always" } else { "first" };
    let pre_tokenizers = [
        splits.then(|| json!({"type": "Punctuation", "behavior": "Isolated"})),
        Some(json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": true})),
    ];
    let listed = |parts: &[Option<Value>]| parts.iter().flatten().cloned().collect::<Vec<_>>();
    let normalizer = json!({"type": "Sequence", "normalizers": listed(&normalizers)});
    let pre_tokenizer = json!({"type": "Sequence", "pretokenizers": listed(&pre_tokenizers)});
    Ok(Parts {
        model: model(pieces, unknown)?,
        unknown: Some(unknown),
        normalizer: Some(serde_json::from_value(normalizer)?),
        pre_tokenizer: serde_json::from_value(pre_tokenizer)?,
    })
}

/// The pieces of a stored model.
fn pieces(stored: &Tokenizer, class: Class) -> Result<Vec<(String, f64)>> {
    let ModelWrapper::Unigram(model) = stored.get_model() else { bail!("{}", other_model(class, "Unigram")) };
    Ok(model.iter().cloned().collect())
}

fn model(pieces: Vec<(String, f64)>, unknown: usize) -> Result<ModelWrapper> {
    ensure!(pieces.len() > unknown, "its vocabulary has only {} pieces", pieces.len());
    Ok(Unigram::from(pieces, Some(unknown), false).map_err(|error| anyhow!("{error}"))?.into())
}
