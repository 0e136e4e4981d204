//! Tokenizes text as text: the tokens that control the model are never read in it, and those that were added for texts are.

mod around;
mod charsmap;
mod class;
mod control;
mod declared;
mod files;
mod frame;
mod gguf;
mod guarded;
mod head;
mod inside;
mod rebuilt;
mod sentence_piece;
mod stored;
mod text;
mod unigram;
mod warnings;

use std::collections::{HashMap, HashSet};

use anyhow::{Context, Result, anyhow, bail, ensure};
use tokenizers::{AddedToken, Tokenizer};

use self::class::Class;
use self::declared::Declared;
use self::files::TokenizerFiles;
use self::guarded::guarded;
use self::stored::Stored;
use crate::checkpoint::ModelFiles;
use crate::fields::Fields;

pub use self::frame::PairFrame;

/// A model's tokenizer, parted in two: the tokens of texts, and the control tokens that templates are made of.
pub struct TextTokenizer {
    text: Tokenizer,
    /// The same for text that goes on behind a control token, where that makes a difference.
    inside: Option<Tokenizer>,
    /// What the whole tokenizer puts before a text, and behind it.
    around: [Vec<u32>; 2],
    added: HashMap<String, u32>,
    /// The added tokens that are seen in texts, with whether the checkpoint marks them as special.
    seen: Vec<(AddedToken, bool)>,
    /// What must follow a kept token before it is certain.
    margin: head::Margin,
    /// The control tokens with a role, such as `eos_token`; the role comes first.
    roles: Vec<(&'static str, String)>,
    /// What stands around a pair of texts, or why that is not known.
    frame: Result<PairFrame, String>,
    max_length: usize,
    /// The special tokens, where they are text even in a template.
    split: HashSet<String>,
    path: String,
    warnings: Vec<String>,
}

impl TextTokenizer {
    /// Reads the tokenizer of a model, with the tokens that its settings add, as AutoTokenizer of transformers does.
    ///
    /// # Errors
    /// If a file is missing or damaged, or asks for what would give other tokens than transformers does.
    pub fn read(files: &ModelFiles) -> Result<Self> {
        let files = TokenizerFiles::read(files)?;
        let path = files.vocabulary.path().display().to_string();
        guarded(&path, || Self::of(&files, path.clone()))
    }

    fn of(files: &TokenizerFiles, path: String) -> Result<Self> {
        let mut warnings = files.notes.clone();
        let class = Class::of(files)?;
        let stored = Stored::read(files, class, &mut warnings)?;
        let declared = Declared::read(files, &stored, class)?;
        let mut whole = stored.tokenizer.clone();
        declared.add_to(&mut whole, class).with_context(|| path.clone())?;
        let mut added: Vec<(u32, AddedToken)> = whole.get_added_tokens_decoder().into_iter().collect();
        added.sort_unstable_by_key(|(id, _)| *id);
        let processor = frame::post_processor(&whole, class, &declared).with_context(|| path.clone())?;
        warnings
            .extend(frame::put(&mut whole, processor).then(|| warnings::replaced("the post_processor", class, files)));
        warnings.extend(warnings::disagreements(files, &stored, &declared, &added));
        warnings.extend(warnings::unused(files, &whole)?);
        let frame = frame::frame(files, &whole, class).map_err(|error| format!("{path}: {error:#}"));
        let roles = declared.roles().map(|(role, token)| (role, token.to_owned())).collect();
        let control = control::control_tokens(&added, &declared, files)?;
        let text = text::text_tokenizer(&whole, &added, &control, stored.unknown).with_context(|| path.clone())?;
        let ids = added.iter().map(|(id, token)| (token.content.clone(), *id)).collect();
        let split = control::split(&added, files)?;
        let is_seen = |token: &AddedToken| !control.contains(&token.content);
        let seen = added.iter().map(|(_, token)| token).filter(|token| is_seen(token));
        let seen: Vec<_> = seen.map(|token| (token.clone(), token.special)).collect();
        let margin = head::Margin::new(&text, seen.iter().map(|(token, _)| token));
        let max_length = files.config.field(max_length)?;
        let inside = inside::inside(&text).with_context(|| path.clone())?;
        let around = around::around_text(&whole).with_context(|| path.clone())?;
        Ok(Self { text, inside, around, added: ids, seen, margin, roles, frame, max_length, split, path, warnings })
    }

    /// Makes control tokens of the added tokens that stand in a template's own text: in the texts of queries and documents
    /// they are text from now on. A word that was added stays one, wherever it is.
    ///
    /// # Errors
    /// If one of them changes what is beside it or is no token in templates, or the tokenizer fails.
    pub fn keep_as_text(&mut self, template: &str) -> Result<()> {
        if let Some(token) = self.split.iter().find(|token| template.contains(*token)) {
            bail!(
                "split_special_tokens in the model's tokenizer_config.json is true, which makes text of `{token}` in the \
                 prompt's template, and is supported for templates without such tokens only; set it to false if the \
                 model was trained with them as tokens"
            );
        }
        let used = |token: &AddedToken| template.contains(&token.content) && is_mark(&token.content);
        let (control, seen): (Vec<_>, Vec<_>) = self.seen.drain(..).partition(|(token, _)| used(token));
        self.seen = seen;
        for (token, _) in &control {
            ensure!(
                !(token.lstrip || token.rstrip || token.single_word),
                "{}: the prompt's template uses the token `{}`, which has lstrip, rstrip or single_word; rerank reads \
                 such tokens in texts only",
                self.path,
                token.content
            );
        }
        let control: Vec<AddedToken> = control.into_iter().map(|(token, _)| token.special(true)).collect();
        guarded(&self.path, || {
            for text in [&mut self.text].into_iter().chain(&mut self.inside) {
                text.add_tokens(control.clone()).map_err(|error| anyhow!("{}: {error}", self.path))?;
            }
            Ok(())
        })
    }

    /// The tokens that the whole tokenizer puts before a text, and those behind it.
    pub fn around_text(&self) -> [Vec<u32>; 2] {
        self.around.clone()
    }

    /// The control tokens with a role, such as `eos_token`; the role comes first.
    pub fn roles(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.roles.iter().map(|(role, token)| (*role, token.as_str()))
    }

    /// The tokens that stand around a pair of texts.
    ///
    /// # Errors
    /// If the tokenizer puts texts together in another way than a frame can.
    pub fn pair_frame(&self) -> Result<PairFrame> {
        self.frame.clone().map_err(|problem| {
            anyhow!("{problem}, which is not supported; --recipe names a prompt that has such tokens itself")
        })
    }

    /// The added token of this id.
    pub fn added_token(&self, wanted: u32) -> Option<&str> {
        self.added.iter().find(|(_, id)| **id == wanted).map(|(token, _)| token.as_str())
    }

    /// The length to which the model's authors cut a whole prompt.
    pub fn max_length(&self) -> usize {
        self.max_length
    }

    /// What the user should know about the tokenizer.
    pub fn warnings(&self) -> Vec<String> {
        let special = self.seen.iter().filter(|(_, special)| *special).map(|(token, _)| token.content.as_str());
        let special: Vec<&str> = special.collect();
        let mut warnings = self.warnings.clone();
        if !special.is_empty() {
            warnings.push(warnings::special_in_texts(&self.path, &special));
        }
        warnings
    }

    /// The id of a control token, or of another added token.
    ///
    /// # Errors
    /// If the tokenizer lacks it.
    pub fn control_token(&self, token: &str) -> Result<u32> {
        self.added.get(token).copied().with_context(|| {
            format!(
                "{} has no token `{token}`, which the prompt needs: the tokenizer or the recipe is another model's",
                self.path
            )
        })
    }

    /// The control tokens with their ids: the added tokens that are not seen in texts.
    pub fn control_tokens(&self) -> impl Iterator<Item = (&str, u32)> {
        let seen: HashSet<&str> = self.seen.iter().map(|(token, _)| token.content.as_str()).collect();
        let added = self.added.iter().map(|(token, id)| (token.as_str(), *id));
        added.filter(move |(token, _)| !seen.contains(token))
    }

    /// Checks that a model's embedding has a row for each token, control tokens included.
    ///
    /// # Errors
    /// If it has fewer rows.
    pub fn check_rows(&self, rows: usize) -> Result<()> {
        let ids = self.added.values().copied().chain(self.text.get_vocab(false).into_values());
        let size = ids.max().map_or(0, |id| id as usize + 1);
        let mut beyond: Vec<&str> =
            self.added.iter().filter(|(_, id)| **id as usize >= rows).map(|(token, _)| token.as_str()).collect();
        beyond.sort_unstable();
        let which = match beyond.as_slice() {
            [] => String::new(),
            beyond => format!(", among them {}, which the model has no row for", warnings::named(beyond)),
        };
        ensure!(
            size <= rows,
            "{} has {size} tokens and the model {rows}{which}; is it this model's tokenizer?",
            self.path
        );
        Ok(())
    }

    /// Checks that no prompt has the token whose position, wherever it stands, is that of padding.
    ///
    /// # Errors
    /// If a text can have it, or it stands around texts.
    pub fn check_padding(&self, padding: u32) -> Result<()> {
        let of_frame = self.frame.as_ref().map_or(Vec::new(), PairFrame::token_ids);
        let is_around = self.around.iter().flatten().chain(&of_frame).any(|id| *id == padding);
        let is_control = self.control_tokens().any(|(_, id)| id == padding);
        let Some(token) = self.text.id_to_token(padding).filter(|_| is_around || !is_control) else { return Ok(()) };
        let token = self.added_token(padding).unwrap_or(&token);
        bail!(
            "pad_token_id of config.json is {padding}, the token `{token}`, which {}; transformers gives it the position of padding \
             there, and rerank does not; set pad_token_id to the token that the model was trained with for padding",
            if is_around { "stands around every text" } else { "texts can have" }
        )
    }

    /// The id of a word that is a single token.
    ///
    /// # Errors
    /// If it is several.
    pub fn single_token(&self, word: &str) -> Result<u32> {
        match self.encode(word)?.as_slice() {
            [id] => Ok(*id),
            ids => {
                bail!("{}: `{word}` should be one token, and is {} in this tokenizer", self.path, ids.len())
            }
        }
    }

    /// The tokens of a text.
    ///
    /// # Errors
    /// If the tokenizer fails.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        self.at(false).encode(text)
    }

    /// The tokenizer for text that stands `inside` a prompt, behind a control token, or else for text that begins one.
    pub fn at(&self, inside: bool) -> At<'_> {
        At { tokenizer: self, text: self.inside.as_ref().filter(|_| inside).unwrap_or(&self.text) }
    }
}

/// A tokenizer at a place in a prompt.
#[derive(Clone, Copy)]
pub struct At<'a> {
    tokenizer: &'a TextTokenizer,
    text: &'a Tokenizer,
}

impl At<'_> {
    /// The tokens of a text.
    ///
    /// # Errors
    /// If the tokenizer fails.
    pub fn encode(self, text: &str) -> Result<Vec<u32>> {
        let path = &self.tokenizer.path;
        guarded(path, || {
            let encoding = self.text.encode_fast(text, false).map_err(|error| anyhow!("{path}: {error}"))?;
            Ok(encoding.get_ids().to_vec())
        })
    }
}

/// Whether a token is a mark, such as `<Document>`, and not a word, such as `COVID-19`, or white space.
fn is_mark(token: &str) -> bool {
    let is_edge = |edge: Option<char>| edge.is_some_and(|edge| !edge.is_alphanumeric());
    let token = token.trim();
    is_edge(token.chars().next()) || is_edge(token.chars().next_back())
}

/// The length to which prompts are cut. Files without one have none, or an astronomical number.
fn max_length(config: Fields<'_>) -> Result<usize> {
    let length = match config.number("model_max_length")? {
        None => config.number("max_len")?,
        length => length,
    };
    Ok(length.map_or(usize::MAX, |length| length as usize))
}

#[cfg(test)]
mod tests;
