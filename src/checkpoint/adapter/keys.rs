//! The names of an adapter's tensors.

use anyhow::{Result, bail};

/// What stands before the names of the model that was trained.
const WRAPPER: &str = "base_model.model.";

/// What a tensor of an adapter is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// A part of what is added to the weights of a module.
    Part(String, Part),
    /// Values that stand in place of the model's, by the model's name.
    Whole(String),
}

/// The parts of what is added to a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    /// `(rank, inputs)`.
    A,
    /// `(outputs, rank)`.
    B,
    /// One value for each output.
    Bias,
    /// `(rank, rows)` of an embedding.
    EmbeddingA,
    /// `(features, rank)` of an embedding.
    EmbeddingB,
}

impl Key {
    /// Understands a name. Older versions of PEFT have the adapter's own name in it, mostly `default`.
    ///
    /// # Errors
    /// If it is that of another method.
    pub(super) fn parse(stored: &str) -> Result<Self> {
        let name = stored.strip_prefix(WRAPPER).unwrap_or(stored);
        if let Some((module, part)) = name.split_once(".lora_") {
            return match part_of(part) {
                Some(part) => Ok(Self::Part(module.to_owned(), part)),
                None if part.starts_with("magnitude_vector") => {
                    bail!("tensor {stored} is that of DoRA, which is not supported")
                }
                None => bail!("tensor {stored} is none of LoRA that rerank knows"),
            };
        }
        if name.contains(".token_adapter.") || name.contains(".trainable_tokens_") {
            bail!("tensor {stored} has rows of an embedding that were trained by themselves, which is not supported");
        }
        if let Some((module, rest)) = name.split_once(".modules_to_save.") {
            // `NAME.weight`, as the model has it in memory.
            let parameter = rest.split_once('.').map_or(rest, |(_, parameter)| parameter);
            return Ok(Self::Whole(format!("{module}.{parameter}")));
        }
        Ok(Self::Whole(name.replace(".base_layer.", ".")))
    }
}

/// The part that the rest of a name means, with the name of an adapter or without.
fn part_of(rest: &str) -> Option<Part> {
    let parts: Vec<&str> = rest.split('.').collect();
    match parts[..] {
        ["A", "weight"] | ["A", _, "weight"] => Some(Part::A),
        ["B", "weight"] | ["B", _, "weight"] => Some(Part::B),
        ["B", "bias"] | ["B", _, "bias"] => Some(Part::Bias),
        ["embedding_A"] | ["embedding_A", _] => Some(Part::EmbeddingA),
        ["embedding_B"] | ["embedding_B", _] => Some(Part::EmbeddingB),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_all_versions_are_understood() {
        let query = "model.layers.0.self_attn.q_proj";
        let part = |name: &str, part| (name.to_owned(), Key::Part(query.to_owned(), part));
        let whole = |name: &str, own: &str| (name.to_owned(), Key::Whole(own.to_owned()));
        for (name, key) in [
            part("base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight", Part::A),
            part("base_model.model.model.layers.0.self_attn.q_proj.lora_B.default.weight", Part::B),
            part("model.layers.0.self_attn.q_proj.lora_B.bias", Part::Bias),
            part("base_model.model.model.layers.0.self_attn.q_proj.lora_embedding_A", Part::EmbeddingA),
            part("base_model.model.model.layers.0.self_attn.q_proj.lora_embedding_B.default", Part::EmbeddingB),
            whole("base_model.model.score.weight", "score.weight"),
            whole("base_model.model.classifier.modules_to_save.default.out_proj.bias", "classifier.out_proj.bias"),
            whole("base_model.model.score.modules_to_save.weight", "score.weight"),
            whole("base_model.model.bert.pooler.dense.base_layer.bias", "bert.pooler.dense.bias"),
        ] {
            assert_eq!(Key::parse(&name).unwrap(), key, "{name}");
        }
        for (name, named) in [
            ("base_model.model.a.lora_magnitude_vector", "DoRA"),
            ("base_model.model.a.lora_diag.default", "a.lora_diag.default"),
            ("base_model.model.a.lora_A.b.c.weight", "none of LoRA"),
            ("base_model.model.embed_tokens.token_adapter.trainable_tokens_delta", "by themselves"),
        ] {
            let message = Key::parse(name).unwrap_err().to_string();
            assert!(message.contains(named), "{message}");
        }
    }
}
