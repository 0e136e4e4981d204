//! Which tensors of a quantized checkpoint change nothing, and which must not be quantized.

use anyhow::{Result, ensure};

use crate::checkpoint::Weights;
use crate::model::{Architecture, HeadOutput};

/// Parts of modules for those who quantize activations, or keys and values, which rerank does not.
const OF_ACTIVATIONS: [&str; 9] = [
    "input_scale",
    "input_zero_point",
    "output_scale",
    "output_zero_point",
    "activation_scale",
    "q_scale",
    "k_scale",
    "v_scale",
    "k_zero_point",
];

impl Weights {
    /// Whether a tensor is one that quantizing added, and that changes no weights.
    pub(in crate::checkpoint) fn changes_no_weights(&self, name: &str) -> bool {
        if self.quantization().is_none() {
            return false;
        }
        let Some((module, last)) = name.rsplit_once('.') else { return false };
        // Some give every quantized layer a bias, of zeros where it had none.
        let is_zero = || {
            self.stored_entry(&format!("{module}.qweight")).is_some()
                && self
                    .stored_entry(name)
                    .is_some_and(|(_, file, entry)| file.bytes(entry).iter().all(|byte| *byte == 0))
        };
        OF_ACTIVATIONS.contains(&last) || (last == "bias" && is_zero())
    }

    /// Refuses a head that is quantized by itself. One that is the embedding has rows as good as the embedding's.
    ///
    /// # Errors
    /// A sentence with its name and what to do.
    pub(in crate::checkpoint) fn check_head(&self, architecture: &Architecture) -> Result<()> {
        let Some(quantization) = self.quantization() else { return Ok(()) };
        let (head, is_whole) = match &architecture.head.output {
            HeadOutput::Vocabulary(head) => {
                (head, *head == architecture.embedding.tokens || quantization.scheme.quantizes_heads())
            }
            HeadOutput::Answers { rows, .. } => (rows, false),
            HeadOutput::Classifier(linear) => (&linear.weight, false),
        };
        ensure!(
            is_whole || !quantization.has(self, head),
            "{}: the head ({}) is quantized, and scores are but its products: integers of a single row leave few digits of them, \
             and other engines give 0 or NaN; quantize the model again with its head left out (in ignore, \
             modules_to_not_convert, or lm_head: false)",
            self.description(),
            head.name
        );
        Ok(())
    }
}
