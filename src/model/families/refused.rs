//! Models that are no rerankers of the kind that rerank runs, and why: they are refused by a sentence of their own.

use super::{Family, LONGEST_CLASS};
use crate::fields::Fields;

const LISTWISE: &str = "it is a listwise reranker, which reads all documents of a query in one prompt, so that a score depends on \
     the other documents; rerank scores each pair by itself";
const MULTIMODAL: &str = "it is a multimodal model, which reads images, too; rerank runs rerankers of texts only";
const LAYERWISE: &str = "it is a layerwise reranker, which scores at a layer that is chosen for each run, by code of its own, which \
     rerank does not run; bge-reranker-v2-m3 and bge-reranker-v2-gemma of the same makers are supported";
const ENCODER_DECODER: &str =
    "it has an encoder and a decoder (T5), as monoT5, and rerank runs models that are one of both";
const LATE: &str =
    "it is a late-interaction model (ColBERT), which compares the vectors of tokens and is no cross-encoder";

/// Architectures by the ends of their names, which the first that fits decides.
const ARCHITECTURES: [(&[&str], &str); 5] = [
    (&["JinaForRanking"], LISTWISE),
    (&["JinaVLForRanking", "VLForConditionalGeneration", "VLForSequenceClassification", "VLModel"], MULTIMODAL),
    (&["LayerWiseMiniCPMForCausalLM", "CostWiseGemmaForCausalLM"], LAYERWISE),
    (&["T5ForConditionalGeneration", "T5EncoderModel", "T5ForSequenceClassification"], ENCODER_DECODER),
    (&["ColBERT", "ColBERTModel"], LATE),
];

/// Parts of a configuration that only multimodal models have.
const OF_OTHER_SENSES: [&str; 5] =
    ["vision_config", "audio_config", "image_token_id", "image_token_index", "text_config"];

/// Heads by the ends of their classes' names, and what models with them are.
const HEADS: [(&str, &str); 8] = [
    ("ForMaskedLM", "a masked language model"),
    ("ForCausalLM", "a language model"),
    ("LMHeadModel", "a language model"),
    ("ForPreTraining", "a model before its training for a task"),
    ("ForTokenClassification", "a model that labels tokens"),
    ("ForQuestionAnswering", "a model that finds an answer in a text"),
    ("ForMultipleChoice", "a model that chooses among answers"),
    ("ForNextSentencePrediction", "a model that judges whether a sentence follows another"),
];

/// Why a model of another class can't be run, though its family is supported.
pub(super) fn other_class(class: &str, family: &Family) -> String {
    let runs: Vec<String> = family.classes.iter().map(|(class, models)| format!("{class} ({models})")).collect();
    let (runs, types) = (runs.join(", "), family.model_types.join(", "));
    let kind = HEADS.iter().find(|(end, _)| class.ends_with(end));
    let class: String = class.chars().take(LONGEST_CLASS).collect();
    match kind {
        Some((_, kind)) => format!(
            "its architecture {class} is {kind}, which has no head that scores pairs; of model_type {types} rerank runs {runs}"
        ),
        None => format!("its architecture {class} is none that rerank knows; of model_type {types} it runs {runs}"),
    }
}

/// Why a model of these classes can't be run, if there is more to say than that its family is unknown.
pub(super) fn reason(classes: &[&str], fields: Fields<'_>) -> Option<String> {
    let class = classes.first().copied().unwrap_or_default();
    let named = ARCHITECTURES.iter().find(|(ends, _)| ends.iter().any(|end| class.ends_with(end)));
    let reason = match named {
        Some((_, reason)) => reason,
        None if OF_OTHER_SENSES.iter().any(|name| fields.get(name).is_some()) => MULTIMODAL,
        None if fields.get("is_encoder_decoder").is_some_and(|value| value == true) => ENCODER_DECODER,
        None if class.ends_with("Model") && !class.ends_with("LMHeadModel") => {
            return Some(format!(
                "its architecture {class} has no head that scores: it is an embedding model, which gives a vector for each text, \
                 or a base model that was not trained as a reranker; a head in modules of sentence-transformers needs the \
                 modules.json that lists them"
            ));
        }
        None => return None,
    };
    Some(format!("{reason} (architecture {class})"))
}
