//! Which of transformers' tokenizer classes a checkpoint names: some of them take `tokenizer.json` as it is, others take its
//! vocabulary only and build the rest anew.

use anyhow::{Result, bail};
use serde_json::Value;

use super::files::{TokenizerFiles, Vocabulary};
use super::stored::Outline;

/// A tokenizer class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// The file is taken as it is (`TokenizersBackend`, which older versions call `PreTrainedTokenizerFast`).
    AsStored,
    /// `Qwen2Tokenizer`: normalizer, pre-tokenizer and the model's settings are the class's own.
    Qwen2,
}

const QWEN2: &str = "Qwen2Tokenizer";
/// The classes that are no family's own.
const GENERAL: [&str; 3] = ["TokenizersBackend", "PythonBackend", "PreTrainedTokenizer"];

impl Class {
    /// The class that AutoTokenizer of transformers 5 chooses.
    pub(super) fn of(files: &TokenizerFiles) -> Result<Self> {
        let named = files.config.field(|fields| fields.text("tokenizer_class"))?;
        let named = match named {
            Some(class) => Some((class, files.config.name)),
            None => files.model.field(|fields| fields.text("tokenizer_class"))?.map(|class| (class, files.model.name)),
        };
        // A tokenizer without a configuration is taken for Qwen3-Reranker's.
        let family = files.model.field(|fields| fields.text("model_type"))?.unwrap_or("qwen3");
        if !["qwen2", "qwen3"].contains(&family) {
            return Ok(Self::AsStored);
        }
        let Some((class, file)) = named else { return Ok(Self::Qwen2) };
        match class.strip_suffix("Fast").unwrap_or(class) {
            QWEN2 => Ok(Self::Qwen2),
            // transformers takes every other class that is named beside this family for a mistake.
            _ if family == "qwen2" => Ok(Self::Qwen2),
            "LlamaTokenizer" if is_byte_level(files) => Ok(Self::AsStored),
            short if GENERAL.contains(&short) => Ok(Self::AsStored),
            _ => bail!(
                "the model's {file} names the tokenizer class {class}, which builds its tokenizer by rules of its own; \
                 rerank knows those of {QWEN2} for this family. If tokenizer.json is right as it stands, set \
                 tokenizer_class to \"TokenizersBackend\""
            ),
        }
    }
}

fn is_byte_level(files: &TokenizerFiles) -> bool {
    let Vocabulary::Whole(_, text) = &files.vocabulary else { return false };
    let Ok(outline) = serde_json::from_str::<Outline>(text) else { return false };
    let has = |part: &Value| part["type"] == "ByteLevel";
    let parts = outline.pre_tokenizer["pretokenizers"].as_array().into_iter().flatten();
    parts.chain([&outline.pre_tokenizer, &outline.decoder]).any(has)
}
