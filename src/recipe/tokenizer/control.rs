//! Which tokens control a model. In a text they stay text, so that no document can end a message or begin another.
//!
//! A control token is one that the base model came with, one that has a role (end of text, padding, …), one that
//! `chat_control_tokens` of `tokenizer_config.json` lists, or a mark that the prompt's template uses. Every other token was
//! added for texts, and is seen in them.

use std::collections::HashSet;

use anyhow::Result;
use tokenizers::AddedToken;

use super::declared::Declared;
use super::files::TokenizerFiles;

/// The tokens that base models came with. A list counts where the tokenizer has two of its tokens.
const BASE_MODELS: [&[&str]; 3] = [QWEN, BERT, XLM_ROBERTA];

const QWEN: &[&str] = &[
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|object_ref_start|>",
    "<|object_ref_end|>",
    "<|box_start|>",
    "<|box_end|>",
    "<|quad_start|>",
    "<|quad_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
    "<tool_call>",
    "</tool_call>",
    "<|fim_prefix|>",
    "<|fim_middle|>",
    "<|fim_suffix|>",
    "<|fim_pad|>",
    "<|repo_name|>",
    "<|file_sep|>",
    "<tool_response>",
    "</tool_response>",
    "<think>",
    "</think>",
];
const BERT: &[&str] = &["[CLS]", "[SEP]", "[PAD]", "[UNK]", "[MASK]"];
const XLM_ROBERTA: &[&str] = &["<s>", "</s>", "<pad>", "<unk>", "<mask>"];

/// The control tokens among a tokenizer's added tokens.
pub(super) fn control_tokens(
    added: &[(u32, AddedToken)],
    declared: &Declared,
    files: &TokenizerFiles,
) -> Result<HashSet<String>> {
    let has = |content: &&str| added.iter().any(|(_, token)| token.content == *content);
    let base = BASE_MODELS
        .iter()
        .filter(|list| list.iter().filter(|content| has(content)).count() >= 2)
        .flat_map(|list| list.iter().copied());
    let listed = files.config.field(|fields| fields.texts("chat_control_tokens"))?;
    let mut control: HashSet<String> =
        base.chain(declared.roles().map(|(_, token)| token)).chain(listed).map(str::to_owned).collect();
    control.extend(split(added, files)?);
    Ok(control)
}

/// The special tokens of a tokenizer that makes text of them wherever they are.
pub(super) fn split(added: &[(u32, AddedToken)], files: &TokenizerFiles) -> Result<HashSet<String>> {
    let splits = files.config.field(|fields| fields.flag("split_special_tokens"))?;
    let special = added.iter().filter(|(_, token)| splits && token.special && !token.content.is_empty());
    Ok(special.map(|(_, token)| token.content.clone()).collect())
}
