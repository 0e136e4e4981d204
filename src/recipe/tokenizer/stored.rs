//! Makes the tokenizer that the files describe, without the tokens that stand in the settings beside it.

use std::path::Path;

use anyhow::{Result, anyhow, bail, ensure};
use serde::Deserialize;
use serde_json::{Value, json};
use tokenizers::models::bpe::BPE;
use tokenizers::normalizers::NFC;
use tokenizers::{AddedToken, ModelWrapper, NormalizerWrapper, PreTokenizerWrapper, Tokenizer};

use super::class::Class;
use super::files::{MOST_TOKENIZER, TokenizerFiles, Vocabulary};
use crate::checkpoint::{not_json, read_text};

/// The parts of a `tokenizer.json` that are looked at beside what the library reads.
#[derive(Deserialize)]
pub(super) struct Outline {
    #[serde(default)]
    pub(super) added_tokens: Vec<Numbered>,
    #[serde(default)]
    pub(super) pre_tokenizer: Value,
    #[serde(default)]
    pub(super) decoder: Value,
    model: ModelOutline,
}

/// A token with the id that the file gives it.
#[derive(Deserialize)]
pub(super) struct Numbered {
    pub(super) id: u32,
    #[serde(flatten)]
    pub(super) token: AddedToken,
}

#[derive(Deserialize)]
struct ModelOutline {
    r#type: Option<String>,
    unk_id: Option<usize>,
    continuing_subword_prefix: Option<String>,
}

/// A tokenizer, and what its file has beside it.
pub(super) struct Stored {
    pub(super) tokenizer: Tokenizer,
    /// The tokens of the file's list, with their ids there.
    pub(super) added_tokens: Vec<Numbered>,
    /// The id of the unknown token, where the model has one.
    pub(super) unknown: Option<usize>,
}

impl Stored {
    /// Makes the tokenizer as a class does. What a class replaces becomes a warning.
    pub(super) fn read(files: &TokenizerFiles, class: Class, warnings: &mut Vec<String>) -> Result<Self> {
        let stored = match &files.vocabulary {
            Vocabulary::Whole(path, text) => Self::parse(path, text)?,
            Vocabulary::Parts { words, merges } if class == Class::Qwen2 => Self::older(words, merges)?,
            Vocabulary::Parts { words, .. } => bail!(
                "{} and merges.txt are the older form of a tokenizer, which rerank reads for the class Qwen2Tokenizer \
                 only; AutoTokenizer.from_pretrained(DIRECTORY).save_pretrained(DIRECTORY) in transformers makes a \
                 tokenizer.json of it",
                words.display()
            ),
        };
        match class {
            Class::AsStored => stored.check_random(files.vocabulary.path()),
            Class::Qwen2 => stored.rebuilt(files, warnings),
        }
    }

    fn parse(path: &Path, text: &str) -> Result<Self> {
        let unreadable = |error: &str| {
            anyhow!("{} is not a tokenizer that rerank can read: {}", path.display(), problem(text, error))
        };
        let outline: Outline = serde_json::from_str(text).map_err(|error| unreadable(&error.to_string()))?;
        // The library panics where a merge has a part that is shorter than the prefix.
        let prefix = outline.model.continuing_subword_prefix.as_deref().unwrap_or_default();
        ensure!(
            prefix.is_empty() || outline.model.r#type.as_deref().is_some_and(|kind| kind != "BPE"),
            "{} has the continuing_subword_prefix `{prefix}` in its BPE model, which is not supported; set it to null if \
             the parts of words in its vocabulary are not marked by it",
            path.display()
        );
        let tokenizer = Tokenizer::from_bytes(text).map_err(|error| unreadable(&error.to_string()))?;
        Ok(Self { tokenizer, added_tokens: outline.added_tokens, unknown: outline.model.unk_id })
    }

    fn older(words: &Path, merges: &Path) -> Result<Self> {
        read_text(words, MOST_TOKENIZER)?;
        let names = [words, merges].map(|path| path.to_string_lossy().into_owned());
        let model = BPE::from_file(&names[0], &names[1]).build().map_err(|error| {
            anyhow!("{} and {} are not a vocabulary with its merges: {error}", words.display(), merges.display())
        })?;
        Ok(Self { tokenizer: Tokenizer::new(model), added_tokens: Vec::new(), unknown: None })
    }

    /// Refuses what makes tokens random.
    fn check_random(self, path: &Path) -> Result<Self> {
        if let ModelWrapper::BPE(model) = self.tokenizer.get_model() {
            ensure!(
                model.dropout.is_none_or(|share| share == 0.),
                "{} has a dropout of {} in its model, with which transformers tokenizes a text differently each time; \
                 set it to null",
                path.display(),
                model.dropout.unwrap_or_default()
            );
        }
        Ok(self)
    }

    /// The vocabulary in a tokenizer as `Qwen2Tokenizer` makes it.
    fn rebuilt(mut self, files: &TokenizerFiles, warnings: &mut Vec<String>) -> Result<Self> {
        let path = files.vocabulary.path();
        let ModelWrapper::BPE(stored) = self.tokenizer.get_model() else {
            bail!("{} holds no BPE model, which the tokenizer class Qwen2Tokenizer is", path.display())
        };
        let affixes = [&stored.continuing_subword_prefix, &stored.end_of_word_suffix];
        ensure!(
            affixes.iter().all(|affix| affix.as_ref().is_none_or(String::is_empty)),
            "{} marks parts of words by a prefix or a suffix, which the tokenizer class Qwen2Tokenizer does not",
            path.display()
        );
        let mut model = stored.clone();
        (model.dropout, model.unk_token, model.fuse_unk) = (None, None, false);
        (model.byte_fallback, model.ignore_merges) = (false, false);
        (model.continuing_subword_prefix, model.end_of_word_suffix) = (None, None);
        let mut tokenizer = Tokenizer::new(model);
        let with_normalizer = tokenizer.with_normalizer(Some(NFC));
        with_normalizer.map_err(|error| anyhow!("{}: {error}", path.display()))?;
        let prefix_space = files.config.field(|fields| fields.flag("add_prefix_space"))?;
        tokenizer.with_pre_tokenizer(Some(qwen2_pre_tokenizer(prefix_space)?));
        tokenizer.with_post_processor(self.tokenizer.get_post_processor().cloned());
        if matches!(files.vocabulary, Vocabulary::Whole(..)) {
            let replaced = replaced(&self.tokenizer, &tokenizer)?;
            if !replaced.is_empty() {
                warnings.push(format!(
                    "{} of {} differ from those of its class Qwen2Tokenizer, which transformers 5 uses in their place, \
                     and so does rerank; if the file is right as it stands, set tokenizer_class in tokenizer_config.json \
                     to \"TokenizersBackend\"",
                    replaced.join(", "),
                    path.display()
                ));
            }
        }
        self.tokenizer = tokenizer;
        Ok(self)
    }
}

/// How Qwen cuts a text into words.
const QWEN2_WORDS: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

fn qwen2_pre_tokenizer(add_prefix_space: bool) -> Result<PreTokenizerWrapper> {
    Ok(serde_json::from_value(json!({
        "type": "Sequence",
        "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": QWEN2_WORDS}, "behavior": "Isolated", "invert": false},
            {"type": "ByteLevel", "add_prefix_space": add_prefix_space, "trim_offsets": true, "use_regex": false},
        ],
    }))?)
}

/// The parts of a stored tokenizer that give other tokens than those of the tokenizer that replaces it.
fn replaced(stored: &Tokenizer, new: &Tokenizer) -> Result<Vec<&'static str>> {
    let mut parts = Vec::new();
    let normalizer = |tokenizer: &Tokenizer| tokenizer.get_normalizer().map(canonical::<NormalizerWrapper>).transpose();
    if normalizer(stored)? != normalizer(new)? {
        parts.push("the normalizer");
    }
    let pre = |tokenizer: &Tokenizer| tokenizer.get_pre_tokenizer().map(canonical::<PreTokenizerWrapper>).transpose();
    if pre(stored)? != pre(new)? {
        parts.push("the pre_tokenizer");
    }
    if let ModelWrapper::BPE(model) = stored.get_model() {
        let dropout = model.dropout.is_some_and(|share| share != 0.);
        if dropout || model.unk_token.is_some() || model.fuse_unk || model.byte_fallback || model.ignore_merges {
            parts.push("the model's settings (dropout, unk_token, fuse_unk, byte_fallback, ignore_merges)");
        }
    }
    Ok(parts)
}

/// A part as JSON, without what changes offsets only.
fn canonical<T: serde::Serialize>(part: &T) -> Result<Value> {
    let mut value = serde_json::to_value(part)?;
    let parts = value.get_mut("pretokenizers").and_then(Value::as_array_mut);
    for part in parts.into_iter().flatten().filter_map(Value::as_object_mut) {
        part.remove("trim_offsets");
    }
    Ok(value)
}

/// What is wrong with a `tokenizer.json`, in words. `error` is the library's: where it speaks of its own types, it is left out.
fn problem(text: &str, error: &str) -> String {
    let value: Value = match serde_json::from_str(text) {
        Ok(value) => value,
        Err(error) => return not_json(&error).to_string(),
    };
    let Some(kind) = value["model"].as_object().map(|model| model.get("type").and_then(|kind| kind.as_str())) else {
        return "it has no `model`, the part that defines how words become tokens; is it another of the model's files?"
            .to_owned();
    };
    const TYPES: [&str; 7] =
        ["missing field", "unknown field", "expected ", "variant", "untagged", "invalid type", "invalid value"];
    if TYPES.iter().any(|words| error.contains(words)) {
        let kind = kind.unwrap_or("not given");
        return format!(
            "one of its parts is damaged or newer than this version of rerank knows (its model's type is {kind})"
        );
    }
    error.to_owned()
}
