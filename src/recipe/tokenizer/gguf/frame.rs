//! The control tokens of a GGUF file by their roles, and what of them stands around texts.

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};

use super::REMEDY;
use super::tokens::Tokens;
use crate::checkpoint::Metadata;

/// The names of ids, and the roles of the settings.
const ROLES: [(&str, &str); 7] = [
    ("tokenizer.ggml.bos_token_id", "bos_token"),
    ("tokenizer.ggml.eos_token_id", "eos_token"),
    ("tokenizer.ggml.unknown_token_id", "unk_token"),
    ("tokenizer.ggml.seperator_token_id", "sep_token"),
    ("tokenizer.ggml.padding_token_id", "pad_token"),
    ("tokenizer.ggml.cls_token_id", "cls_token"),
    ("tokenizer.ggml.mask_token_id", "mask_token"),
];

/// The tokens with roles, as `tokenizer_config.json` has them. What fills the embedding's rows has no role.
///
/// # Errors
/// If an id is beyond the tokens.
pub(super) fn roles(metadata: &Metadata, tokens: &Tokens) -> Result<Map<String, Value>> {
    let mut roles = Map::new();
    let count = metadata.texts("tokenizer.ggml.tokens")?.map_or(0, <[String]>::len);
    for (name, role) in ROLES {
        let Some(id) = metadata.token(name)? else { continue };
        if id as usize >= count {
            bail!("{name} is {id}, and there are {count} tokens; the file is damaged: {REMEDY}");
        }
        if let Some(token) = tokens.used(id) {
            roles.insert(role.to_owned(), token.into());
        }
    }
    Ok(roles)
}

/// What stands around texts.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Frame {
    /// Whether a token stands before the first text.
    pub(super) begins: bool,
    /// Whether one stands behind each text.
    pub(super) ends: bool,
    /// Whether another stands before the second text.
    pub(super) parts: bool,
    /// Whether the second text has tokens of another type.
    pub(super) has_types: bool,
    /// Whether the one behind each text is there whatever the metadata has on the parting one.
    pub(super) is_one: bool,
}

impl Frame {
    /// The post-processor with what the metadata has in place of this frame.
    pub(super) fn post_processor(self, metadata: &Metadata, tokens: &Tokens) -> Result<Value> {
        let flag = |name: &str, usual: bool| Ok::<_, anyhow::Error>(metadata.flag(name)?.unwrap_or(usual));
        let [bos, eos, sep] = [
            flag("tokenizer.ggml.add_bos_token", self.begins)?,
            flag("tokenizer.ggml.add_eos_token", self.ends)?,
            flag("tokenizer.ggml.add_sep_token", self.parts)? && !self.is_one,
        ];
        if !(bos || eos || sep) {
            return Ok(Value::Null);
        }
        let found = |role: &str, names: [&str; 2], usual: [&str; 2]| role_token(metadata, tokens, role, (names, usual));
        let start =
            bos.then(|| found("add_bos_token", ["bos_token_id", "cls_token_id"], ["[CLS]", "<s>"])).transpose()?;
        let end = eos
            .then(|| found("add_eos_token", ["eos_token_id", "seperator_token_id"], ["[SEP]", "</s>"]))
            .transpose()?;
        let part = sep
            .then(|| found("add_sep_token", ["seperator_token_id", "eos_token_id"], ["[SEP]", "</s>"]))
            .transpose()?;
        let second = u8::from(self.has_types);
        let token = |token: Option<(&str, u32)>, kind: u8| {
            token.map(|(token, _)| json!({"SpecialToken": {"id": token, "type_id": kind}}))
        };
        let text = |name: &str, kind: u8| Some(json!({"Sequence": {"id": name, "type_id": kind}}));
        let listed = |parts: &[Option<Value>]| -> Value { parts.iter().flatten().cloned().collect() };
        let single = listed(&[token(start, 0), text("A", 0), token(end, 0)]);
        let pair = listed(&[
            token(start, 0),
            text("A", 0),
            token(end, 0),
            token(part, 0),
            text("B", second),
            token(end, second),
        ]);
        let special = [start, end, part].into_iter().flatten();
        let special =
            special.map(|(token, id)| (token.to_owned(), json!({"id": token, "ids": [id], "tokens": [token]})));
        let special: Map<String, Value> = special.collect();
        Ok(json!({"type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": special}))
    }
}

/// The token with one of two roles, or else the one that usually has it.
fn role_token<'a>(
    metadata: &Metadata,
    tokens: &'a Tokens,
    role: &str,
    (names, usual): ([&str; 2], [&str; 2]),
) -> Result<(&'a str, u32)> {
    for name in names {
        let name = format!("tokenizer.ggml.{name}");
        if let Some(id) = metadata.token(&name)? {
            let token = tokens.used(id).with_context(|| format!("{name} is {id}, which is no token; {REMEDY}"))?;
            return Ok((token, id));
        }
    }
    let id = usual.iter().find_map(|token| tokens.id(token));
    let found = id.and_then(|id| tokens.used(id).map(|token| (token, id)));
    found.with_context(|| {
        format!(
            "tokens stand around texts (tokenizer.ggml.{role}), and the metadata has no {} for them; {REMEDY}",
            names.join(" and no ")
        )
    })
}
