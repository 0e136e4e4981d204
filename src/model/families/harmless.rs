//! Fields of a config.json that do not change what a model computes for a prompt. Anything else must be understood by the
//! model's family: a field that nobody knows may change the scores.

use anyhow::{Result, ensure};
use serde_json::Value;

use super::Family;
use crate::fields::Fields;

/// Fields that have no effect where a prompt is scored.
const HARMLESS: [&str; 111] = [
    // What the file is, and who wrote it.
    "_commit_hash",
    "_name_or_path",
    "_num_labels",
    "architectures",
    "cell",
    "dtype",
    "emb_size",
    "finetuning_task",
    "id2label",
    "label2id",
    "language",
    "license",
    "model_type",
    "name_or_path",
    "num_labels",
    "output_past",
    "pre_trained",
    "problem_type",
    "structure",
    "task_specific_params",
    "tokenizer_class",
    "torch_dtype",
    "training",
    "transformers.js_config",
    "transformers_version",
    "unsloth_fixed",
    "unsloth_version",
    // How weights are stored, which those who read them know.
    "compression_config",
    "quantization",
    "quantization_config",
    // What the recipe reads.
    "sbert_ce_default_activation_function",
    "sentence_transformers",
    // Tokens, which the tokenizer and the recipe know.
    "bos_token_id",
    "cls_token_id",
    "decoder_start_token_id",
    "eos_token_id",
    "eos_token_ids",
    "mask_token_id",
    "pad_token_id",
    "sep_token_id",
    "unk_token_id",
    // How it was trained, and how weights begin.
    "attention_dropout",
    "attention_probs_dropout_prob",
    "classifier_dropout",
    "dropout",
    "embd_pdrop",
    "embedding_dropout",
    "gradient_checkpointing",
    "hidden_dropout",
    "hidden_dropout_prob",
    "initializer_factor",
    "initializer_range",
    "mlp_dropout",
    "qa_dropout",
    "resid_pdrop",
    "seq_classif_dropout",
    "summary_last_dropout",
    "use_bfloat16",
    // How transformers computes, which changes rounding at most, and what it returns.
    "_attn_implementation",
    "_attn_implementation_autoset",
    "_attn_implementation_internal",
    "attn_implementation",
    "chunk_size_feed_forward",
    "keys_to_ignore_at_inference",
    "output_attentions",
    "output_hidden_states",
    "return_dict",
    "tf_legacy_loss",
    "torchscript",
    "use_flash_attn",
    "use_cache",
    "use_return_dict",
    // Which weights are one while it is trained, and heads of other classes of the family.
    "directionality",
    "pooler_fc_size",
    "pooler_num_attention_heads",
    "pooler_num_fc_layers",
    "pooler_size_per_head",
    "pooler_type",
    "summary_activation",
    "summary_type",
    "summary_use_proj",
    "tie_weights_",
    // Writing texts.
    "bad_words_ids",
    "begin_suppress_tokens",
    "diversity_penalty",
    "do_sample",
    "early_stopping",
    "encoder_no_repeat_ngram_size",
    "exponential_decay_length_penalty",
    "forced_bos_token_id",
    "forced_eos_token_id",
    "generation_config",
    "length_penalty",
    "max_length",
    "max_new_tokens",
    "min_length",
    "no_repeat_ngram_size",
    "num_beam_groups",
    "num_beams",
    "num_return_sequences",
    "output_scores",
    "prefix",
    "remove_invalid_values",
    "repetition_penalty",
    "return_dict_in_generate",
    "suppress_tokens",
    "temperature",
    "top_k",
    "top_p",
    "typical_p",
    "use_reentrant",
];

/// Fields that have no effect as long as they are off.
const OFF: [&str; 6] = [
    "add_cross_attention",
    "cross_attention_hidden_size",
    "is_encoder_decoder",
    "pruned_heads",
    "tie_encoder_decoder",
    "use_mrope",
];

/// Refuses a configuration with fields that neither the family nor this list knows, or that needs code which the family does
/// not stand for.
///
/// # Errors
/// A sentence that names them.
pub(super) fn check(fields: Fields<'_>, family: &Family) -> Result<()> {
    check_code(fields, family)?;
    for name in OFF {
        let is_off = |value: &Value| match value {
            Value::Bool(on) => !on,
            Value::Object(map) => map.is_empty(),
            Value::Array(list) => list.is_empty(),
            _ => false,
        };
        ensure!(fields.get(name).is_none_or(is_off), "{name} is not supported");
    }
    let own = fields.get("auto_map").map(|_| "auto_map");
    let known: Vec<&str> =
        family.read.iter().copied().flatten().chain(&own).chain(&HARMLESS).chain(&OFF).copied().collect();
    let others = fields.others(&known);
    ensure!(
        others.is_empty(),
        "it has fields that this version of rerank does not know, and which may change the scores: {}; if they have nothing to \
         do with what the model computes, remove them from the file",
        others.join(", ")
    );
    Ok(())
}

/// Refuses code of a model's own, unless the family computes what this code does.
fn check_code(fields: Fields<'_>, family: &Family) -> Result<()> {
    let Some(code) = fields.get("auto_map") else { return Ok(()) };
    let configuration = code["AutoConfig"].as_str().unwrap_or_default();
    // The class stands behind the file, and that behind the repository, if it is another.
    let class = configuration.rsplit('.').next().unwrap_or_default();
    ensure!(
        family.code.contains(&class),
        "its model is computed by code of its own (auto_map: {}), which rerank does not run",
        match configuration {
            "" => code.as_object().and_then(|map| map.keys().next()).map_or("", String::as_str),
            configuration => configuration,
        }
    );
    Ok(())
}
