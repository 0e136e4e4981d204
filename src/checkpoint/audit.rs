//! Whether a checkpoint has what a description names, and nothing that it does not name.

use std::collections::HashSet;

use anyhow::{Result, bail, ensure};

use super::Weights;
use super::tensor_names::{Harmless, LM_HEAD, bare, harmless};
use crate::model::{Answers, Architecture, HeadOutput, Tensor};

impl Weights {
    /// Decides between a head and an embedding that a configuration calls the same, as transformers does: where only one of
    /// them is stored, it is both; where both are, and the rows of the answers differ, the head is used. Returns what users
    /// should know about that.
    ///
    /// # Errors
    /// If the rows can't be read.
    pub fn resolve_tied_head(
        &self,
        architecture: &mut Architecture,
        answers: Option<Answers>,
    ) -> Result<Option<String>> {
        let embedding = architecture.embedding.tokens.clone();
        let HeadOutput::Vocabulary(head) = &mut architecture.head.output else { return Ok(None) };
        let own = Tensor { name: LM_HEAD.to_owned(), ..embedding.clone() };
        if *head != embedding || !self.has(&own) {
            return Ok(None);
        }
        if !self.has(&embedding) {
            architecture.embedding.tokens = own.clone();
            *head = own;
            return Ok(None);
        }
        let tokens = answers.into_iter().flat_map(|Answers { yes, no }| [Some(yes), no]).flatten();
        for token in tokens {
            if self.row(&own, token as usize)? != self.row(&embedding, token as usize)? {
                *head = own;
                let is_of_adapter = self.adapter.as_ref().is_some_and(|merged| merged.whole(LM_HEAD).is_some());
                return Ok(Some(match is_of_adapter {
                    true => format!(
                        "the base model's head is its embedding, and the adapter has another head ({LM_HEAD}), which is used"
                    ),
                    false => format!(
                        "config.json states that the head is the embedding (tie_word_embeddings), and the checkpoint's {LM_HEAD} \
                         differs from it: {LM_HEAD} is used, as in transformers"
                    ),
                }));
            }
        }
        Ok(None)
    }

    /// Takes the other names that a model's tensors may have, where the checkpoint has those.
    pub fn resolve_names(&self, architecture: &mut Architecture) {
        let is_here = |architecture: &Architecture| architecture.tensors().iter().all(|tensor| self.has(tensor));
        if is_here(architecture) {
            return;
        }
        if let Some(other) = architecture.under_other_names().into_iter().find(is_here) {
            *architecture = other;
        }
    }

    /// Checks all tensors that a model reads, before memory is allocated by the sizes that its configuration gives, and that
    /// there are no others. Returns what is there and not used.
    ///
    /// # Errors
    /// If a tensor is missing, of another shape or type, there twice, or there and not read though it may matter.
    pub fn check(&self, architecture: &Architecture) -> Result<Vec<String>> {
        self.check_head(architecture)?;
        let embedding = &architecture.embedding.tokens;
        let is_embedding = matches!(&architecture.head.output, HeadOutput::Vocabulary(head) if head == embedding);
        let read = self.read_by(architecture, is_embedding)?;
        let mut seen = HashSet::new();
        for name in self.names() {
            ensure!(seen.insert(name), "{}: tensor {name} is there twice, in two files", self.description());
        }
        let is_unread = |name: &&String| !read.contains(name.as_str()) && !self.changes_no_weights(name);
        let mut unread: Vec<&String> = seen.into_iter().filter(is_unread).collect();
        unread.sort_unstable();
        if let Some(name) = unread.iter().find(|name| self.place(name).0 != self.description()) {
            let (place, own) = self.place(name);
            bail!("{place}: tensor {own} is not part of the module that the config.json beside it describes");
        }
        // More of the head that is in use, such as its bias, would change the scores.
        let of_head = |name: &str| bare(name).starts_with(architecture.head_prefix()) && !name.ends_with("head.weight");
        let (heads, others): (Vec<_>, Vec<_>) = unread
            .into_iter()
            .filter(|name| !matches!(harmless(name), Some(Harmless::Table)))
            .partition(|name| matches!(harmless(name), Some(Harmless::Head)) && !of_head(name));
        let is_gguf = self.gguf().is_some();
        ensure!(
            others.is_empty(),
            "{}: there are tensors that are not part of the model that {} ({} layers): {}{}",
            self.description(),
            if is_gguf { "its metadata describe" } else { "config.json describes" },
            architecture.layers.len(),
            some(&self.own_names(&others)),
            if is_gguf { "" } else { "; is it this checkpoint's config.json?" }
        );
        // Where the embedding is the head, the rows of the answers were compared.
        let is_language_model = matches!(architecture.head.output, HeadOutput::Vocabulary(_));
        let heads: Vec<_> = heads.into_iter().filter(|name| !(is_language_model && name.ends_with(LM_HEAD))).collect();
        let mut warnings = Vec::new();
        if !heads.is_empty() {
            warnings.push(format!(
                "the checkpoint has heads that {} not use: {}",
                if is_gguf { "its metadata do" } else { "config.json does" },
                some(&self.own_names(&heads))
            ));
        }
        let stored = self.check_tensor(embedding)?.into_iter().next().unwrap_or_default();
        if stored.contains("language_model.") {
            warnings.push(format!(
                "the weights stand under other names than the model's, as the text part of a larger model ({stored}); they are \
                 used, though transformers does not look for them there"
            ));
        }
        if is_embedding && !stored.split('.').any(|part| part == "model") {
            warnings.push(
                "the weights were saved without a head, as those of embedding models are: unless the model was trained to answer \
                 the prompt, its scores mean nothing"
                    .to_owned(),
            );
        }
        Ok(warnings)
    }

    /// The names of tensors in their files, in order.
    fn own_names<'a>(&'a self, names: &[&'a String]) -> Vec<&'a str> {
        let mut names: Vec<&str> = names.iter().map(|name| self.place(name).1).collect();
        names.sort_unstable();
        names
    }

    /// The stored names of what a model reads.
    fn read_by(&self, architecture: &Architecture, is_embedding: bool) -> Result<HashSet<&str>> {
        let mut read = HashSet::new();
        for tensor in architecture.tensors() {
            read.extend(self.check_tensor(tensor)?);
        }
        // A head that is stored beside the embedding that it is consists of several parts, if it is quantized.
        let own = Tensor { name: LM_HEAD.to_owned(), ..architecture.embedding.tokens.clone() };
        if is_embedding && self.has_quantized(&own) {
            read.extend(self.check_tensor(&own)?);
        }
        Ok(read)
    }
}

const LONGEST_SHOWN: usize = 100;

/// The first of many names.
pub(super) fn some(names: &[impl AsRef<str>]) -> String {
    // Nothing bounds what a file may call a tensor.
    let shown = names.iter().take(3).map(|name| name.as_ref().chars().take(LONGEST_SHOWN).collect());
    let shown: Vec<String> = shown.collect();
    let more = names.len() - shown.len();
    if more == 0 { shown.join(", ") } else { format!("{} and {more} more", shown.join(", ")) }
}
