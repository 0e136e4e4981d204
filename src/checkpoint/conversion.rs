//! The commands that convert a model's files into those that rerank reads, for messages. None of them writes into the directory
//! that it reads: a wrong guess must not cost anybody a model.

use std::path::Path;

use serde_json::Value;

use crate::model::LONGEST_CLASS;

/// Ends of architectures' names, and the class of transformers that reads checkpoints of them.
const CLASSES: [(&str, &str); 6] = [
    ("ForSequenceClassification", "AutoModelForSequenceClassification"),
    ("ForCausalLM", "AutoModelForCausalLM"),
    ("LMHeadModel", "AutoModelForCausalLM"),
    ("ForMaskedLM", "AutoModelForMaskedLM"),
    ("ForConditionalGeneration", "AutoModelForSeq2SeqLM"),
    ("Model", "AutoModel"),
];

/// Where a model is, and what it is, as far as a conversion needs it.
#[derive(Debug, Default)]
pub(crate) struct Conversion {
    /// The directory, or the id on the hub.
    from: String,
    /// The name of new directories.
    stem: String,
    /// The class of transformers, where the configuration states the model's.
    class: Option<String>,
    is_on_hub: bool,
}

impl Conversion {
    /// The conversion of a directory, or of a model on the hub. `config` is its configuration.
    pub(super) fn new(from: &str, config: Option<&Value>) -> Self {
        let from = if from.len() > 1 { from.trim_end_matches('/') } else { from };
        // A directory such as `..` has no name to which something could be added.
        let is_named = Path::new(from).file_name().is_some();
        let stem = if is_named { from } else { "converted" };
        let architecture = config.and_then(|config| config.pointer("/architectures/0")?.as_str());
        Self { from: from.to_owned(), stem: stem.to_owned(), class: architecture.and_then(class_of), is_on_hub: false }
    }

    /// The same of a model on the hub, with new directories in the current one.
    pub(super) fn beside_nothing(self) -> Self {
        let name = self.stem.rsplit('/').next().unwrap_or_default().to_owned();
        Self { stem: name, is_on_hub: true, ..self }
    }

    /// The directory, or the id on the hub.
    pub(crate) fn place(&self) -> &str {
        &self.from
    }

    /// A file of the model, as `--model` takes it.
    pub(super) fn file(&self, name: &str) -> String {
        let by = if self.is_on_hub { ':' } else { '/' };
        format!("{}{by}{name}", self.from.trim_end_matches('/'))
    }

    /// The command that converts weights which transformers reads, with a further argument where it needs one.
    pub(super) fn weights(&self, argument: &str) -> String {
        let Self { from, stem, class, .. } = self;
        let Some(class) = class else {
            return format!(
                "convert them to safetensors with transformers: from_pretrained({from:?}{argument}) of the model's class, which no \
                 config.json states here, and save_pretrained(\"{stem}-safetensors\")"
            );
        };
        format!(
            "convert them to safetensors: {class}.from_pretrained({from:?}{argument}).save_pretrained(\"{stem}-safetensors\") in \
             transformers, and copy the tokenizer's files there"
        )
    }

    /// The command that converts the weights of modules.
    pub(super) fn modules(&self) -> String {
        let Self { from, stem, .. } = self;
        format!(
            "convert them to safetensors: CrossEncoder({from:?}).save_pretrained(\"{stem}-safetensors\") in sentence-transformers"
        )
    }

    /// The command that makes a `tokenizer.json`.
    pub(crate) fn tokenizer(&self) -> String {
        let Self { from, stem, .. } = self;
        format!(
            "AutoTokenizer.from_pretrained({from:?}).save_pretrained(\"{stem}-tokenizer\") in transformers makes a tokenizer.json of \
             it; copy that into the model's directory"
        )
    }
}

/// The class of transformers for an architecture, of which it has many by their own names.
fn class_of(architecture: &str) -> Option<String> {
    let is_name = architecture.len() <= LONGEST_CLASS && architecture.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let of_end = CLASSES.iter().find(|(end, _)| architecture.ends_with(end)).map(|(_, class)| *class);
    is_name.then(|| of_end.unwrap_or(architecture).to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_class_is_that_of_the_configuration_and_nothing_is_written_over() {
        for (from, architecture, command) in [
            ("w-bin", "BertForSequenceClassification", "AutoModelForSequenceClassification.from_pretrained(\"w-bin\")"),
            (
                "a/b/",
                "Qwen3ForCausalLM",
                "AutoModelForCausalLM.from_pretrained(\"a/b\").save_pretrained(\"a/b-safetensors\")",
            ),
            ("..", "BertModel", "AutoModel.from_pretrained(\"..\").save_pretrained(\"converted-safetensors\")"),
            ("m", "BertForNextSentencePrediction", "BertForNextSentencePrediction.from_pretrained(\"m\")"),
            ("m", "os.system('x')", "of the model's class"),
        ] {
            let conversion = Conversion::new(from, Some(&json!({"architectures": [architecture]})));
            assert!(conversion.weights("").contains(command), "{}", conversion.weights(""));
        }
        let hub = Conversion::new("owner/name", None).beside_nothing();
        assert!(
            hub.tokenizer().contains("(\"owner/name\").save_pretrained(\"name-tokenizer\")"),
            "{}",
            hub.tokenizer()
        );
    }
}
