//! What a tokenizer puts around a single text, as its post-processor does.

use anyhow::{Context, Result, anyhow};
use tokenizers::{Encoding, PostProcessor, Token, Tokenizer};

/// Stands for the text; no vocabulary has as many tokens.
const TEXT: u32 = u32::MAX;

/// The tokens before a text, and those behind it.
///
/// # Errors
/// If the post-processor does not put the text in one place.
pub(super) fn around_text(tokenizer: &Tokenizer) -> Result<[Vec<u32>; 2]> {
    let Some(processor) = tokenizer.get_post_processor() else { return Ok([Vec::new(), Vec::new()]) };
    let text = Encoding::from_tokens(vec![Token::new(TEXT, String::new(), (0, 0))], 0);
    let whole = processor.process(text, None, true).map_err(|error| anyhow!("{error}"))?;
    let mut parts = whole.get_ids().splitn(2, |id| *id == TEXT).map(<[u32]>::to_vec);
    let around = parts.next().zip(parts.next()).map(|(before, behind)| [before, behind]);
    around.context("its post_processor does not put a text in one place")
}
