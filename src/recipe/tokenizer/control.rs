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
const BASE_MODELS: [&[&str]; 6] = [QWEN, BERT, XLM_ROBERTA, GEMMA, LLAMA, MISTRAL];

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
const GEMMA: &[&str] =
    &["<bos>", "<eos>", "<pad>", "<unk>", "<mask>", "<2mass>", "[@BOS@]", "<start_of_turn>", "<end_of_turn>"];
const LLAMA: &[&str] = &[
    "<|begin_of_text|>",
    "<|end_of_text|>",
    "<|finetune_right_pad_id|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eom_id|>",
    "<|eot_id|>",
    "<|python_tag|>",
];
const MISTRAL: &[&str] = &[
    "<s>",
    "</s>",
    "<unk>",
    "<pad>",
    "[INST]",
    "[/INST]",
    "[AVAILABLE_TOOLS]",
    "[/AVAILABLE_TOOLS]",
    "[TOOL_CALLS]",
    "[TOOL_RESULTS]",
    "[/TOOL_RESULTS]",
    "[SYSTEM_PROMPT]",
    "[/SYSTEM_PROMPT]",
    "[IMG]",
    "[IMG_BREAK]",
    "[IMG_END]",
    "[PREFIX]",
    "[MIDDLE]",
    "[SUFFIX]",
];
/// What stands around the number of tokens that base models keep free for later.
const FREE: [(&str, &str); 5] = [
    ("<|reserved_special_token_", "|>"),
    ("<unused", ">"),
    ("[control_", "]"),
    ("<SPECIAL_", ">"),
    ("<|reserved_token_", "|>"),
];

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
    control.extend(added.iter().map(|(_, token)| token.content.clone()).filter(|content| is_free(content)));
    Ok(control)
}

/// Whether a base model came with a token.
pub(super) fn is_of_base(content: &str) -> bool {
    BASE_MODELS.iter().any(|list| list.contains(&content)) || is_free(content)
}

fn is_free(content: &str) -> bool {
    let number = |(start, end): &(&str, &str)| content.strip_prefix(start)?.strip_suffix(end);
    let is_number = |number: &str| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    FREE.iter().filter_map(number).any(is_number)
}

/// The special tokens of a tokenizer that makes text of them wherever they are.
pub(super) fn split(added: &[(u32, AddedToken)], files: &TokenizerFiles) -> Result<HashSet<String>> {
    let splits = files.config.field(|fields| fields.flag("split_special_tokens"))?;
    let special = added.iter().filter(|(_, token)| splits && token.special && !token.content.is_empty());
    Ok(special.map(|(_, token)| token.content.clone()).collect())
}
