//! Makes the tokenizer of texts, which sees some of the added tokens and passes over the others.

use std::collections::HashSet;

use ahash::AHashMap;
use anyhow::{Result, anyhow, ensure};
use tokenizers::models::unigram::Unigram;
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::{AddedToken, Model, ModelWrapper, Tokenizer};

/// No text has it: Unicode keeps it free for programs.
const NO_CHARACTER: char = '\u{ffff}';

/// A tokenizer of the same model without post-processor, truncation and padding. Control tokens have no meaning for it; the
/// other added tokens keep their ids. `unknown` is the id of a Unigram model's unknown token.
pub(super) fn text_tokenizer(
    whole: &Tokenizer,
    added: &[(u32, AddedToken)],
    control: &HashSet<String>,
    unknown: Option<usize>,
) -> Result<Tokenizer> {
    let mut text = Tokenizer::new(without_control(whole.get_model().clone(), control, unknown)?);
    text.with_normalizer(whole.get_normalizer().cloned()).map_err(|error| anyhow!("{error}"))?;
    text.with_pre_tokenizer(whole.get_pre_tokenizer().cloned());
    // A tokenizer without added tokens does not look for any.
    if added.iter().any(|(_, token)| !control.contains(&token.content)) {
        // The library passes over special tokens where it finds them, and no others.
        text.set_encode_special_tokens(true);
        let tokens = in_order(added, control, text.get_model())?;
        text.add_tokens(tokens).map_err(|error| anyhow!("{error}"))?;
    }
    Ok(text)
}

/// More tokens than any vocabulary has. What stands between two ids takes memory.
const MOST_IDS: u32 = 1 << 21;

/// The added tokens, so that numbering them one after the other gives each its id.
fn in_order(added: &[(u32, AddedToken)], control: &HashSet<String>, model: &ModelWrapper) -> Result<Vec<AddedToken>> {
    let mut tokens = Vec::with_capacity(added.len());
    let mut next = u32::try_from(model.get_vocab_size())?;
    for (id, token) in added {
        let is_control = control.contains(&token.content);
        if model.token_to_id(&token.content).is_none() {
            if *id < next && is_control {
                continue;
            }
            ensure!(*id < MOST_IDS, "the added token `{}` has the id {id}, which is that of no model", token.content);
            ensure!(*id >= next, "the added token `{}` has the id {id} of another token", token.content);
            tokens.extend((next..*id).map(|hole| AddedToken::from(format!("{NO_CHARACTER}{hole}"), true)));
            next = id + 1;
        }
        tokens.push(token.clone().special(is_control));
    }
    Ok(tokens)
}

/// Some models know their control tokens as pieces of text, too: there they get names that no text has.
fn without_control(model: ModelWrapper, control: &HashSet<String>, unknown: Option<usize>) -> Result<ModelWrapper> {
    let hidden = |piece: &String| match control.contains(piece) {
        true => format!("{NO_CHARACTER} {piece}"),
        false => piece.clone(),
    };
    let renamed: Result<ModelWrapper, tokenizers::Error> = match &model {
        ModelWrapper::Unigram(pieces) => {
            let renamed = pieces.iter().map(|(piece, score)| (hidden(piece), *score)).collect();
            Unigram::from(renamed, unknown, pieces.byte_fallback()).map(Into::into)
        }
        ModelWrapper::WordPiece(words) => {
            let vocabulary: AHashMap<String, u32> =
                words.get_vocab().into_iter().map(|(word, id)| (hidden(&word), id)).collect();
            let builder = WordPiece::builder().vocab(vocabulary).unk_token(hidden(&words.unk_token));
            let builder = builder.continuing_subword_prefix(words.continuing_subword_prefix.clone());
            builder.max_input_chars_per_word(words.max_input_chars_per_word).build().map(Into::into)
        }
        _ => return Ok(model),
    };
    renamed.map_err(|error| anyhow!("{error}"))
}
