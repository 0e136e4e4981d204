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
    /// `BertTokenizer`: the same, and the post-processor, too.
    Bert,
    /// `XLMRobertaTokenizer`: as the former; SentencePiece's normalizer is the file's.
    XlmRoberta,
    /// `RobertaTokenizer`: as the former.
    Roberta,
    /// `GemmaTokenizer`: as Qwen2's.
    Gemma,
    /// `LlamaTokenizer`: as Qwen2's.
    Llama,
    /// `DebertaV2Tokenizer`: as BERT's.
    DebertaV2,
}

/// The one of BERT's classes that makes no token types.
const DISTILBERT: &str = "DistilBertTokenizer";
/// The roles of tokens where a file does not mention them.
const OF_QWEN2: [(&str, &str); 3] =
    [("eos_token", "<|endoftext|>"), ("unk_token", "<|endoftext|>"), ("pad_token", "<|endoftext|>")];
const OF_BERT: [(&str, &str); 5] = [
    ("unk_token", "[UNK]"),
    ("sep_token", "[SEP]"),
    ("pad_token", "[PAD]"),
    ("cls_token", "[CLS]"),
    ("mask_token", "[MASK]"),
];
const OF_ROBERTA: [(&str, &str); 7] = [
    ("bos_token", "<s>"),
    ("eos_token", "</s>"),
    ("unk_token", "<unk>"),
    ("sep_token", "</s>"),
    ("pad_token", "<pad>"),
    ("cls_token", "<s>"),
    ("mask_token", "<mask>"),
];
const OF_GEMMA: [(&str, &str); 5] = [
    ("bos_token", "<bos>"),
    ("eos_token", "<eos>"),
    ("unk_token", "<unk>"),
    ("pad_token", "<pad>"),
    ("mask_token", "<mask>"),
];
const OF_DEBERTA_V2: [(&str, &str); 7] = [
    ("bos_token", "[CLS]"),
    ("eos_token", "[SEP]"),
    ("unk_token", "[UNK]"),
    ("sep_token", "[SEP]"),
    ("pad_token", "[PAD]"),
    ("cls_token", "[CLS]"),
    ("mask_token", "[MASK]"),
];
const OF_LLAMA: [(&str, &str); 3] = [("bos_token", "<s>"), ("eos_token", "</s>"), ("unk_token", "<unk>")];
/// The one class that is not used for files of byte-level tokenizers, which name it all the same.
const LLAMA: &str = "LlamaTokenizer";
const DEBERTA_V2: &str = "DebertaV2Tokenizer";
/// The classes that are no family's own.
const GENERAL: [&str; 3] = ["TokenizersBackend", "PythonBackend", "PreTrainedTokenizer"];

impl Class {
    /// The class that AutoTokenizer of transformers 5 chooses.
    pub(super) fn of(files: &TokenizerFiles) -> Result<Self> {
        let named = named(files)?;
        let short = named.map(|(class, _)| class.strip_suffix("Fast").unwrap_or(class));
        let family = family(files)?;
        if short == Some(LLAMA) && family != "qwen2" && is_byte_level(files) {
            return Ok(Self::AsStored);
        }
        let Some(usual) = Self::of_family(family) else {
            // Files of ModernBERT and Mistral name classes by mistake.
            let named = short.filter(|_| !["modernbert", "mistral"].contains(&family)).and_then(Self::of_name);
            return Ok(named.unwrap_or(Self::AsStored));
        };
        let (Some((class, file)), Some(short)) = (named, short) else { return Ok(usual) };
        match Self::of_name(short) {
            // transformers takes every other class that is named beside this family for a mistake.
            _ if family == "qwen2" => Ok(usual),
            Some(class) => Ok(class),
            None if GENERAL.contains(&short) => Ok(Self::AsStored),
            None => bail!(
                "the model's {file} names the tokenizer class {class}, which builds its tokenizer by rules of its own; \
                 rerank knows those of {} for this family. If tokenizer.json is right as it stands, set \
                 tokenizer_class to \"TokenizersBackend\"",
                usual.name()
            ),
        }
    }

    fn of_family(family: &str) -> Option<Self> {
        match family {
            "qwen2" | "qwen3" => Some(Self::Qwen2),
            "bert" | "distilbert" | "electra" => Some(Self::Bert),
            "xlm-roberta" | "gte" => Some(Self::XlmRoberta),
            "roberta" => Some(Self::Roberta),
            "gemma" => Some(Self::Gemma),
            "deberta-v2" => Some(Self::DebertaV2),
            _ => None,
        }
    }

    fn of_name(name: &str) -> Option<Self> {
        match name {
            "Qwen2Tokenizer" => Some(Self::Qwen2),
            "BertTokenizer" | "ElectraTokenizer" | DISTILBERT => Some(Self::Bert),
            "XLMRobertaTokenizer" => Some(Self::XlmRoberta),
            "RobertaTokenizer" => Some(Self::Roberta),
            "GemmaTokenizer" => Some(Self::Gemma),
            LLAMA => Some(Self::Llama),
            DEBERTA_V2 => Some(Self::DebertaV2),
            _ => None,
        }
    }

    /// The class's name in transformers.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::AsStored => "TokenizersBackend",
            Self::Qwen2 => "Qwen2Tokenizer",
            Self::Bert => "BertTokenizer",
            Self::XlmRoberta => "XLMRobertaTokenizer",
            Self::Roberta => "RobertaTokenizer",
            Self::Gemma => "GemmaTokenizer",
            Self::Llama => LLAMA,
            Self::DebertaV2 => DEBERTA_V2,
        }
    }

    /// The tokens of roles that a file does not mention.
    pub(super) fn roles(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::AsStored => &[],
            Self::Qwen2 => &OF_QWEN2,
            Self::Bert => &OF_BERT,
            Self::XlmRoberta | Self::Roberta => &OF_ROBERTA,
            Self::Gemma => &OF_GEMMA,
            Self::Llama => &OF_LLAMA,
            Self::DebertaV2 => &OF_DEBERTA_V2,
        }
    }

    /// Whether the types of tokens are among what a model is given.
    pub(super) fn gives_types(self, files: &TokenizerFiles) -> Result<bool> {
        let inputs = files.config.field(|fields| fields.texts("model_input_names"))?;
        let is_distilbert = named(files)?.is_some_and(|(class, _)| class.starts_with(DISTILBERT));
        Ok(match self {
            _ if !inputs.is_empty() => inputs.contains(&"token_type_ids"),
            Self::Bert => !is_distilbert,
            Self::DebertaV2 => true,
            Self::AsStored | Self::Qwen2 | Self::XlmRoberta | Self::Roberta | Self::Gemma | Self::Llama => false,
        })
    }
}

/// The class that a file names, and the file.
fn named(files: &TokenizerFiles) -> Result<Option<(&str, &str)>> {
    Ok(match files.config.field(|fields| fields.text("tokenizer_class"))? {
        Some(class) => Some((class, files.config.name)),
        None => files.model.field(|fields| fields.text("tokenizer_class"))?.map(|class| (class, files.model.name)),
    })
}

/// The model's family. jina-reranker-v2's configuration has its class only.
fn family(files: &TokenizerFiles) -> Result<&str> {
    if let Some(family) = files.model.field(|fields| fields.text("model_type"))? {
        return Ok(family);
    }
    Ok(match files.model.field(|fields| fields.texts("architectures"))?.first() {
        Some(&"XLMRobertaForSequenceClassification") => "xlm-roberta",
        // A tokenizer without a configuration is taken for Qwen3-Reranker's.
        _ => "qwen3",
    })
}

fn is_byte_level(files: &TokenizerFiles) -> bool {
    let Vocabulary::Whole(_, text) = &files.vocabulary else { return false };
    let Ok(outline) = serde_json::from_str::<Outline>(text) else { return false };
    let has = |part: &Value| part.get("type").is_some_and(|kind| kind == "ByteLevel");
    let parts = outline.pre_tokenizer.get("pretokenizers").and_then(Value::as_array).into_iter().flatten();
    parts.chain([&outline.pre_tokenizer, &outline.decoder]).any(has)
}
