//! A configuration becomes a description of the model.

use anyhow::Result;
use serde_json::Value;

use super::{Architecture, families};
use crate::fields::Fields;

impl Architecture {
    /// Describes the model of a `config.json`.
    ///
    /// # Errors
    /// If it is of a family that is not supported, or has a feature that is not.
    pub fn of_config(config: &Value) -> Result<Self> {
        families::describe(Fields::of(config)?)
    }

    /// The same without the head: it is another's matter, and what is described in its place is not meant.
    ///
    /// # Errors
    /// As [`Architecture::of_config`].
    pub fn without_head(config: &Value) -> Result<Self> {
        let mut config = config.clone();
        // The class and its labels are those of a head, or of a model without one.
        for name in ["architectures", "id2label", "label2id", "num_labels"] {
            config.as_object_mut().and_then(|fields| fields.remove(name));
        }
        Self::of_config(&config)
    }

    /// The same model under the other names that a checkpoint may give its tensors, where its configuration does not state
    /// which.
    pub fn under_other_names(&self) -> Vec<Self> {
        families::under_other_names(self)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::{HeadOutput, Heads, Linear};

    /// The 0.6B model's config.json, as transformers 4 wrote it, with changes.
    fn parse(changes: &Value) -> Result<Architecture> {
        let mut config = json!({
            "architectures": ["Qwen3ForCausalLM"], "attention_bias": false, "head_dim": 128, "hidden_act": "silu",
            "hidden_size": 1024, "intermediate_size": 3072, "max_position_embeddings": 40960, "max_window_layers": 28,
            "model_type": "qwen3", "num_attention_heads": 16, "num_hidden_layers": 28, "num_key_value_heads": 8,
            "rms_norm_eps": 1e-6, "rope_scaling": null, "rope_theta": 1_000_000, "sliding_window": null,
            "tie_word_embeddings": true, "torch_dtype": "bfloat16", "use_sliding_window": false, "vocab_size": 151_669
        });
        for (name, value) in changes.as_object().unwrap() {
            config[name] = value.clone();
        }
        Architecture::of_config(&config)
    }

    #[test]
    fn both_spellings_of_rope_are_read() {
        let theta = |model: &Architecture| model.layers[27].attention.rotary.unwrap().theta;
        let old = parse(&json!({})).unwrap();
        assert_eq!((theta(&old), old.layers[0].attention.heads), (1e6, Heads { query: 16, key: 8, head_dim: 128 }));
        assert_eq!(old.head.output, HeadOutput::Vocabulary(old.embedding.tokens.clone()));
        let new = parse(&json!({"rope_theta": null, "rope_parameters": {"rope_theta": 5e5, "rope_type": "default"}}))
            .unwrap();
        assert_eq!(theta(&new), 5e5);
    }

    #[test]
    fn a_converted_classifier_has_one_label() {
        let architectures = json!(["Qwen3ForSequenceClassification"]);
        let one = parse(&json!({"architectures": architectures, "id2label": {"0": "LABEL_0"}})).unwrap();
        assert_eq!(one.head.output, HeadOutput::Classifier(Linear::new("score", 1, 1024)));
        assert!(parse(&json!({"architectures": architectures, "num_labels": 2})).is_err());
    }

    #[test]
    fn encoders_that_transformers_5_has_stored_are_read() {
        for (model_type, class) in [
            ("bert", "BertForSequenceClassification"),
            ("roberta", "RobertaForSequenceClassification"),
            ("xlm-roberta", "XLMRobertaForSequenceClassification"),
            ("electra", "ElectraForSequenceClassification"),
        ] {
            let config = json!({
                "add_cross_attention": false, "architectures": [class], "attention_probs_dropout_prob": 0.1,
                "bos_token_id": null, "classifier_dropout": null, "dtype": "float32", "hidden_act": "gelu",
                "hidden_dropout_prob": 0.1, "hidden_size": 384, "id2label": {"0": "LABEL_0"}, "initializer_range": 0.02,
                "intermediate_size": 1536, "is_decoder": false, "label2id": {"LABEL_0": 0}, "layer_norm_eps": 1e-12,
                "max_position_embeddings": 512, "model_type": model_type, "num_attention_heads": 12,
                "num_hidden_layers": 6, "pad_token_id": 0, "tie_word_embeddings": true,
                "transformers_version": "5.23.0", "type_vocab_size": 2, "use_cache": true, "vocab_size": 30522
            });
            assert_eq!(Architecture::of_config(&config).unwrap().layers.len(), 6, "{model_type}");
        }
    }

    #[test]
    fn what_is_not_supported_is_refused_by_name() {
        for (changes, named) in [
            (json!({"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"]}), "the model_types qwen3, qwen2, "),
            (json!({"rope_scaling": {"type": "yarn", "factor": 4.0}}), "yarn"),
            (json!({"num_key_value_heads": 5}), "evenly"),
            (json!({"hidden_size": "big"}), "hidden_size is \"big\", and should be a whole number"),
            (json!({"hidden_size": null}), "has no hidden_size"),
            (json!({"max_position_embeddings": 1_000_000_000_000u64}), "max_position_embeddings is 1000000000000"),
            (json!({"rms_norm_eps": "small"}), "should be a number"),
            (json!({"architectures": "Qwen3ForCausalLM"}), "a list of texts"),
            (json!({"hidden_act": "quick_gelu"}), "quick_gelu"),
            (json!({"head_dim": 0}), "head_dim"),
            (json!({"hidden_size": 18_446_744_073_709_551_616f64}), "from 1 to 2147483647"),
            (json!({"is_causal": false}), "looks both ways"),
            (json!({"layer_types": vec!["sliding_attention"; 28]}), "`sliding_attention`"),
            (json!({"partial_rotary_factor": 0.5}), "partial_rotary_factor 0.5"),
            (
                json!({"rope_parameters": {"rope_theta": 1e6, "partial_rotary_factor": 0.25}}),
                "partial_rotary_factor 0.25",
            ),
            (json!({"rms_norm_eps": 1e300}), "far below 1"),
            (json!({"rope_theta": 1e-300}), "rope_theta is 1e-300"),
        ] {
            let message = format!("{:#}", parse(&changes).unwrap_err());
            assert!(message.contains(named), "{message}");
        }
    }
}
