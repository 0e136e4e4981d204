//! Makes the tokenizer that the files describe, without the tokens that stand in the settings beside it.

use std::path::Path;

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde::Deserialize;
use serde_json::Value;
use tokenizers::models::bpe::BPE;
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::{AddedToken, ModelWrapper, Tokenizer};

use super::class::Class;
use super::files::{MOST_TOKENIZER, TokenizerFiles, Vocabulary};
use super::{charsmap, rebuilt, warnings};
use crate::checkpoint::{not_json, read_text};

/// The parts of a `tokenizer.json` that are looked at beside what the library reads.
#[derive(Deserialize)]
pub(super) struct Outline {
    #[serde(default)]
    pub(super) added_tokens: Vec<Numbered>,
    #[serde(default)]
    normalizer: Value,
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
            Vocabulary::Parts { words, merges } if [Class::Qwen2, Class::Roberta].contains(&class) => {
                Self::of_merges(words, merges)?
            }
            Vocabulary::Lines(path) if class == Class::Bert => Self::of_lines(path)?,
            Vocabulary::Parts { words: path, .. } | Vocabulary::Lines(path) => bail!(
                "{} is the older form of a tokenizer, which rerank reads with merges.txt for the classes Qwen2Tokenizer and \
                 RobertaTokenizer, and as vocab.txt for BertTokenizer; \
                 AutoTokenizer.from_pretrained(DIRECTORY).save_pretrained(DIRECTORY) in transformers makes a tokenizer.json \
                 of it",
                path.display()
            ),
        };
        match class {
            Class::AsStored => stored.check_random(files.vocabulary.path()),
            class => stored.rebuilt(class, files, warnings),
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
        charsmap::check(&outline.normalizer).with_context(|| path.display().to_string())?;
        let tokenizer = Tokenizer::from_bytes(text).map_err(|error| unreadable(&error.to_string()))?;
        Ok(Self { tokenizer, added_tokens: outline.added_tokens, unknown: outline.model.unk_id })
    }

    /// A word in each line, whose number is its id.
    fn of_lines(path: &Path) -> Result<Self> {
        read_text(path, MOST_TOKENIZER)?;
        let model = WordPiece::from_file(&path.to_string_lossy()).build();
        let model = model.map_err(|error| anyhow!("{} is not a vocabulary: {error}", path.display()))?;
        Ok(Self { tokenizer: Tokenizer::new(model), added_tokens: Vec::new(), unknown: None })
    }

    fn of_merges(words: &Path, merges: &Path) -> Result<Self> {
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

    /// The vocabulary in a tokenizer as a class makes it.
    fn rebuilt(mut self, class: Class, files: &TokenizerFiles, warnings: &mut Vec<String>) -> Result<Self> {
        let (tokenizer, unknown) = rebuilt::rebuilt(&self.tokenizer, class, files)?;
        if matches!(files.vocabulary, Vocabulary::Whole(..)) {
            let replaced = rebuilt::replaced(&self.tokenizer, &tokenizer)?;
            if !replaced.is_empty() {
                warnings.push(warnings::replaced(&replaced.join(", "), class, files));
            }
        }
        (self.tokenizer, self.unknown) = (tokenizer, unknown);
        Ok(self)
    }
}

/// What is wrong with a `tokenizer.json`, in words. `error` is the library's: where it speaks of its own types, it is left out.
fn problem(text: &str, error: &str) -> String {
    let value: Value = match serde_json::from_str(text) {
        Ok(value) => value,
        Err(error) => return not_json(&error).to_string(),
    };
    let Some(kind) =
        value.get("model").and_then(Value::as_object).map(|model| model.get("type").and_then(|kind| kind.as_str()))
    else {
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
