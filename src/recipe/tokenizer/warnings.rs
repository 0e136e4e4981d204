//! What a tokenizer's files say that is not done, or not as one might think.

use std::collections::HashMap;

use anyhow::{Result, ensure};
use tokenizers::{AddedToken, PostProcessor, Tokenizer};

use super::class::Class;
use super::declared::Declared;
use super::files::{TokenizerFiles, Vocabulary};
use super::stored::Stored;

/// The most tokens that a warning lists.
const MOST_NAMED: usize = 12;

/// Some names in backticks.
pub(super) fn named(names: &[&str]) -> String {
    let mut list: Vec<String> = names.iter().take(MOST_NAMED).map(|name| format!("`{name}`")).collect();
    if names.len() > MOST_NAMED {
        list.push(format!("and {} more", names.len() - MOST_NAMED));
    }
    list.join(", ")
}

/// The warning of special tokens that may mean the text's own, or may be there to control the model.
pub(super) fn special_in_texts(path: &str, tokens: &[&str]) -> String {
    format!(
        "{path} has special tokens that are not the base model's: {}. A text that has one gets that token, as in \
         transformers; list those that must stay text as chat_control_tokens in tokenizer_config.json",
        named(tokens)
    )
}

/// Where a file names a token or an id that transformers, and rerank with it, does not take from there.
pub(super) fn disagreements(
    files: &TokenizerFiles,
    stored: &Stored,
    declared: &Declared,
    added: &[(u32, AddedToken)],
) -> Vec<String> {
    let listed = stored.added_tokens.iter().map(|token| (token.token.content.as_str(), token.id));
    let id_of: HashMap<&str, u32> = added.iter().map(|(id, token)| (token.content.as_str(), *id)).collect();
    let mut absent = Vec::new();
    let mut others = Vec::new();
    for (content, id) in listed.chain(declared.numbered()) {
        match id_of.get(content) {
            None => absent.push(content),
            Some(other) if *other != id => others.push(format!("`{content}` ({id}, used as {other})")),
            Some(_) => {}
        }
    }
    absent.dedup();
    others.sort_unstable();
    others.dedup();
    let path = files.vocabulary.path().display();
    let mut warnings = Vec::new();
    if !absent.is_empty() {
        warnings.push(format!(
            "{path} has added tokens that added_tokens_decoder of {} lacks: {}. transformers 5 takes the latter's only, so \
             they stay text",
            files.config.name,
            named(&absent)
        ));
    }
    if !others.is_empty() {
        others.truncate(MOST_NAMED);
        warnings.push(format!(
            "the files beside {path} give added tokens ids at which transformers does not put them, nor does rerank: {}",
            others.join(", ")
        ));
    }
    warnings
}

/// The warning of parts of a `tokenizer.json` that a class replaces by its own.
pub(super) fn replaced(parts: &str, class: Class, files: &TokenizerFiles) -> String {
    format!(
        "{parts} of {} differ from those of its class {}, which transformers 5 uses in their place, and so does rerank; if the \
         file is right as it stands, set tokenizer_class in tokenizer_config.json to \"TokenizersBackend\"",
        files.vocabulary.path().display(),
        class.name()
    )
}

/// What the files ask for beside tokens, and a prompt's template takes the place of.
pub(super) fn unused(files: &TokenizerFiles, whole: &Tokenizer) -> Result<Vec<String>> {
    let mut warnings = Vec::new();
    if files.config.fields().get("auto_map").is_some() {
        warnings.push(format!(
            "the model's {} names a tokenizer in Python of its own (auto_map), which rerank does not run: its files are \
             read as transformers reads them without trust_remote_code",
            files.config.name
        ));
    }
    ensure!(
        files.config.fields().get("fast_tokenizer_files").is_none(),
        "the model's {} has fast_tokenizer_files, tokenizers for several versions of transformers, which rerank does not \
         choose from; keep one as tokenizer.json and remove the field",
        files.config.name
    );
    let family = files.model.field(|fields| fields.text("model_type"))?;
    if adds_tokens(files, whole)? && family.is_some_and(|family| ["qwen2", "qwen3"].contains(&family)) {
        warnings.push(format!(
            "{} adds tokens around every text (by its post_processor, or by add_bos_token and add_eos_token of {}); they \
             are left out, since the prompt's template has its own",
            files.vocabulary.path().display(),
            files.config.name
        ));
    }
    Ok(warnings)
}

/// Whether transformers adds tokens to a text. With a `tokenizer.json`, its post-processor alone decides.
pub(super) fn adds_tokens(files: &TokenizerFiles, whole: &Tokenizer) -> Result<bool> {
    let around = |name| files.config.field(|fields| fields.flag(name));
    let older = matches!(files.vocabulary, Vocabulary::Parts { .. });
    let processor = whole.get_post_processor();
    Ok(processor.is_some_and(|processor| processor.added_tokens(false) > 0)
        || older && (around("add_bos_token")? || around("add_eos_token")?))
}
