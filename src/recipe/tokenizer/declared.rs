//! The tokens that stand in the settings beside a tokenizer, read and added as transformers 5 does.

use std::collections::BTreeMap;

use anyhow::{Context, Result, anyhow};
use serde_json::Value;
use tokenizers::{AddedToken, Tokenizer};

use super::class::Class;
use super::files::{Settings, TokenizerFiles};
use super::stored::Stored;
use crate::fields::Fields;
use crate::slices::first;

/// The roles that a control token can have, in transformers' order.
const ROLES: [&str; 7] = ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

/// The tokens of `tokenizer_config.json`, or of the files that it replaces.
pub(super) struct Declared {
    /// By the id that is given for them, which only gives their order.
    numbered: BTreeMap<u32, AddedToken>,
    /// The tokens with a role of `ROLES`, and the role.
    roles: Vec<(&'static str, AddedToken)>,
    /// The special tokens without such a role: first those with a name of their own.
    others: Vec<AddedToken>,
    /// How many of `others` have a name.
    named: usize,
}

impl Declared {
    /// Reads the tokens.
    ///
    /// # Errors
    /// If one of them is neither a text nor an object with its content, or its id is no number.
    pub(super) fn read(files: &TokenizerFiles, stored: &Stored, class: Class) -> Result<Self> {
        let mut special = Special::default();
        special.read(&files.config)?;
        let mut numbered = BTreeMap::new();
        if let Some(tokens) = files.config.field(|fields| fields.object("added_tokens_decoder"))? {
            for (id, token) in tokens.iter() {
                let place = || format!("added_tokens_decoder of the model's {} has {id:?}: {token}", files.config.name);
                let number = id.parse().map_err(|_| anyhow!("the id is not a number")).with_context(place)?;
                numbered.insert(number, token_of(token, false).with_context(place)?);
            }
        } else {
            special.read(&files.special_tokens)?;
            for (content, id) in files.added_tokens.entries() {
                let place = || format!("the model's {} has {content:?}: {id}", files.added_tokens.name);
                let number = id.as_u64().and_then(|id| u32::try_from(id).ok());
                let number = number.context("the id is not a number").with_context(place)?;
                numbered.insert(number, AddedToken::from(content, special.contains(content)));
            }
            numbered.extend(stored.added_tokens.iter().map(|token| (token.id, token.token.clone())));
        }
        Ok(special.declared(numbered, class))
    }

    /// Adds the tokens to a tokenizer: each keeps its id in the vocabulary, or gets the next free one.
    pub(super) fn add_to(&self, tokenizer: &mut Tokenizer, class: Class) -> Result<()> {
        let of_roles = || self.roles.iter().map(|(_, token)| token);
        let named = || of_roles().chain(first(&self.others, self.named));
        let mut tokens: Vec<AddedToken> = self.numbered.values().cloned().collect();
        for token in &mut tokens {
            token.special |= named().any(|named| named.content == token.content);
        }
        for token in of_roles().chain(&self.others) {
            if !tokens.iter().any(|other| other.content == token.content)
                && !tokenizer.get_added_vocabulary().get_vocab().contains_key(&token.content)
            {
                tokens.push(token.clone());
            }
        }
        let failed = |error| anyhow!("the added tokens can't be used: {error}");
        tokenizer.add_tokens(tokens).map_err(failed)?;
        if class == Class::Qwen2 {
            let special = of_roles().chain(&self.others).map(|token| AddedToken::from(&token.content, true));
            tokenizer.add_tokens(special).map_err(failed)?;
        }
        Ok(())
    }

    /// The tokens with a role, such as `eos_token`, the end of a text; the role comes first.
    pub(super) fn roles(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.roles.iter().map(|(role, token)| (*role, token.content.as_str()))
    }

    /// The token of a role.
    pub(super) fn role(&self, wanted: &str) -> Option<&str> {
        self.roles().find(|(role, _)| *role == wanted).map(|(_, token)| token)
    }

    /// The tokens with the ids that are given for them.
    pub(super) fn numbered(&self) -> impl Iterator<Item = (&str, u32)> {
        self.numbered.iter().map(|(id, token)| (token.content.as_str(), *id))
    }
}

/// The special tokens, as they are collected from two files.
#[derive(Default)]
struct Special {
    roles: BTreeMap<&'static str, Option<AddedToken>>,
    named: Vec<(String, AddedToken)>,
    /// `extra_special_tokens`, where a file has them.
    extra: Option<Vec<AddedToken>>,
    /// `additional_special_tokens`, their older name.
    additional: Option<Vec<AddedToken>>,
}

impl Special {
    /// Reads the special tokens of a file, which go before those that were read before.
    fn read(&mut self, settings: &Settings) -> Result<()> {
        for (key, value) in settings.entries() {
            let place = || format!("{key} of the model's {} is {value}", settings.name);
            let list = || value.as_array().into_iter().flatten().map(|token| token_of(token, true)).collect();
            if let Some(role) = ROLES.iter().find(|role| *role == key) {
                let token = (!value.is_null()).then(|| token_of(value, true)).transpose().with_context(place)?;
                self.roles.insert(role, token);
            } else if key == "extra_special_tokens" && value.is_object() {
                for (name, token) in value.as_object().into_iter().flatten() {
                    self.name(name, token_of(token, true).with_context(place)?);
                }
            } else if key == "extra_special_tokens" && value.is_array() {
                let new: Vec<AddedToken> = Result::with_context(list(), place)?;
                let known = self.extra.get_or_insert_default();
                known.extend(new);
            } else if key == "additional_special_tokens" && value.is_array() {
                self.additional = Some(Result::with_context(list(), place)?);
            } else if key.ends_with("_token") && (value.is_string() || value.is_object()) {
                self.name(key, token_of(value, true).with_context(place)?);
            }
        }
        if self.extra.as_ref().is_none_or(Vec::is_empty) {
            self.extra = self.additional.take().or(self.extra.take());
        }
        Ok(())
    }

    fn name(&mut self, name: &str, token: AddedToken) {
        self.named.retain(|(other, _)| other != name);
        self.named.push((name.to_owned(), token));
    }

    fn contains(&self, content: &str) -> bool {
        let roles = self.roles.values().flatten();
        roles.chain(self.extra.iter().flatten()).any(|token| token.content == content)
    }

    fn declared(self, numbered: BTreeMap<u32, AddedToken>, class: Class) -> Declared {
        let role = |role: &&'static str| match self.roles.get(*role) {
            Some(token) => Some((*role, token.clone()?)),
            None => {
                let usual = class.roles().iter().find(|(name, _)| name == role);
                usual.map(|(_, token)| (*role, AddedToken::from(*token, true)))
            }
        };
        let roles = ROLES.iter().filter_map(role).collect();
        let named: Vec<AddedToken> = self.named.into_iter().map(|(_, token)| token).collect();
        let count = named.len();
        let others = named.into_iter().chain(self.extra.into_iter().flatten()).collect();
        Declared { numbered, roles, others, named: count }
    }
}

/// A token that is given as its content, or as an object with its properties.
fn token_of(value: &Value, special: bool) -> Result<AddedToken> {
    if let Some(content) = value.as_str() {
        return Ok(AddedToken::from(content, special));
    }
    let fields = Fields::of(value)?;
    let content = fields.text("content")?.context("it has no content")?;
    let flag = |name: &str| fields.flag(name);
    let special = if fields.get("special").is_some() { flag("special")? } else { special };
    let token = AddedToken::from(content, special);
    let normalized = if fields.get("normalized").is_some() { flag("normalized")? } else { token.normalized };
    Ok(token.normalized(normalized).single_word(flag("single_word")?).lstrip(flag("lstrip")?).rstrip(flag("rstrip")?))
}
