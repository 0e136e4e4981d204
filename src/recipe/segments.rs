//! A template, prepared for a tokenizer: its control tokens have their ids, and the text between two of them is one string.

use anyhow::{Result, bail};

use super::TextTokenizer;
use super::template::{Piece, Slot, Template, Values, text_of};

/// A template whose control tokens are found.
pub(super) struct Segments {
    pub(super) template: Template,
    pub(super) segments: Vec<Segment>,
    /// The tokens that the tokenizer adds before the template, and behind it.
    pub(super) around: [Vec<u32>; 2],
}

pub(super) enum Segment {
    /// Tokens that are the same in every prompt.
    Fixed(Vec<u32>),
    /// Text with slots, tokenized as one string.
    Text {
        pieces: Vec<Piece>,
        /// Whether it goes on behind a control token: some tokenizers begin only the whole text with a space.
        inside: bool,
    },
}

impl Segments {
    /// Finds the control tokens of a template, which stands between the tokens that the tokenizer adds to a text if those are
    /// asked for.
    pub(super) fn new(template: Template, tokenizer: &TextTokenizer, special_tokens: bool) -> Result<Self> {
        let around = if special_tokens { tokenizer.around_text() } else { [Vec::new(), Vec::new()] };
        let mut builder = Builder { tokenizer, segments: Vec::new(), pieces: Vec::new(), inside: false };
        builder.add_fixed(around[0].iter().copied());
        for piece in template.pieces() {
            match piece {
                Piece::Text(text) => builder.add_text(text)?,
                Piece::Slot(..) => builder.pieces.push(piece.clone()),
                Piece::Boundary => {
                    builder.close()?;
                    builder.inside = false;
                }
            }
        }
        builder.close()?;
        builder.add_fixed(around[1].iter().copied());
        let segments = builder.segments;
        Ok(Self { template, segments, around })
    }

    /// The texts of a template that is made of two.
    pub(super) fn two_texts(&self, values: &Values) -> Result<[String; 2]> {
        let [Segment::Text { pieces: first, .. }, Segment::Text { pieces: second, .. }] = self.segments.as_slice()
        else {
            bail!("the recipe is for two texts, and its template is not made of two")
        };
        Ok([first, second].map(|pieces| text_of(pieces, values)))
    }

    /// The tokens of what is tokenized apart from the query and the document.
    pub(super) fn tokens_beside_pair(&self, values: &Values, tokenizer: &TextTokenizer) -> Result<usize> {
        let mut tokens = self.fixed_tokens();
        for segment in &self.segments {
            let Segment::Text { pieces, inside } = segment else { continue };
            if pieces.iter().all(|piece| !matches!(piece, Piece::Slot(Slot::Query | Slot::Document, _))) {
                tokens += tokenizer.at(*inside).encode(&text_of(pieces, values))?.len();
            }
        }
        Ok(tokens)
    }

    /// The tokens that are the same in every prompt.
    pub(super) fn fixed_tokens(&self) -> usize {
        let count = |segment: &Segment| if let Segment::Fixed(tokens) = segment { tokens.len() } else { 0 };
        self.segments.iter().map(count).sum()
    }
}

/// Segments that are being made.
struct Builder<'a> {
    tokenizer: &'a TextTokenizer,
    segments: Vec<Segment>,
    /// The text that is not closed yet.
    pieces: Vec<Piece>,
    /// Whether that text goes on behind a control token.
    inside: bool,
}

impl Builder<'_> {
    fn add_text(&mut self, text: &str) -> Result<()> {
        for part in parts(text, self.tokenizer)? {
            match part {
                Part::Text(text) => self.pieces.push(Piece::Text(text.to_owned())),
                Part::Control(_, id) => {
                    self.close()?;
                    self.add_fixed([id]);
                    self.inside = true;
                }
            }
        }
        Ok(())
    }

    /// Ends the text that is tokenized as one string.
    fn close(&mut self) -> Result<()> {
        let pieces = std::mem::take(&mut self.pieces);
        if pieces.is_empty() {
            return Ok(());
        }
        if pieces.iter().any(|piece| matches!(piece, Piece::Slot(..))) {
            self.segments.push(Segment::Text { pieces, inside: self.inside });
        } else {
            let text = |piece: &Piece| if let Piece::Text(text) = piece { text.clone() } else { String::new() };
            let text: String = pieces.iter().map(text).collect();
            self.add_fixed(self.tokenizer.at(self.inside).encode(&text)?);
        }
        self.inside = true;
        Ok(())
    }

    fn add_fixed(&mut self, tokens: impl IntoIterator<Item = u32>) {
        match self.segments.last_mut() {
            Some(Segment::Fixed(fixed)) => fixed.extend(tokens),
            _ => {
                let fixed: Vec<u32> = tokens.into_iter().collect();
                self.segments.extend((!fixed.is_empty()).then_some(Segment::Fixed(fixed)));
            }
        }
    }
}

/// A part of a template's own text.
pub(super) enum Part<'a> {
    Text(&'a str),
    Control(&'a str, u32),
}

/// Parts a template's own text at its control tokens: at the first of them, and of several in one place at the longest.
pub(super) fn parts<'a>(text: &'a str, tokenizer: &TextTokenizer) -> Result<Vec<Part<'a>>> {
    let (mut parts, mut rest) = (Vec::new(), text);
    while !rest.is_empty() {
        let next = tokenizer
            .control_tokens()
            // White space among the added tokens is seen in any text.
            .filter(|(token, _)| !token.trim().is_empty())
            .filter_map(|(token, id)| Some((rest.find(token)?, std::cmp::Reverse(token.len()), id)))
            .min();
        let (at, length, id) = next.map_or((rest.len(), 0, 0), |(at, length, id)| (at, length.0, id));
        let (text, found) = rest.split_at_checked(at).unwrap_or((rest, ""));
        let (control, behind) = found.split_at_checked(length).unwrap_or((found, ""));
        if !text.is_empty() {
            parts.push(Part::Text(text));
        }
        if !control.is_empty() {
            parts.push(Part::Control(control, id));
        }
        rest = behind;
    }
    Ok(parts)
}
