//! Makes the prompts of any recipe. Control tokens come from the template alone; what stands between two of them is tokenized
//! as one string, as the reference does, because cutting it at the slots could change where tokens meet.

use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};

use super::chat_template::ChatTemplate;
use super::template::{Piece, Slot, Template, Trim, Values, text_of};
use super::value::{Cut, Recipe};
use super::{Prompt, Prompts, TextTokenizer, pair};
use crate::record::Query;

/// The prompts of a recipe.
pub(super) struct RecipePrompts {
    tokenizer: TextTokenizer,
    plain: Option<Segments>,
    instructed: Option<Segments>,
    /// The instruction of queries that have none of their own.
    instruction: Option<String>,
    chat: Option<Arc<ChatTemplate>>,
    cut: Cut,
    max_length: usize,
    name: String,
}

/// A template whose control tokens are found.
struct Segments {
    template: Template,
    segments: Vec<Segment>,
}

enum Segment {
    /// Tokens that are the same in every prompt.
    Fixed(Vec<u32>),
    /// Text with slots, tokenized as one string.
    Text(Vec<Piece>),
}

/// A prompt without its document.
struct Around {
    before: Vec<u32>,
    after: Vec<u32>,
    /// The text that stands before the document and meets it, and the text behind it.
    head: String,
    tail: String,
    trim: Trim,
}

impl RecipePrompts {
    /// Prepares the templates. `instruction` is the run's own.
    ///
    /// # Errors
    /// If the tokenizer lacks the template's control tokens, or the template leaves no room in `max_length`.
    pub(super) fn new(
        tokenizer: TextTokenizer,
        recipe: &Recipe,
        instruction: Option<&str>,
        max_length: usize,
    ) -> Result<Self> {
        for token in &recipe.control_tokens {
            tokenizer.control_token(token)?;
        }
        let segments = |template: &Option<Template>| {
            template.as_ref().map(|template| Segments::new(template.clone(), &tokenizer)).transpose()
        };
        let (plain, instructed) = (segments(&recipe.plain)?, segments(&recipe.instructed)?);
        let shortest = [&plain, &instructed].into_iter().flatten().map(Segments::fixed_tokens).min().unwrap_or(0);
        ensure!(
            max_length > shortest,
            "--max-length {max_length} leaves no room: the model's prompt alone takes {shortest} tokens"
        );
        let instruction = instruction.map(str::to_owned).or_else(|| recipe.instruction.clone());
        let chat = recipe.chat.clone();
        let (cut, name) = (recipe.cut, recipe.name.clone());
        Ok(Self { tokenizer, plain, instructed, instruction, chat, cut, max_length, name })
    }

    /// The query's prompt, and its instruction, which may be empty.
    fn segments<'a>(&'a self, query: &'a Query) -> Result<(&'a Segments, &'a str)> {
        let instruction = query.instruction.as_deref().or(self.instruction.as_deref());
        let segments = match instruction {
            Some(_) => self.instructed.as_ref().with_context(|| {
                format!("it has an instruction, and the recipe {} has no place for one; leave it out", self.name)
            })?,
            None => self.plain.as_ref().context("it has no instruction, and the recipe needs one")?,
        };
        Ok((segments, instruction.unwrap_or_default()))
    }

    fn around(&self, segments: &Segments, values: &Values) -> Result<Around> {
        let mut around = Around {
            before: Vec::new(),
            after: Vec::new(),
            head: String::new(),
            tail: String::new(),
            trim: Trim::None,
        };
        let mut behind = false;
        for segment in &segments.segments {
            let tokens = if behind { &mut around.after } else { &mut around.before };
            match segment {
                Segment::Fixed(fixed) => tokens.extend_from_slice(fixed),
                Segment::Text(pieces) => {
                    let place = pieces.iter().position(|piece| matches!(piece, Piece::Slot(Slot::Document, _)));
                    let Some(place) = place else {
                        tokens.extend(self.tokenizer.encode(&text_of(pieces, values))?);
                        continue;
                    };
                    behind = true;
                    around.head = text_of(&pieces[..place], values);
                    around.tail = text_of(&pieces[place + 1..], values);
                    if let Piece::Slot(_, trim) = pieces[place] {
                        around.trim = trim;
                    }
                }
            }
        }
        Ok(around)
    }

    /// The tokens of the text around the document, with at most `budget` of them, and whether the document was cut. The text
    /// behind the document is kept whole.
    fn body(&self, around: &Around, document: &str, budget: usize) -> Result<(Vec<u32>, bool)> {
        let document = around.trim.apply(document);
        let head = format!("{}{document}", around.head);
        if around.tail.is_empty() {
            return self.tokenizer.encode_up_to(&head, budget);
        }
        let (tokens, longer) = self.tokenizer.encode_up_to(&format!("{head}{}", around.tail), budget)?;
        if !longer {
            return Ok((tokens, false));
        }
        let tail = self.tail_tokens(around)?;
        let room = budget.checked_sub(tail.len()).context("the text behind the document does not fit")?;
        let (mut tokens, _) = self.tokenizer.encode_up_to(&head, room)?;
        tokens.extend(tail);
        Ok((tokens, true))
    }

    /// The tokens that the text behind a document has, whatever the document: those in which two documents agree.
    fn tail_tokens(&self, around: &Around) -> Result<Vec<u32>> {
        let of = |document: &str| self.tokenizer.encode(&format!("{}{document}{}", around.head, around.tail));
        let (one, mut other) = (of("0")?, of("1 2 3 4")?);
        let same = one.iter().rev().zip(other.iter().rev()).take_while(|(one, other)| one == other).count();
        Ok(other.split_off(other.len() - same))
    }
}

impl Prompts for RecipePrompts {
    fn check_query(&self, query: &Query) -> Result<()> {
        let (segments, instruction) = self.segments(query)?;
        if self.cut == Cut::LongestFirst {
            return Ok(());
        }
        // The room is counted from the front, so that a query of many megabytes takes no longer than one that just fits.
        let values = Values { instruction, query: &query.text, document: "" };
        let mut room = self.max_length;
        for segment in &segments.segments {
            let (tokens, longer) = match segment {
                Segment::Fixed(tokens) => (tokens.len(), false),
                Segment::Text(pieces) => {
                    let text = text_of(pieces, &values);
                    // A space before the document is part of the document's first token.
                    let (tokens, longer) = self.tokenizer.encode_up_to(text.trim_end_matches(' '), room)?;
                    (tokens.len(), longer)
                }
            };
            match room.checked_sub(tokens) {
                Some(left) if !longer => room = left,
                _ => room = 0,
            }
        }
        if room == 0 {
            bail!(
                "the query and its instruction leave no room for a document in {} tokens; raise --max-length or shorten \
                 the query",
                self.max_length
            );
        }
        Ok(())
    }

    fn prompt(&self, query: &Query, document: &str) -> Result<Prompt> {
        let (segments, instruction) = self.segments(query)?;
        let values = Values { instruction, query: &query.text, document };
        if let Some(chat) = &self.chat {
            let given = query.instruction.as_deref().or(self.instruction.as_deref());
            chat.check(given, &values, &segments.template)?;
        }
        if self.cut == Cut::LongestFirst {
            return pair::longest_first(&self.tokenizer, segments.two_texts(&values)?, self.max_length);
        }
        let around = self.around(segments, &values)?;
        let taken = around.before.len() + around.after.len();
        let budget = self.max_length.checked_sub(taken).context("the query leaves no room for a document")?;
        let (body, truncated) = self.body(&around, document, budget)?;
        let mut token_ids = around.before;
        token_ids.reserve_exact(body.len() + around.after.len());
        token_ids.extend(body);
        token_ids.extend(around.after);
        Ok(Prompt { token_ids, second_type: None, truncated })
    }

    fn text(&self, query: &Query, document: &str) -> Result<String> {
        let (segments, instruction) = self.segments(query)?;
        let values = Values { instruction, query: &query.text, document };
        let mut text = String::new();
        for piece in segments.template.pieces() {
            match piece {
                Piece::Text(literal) => {
                    for part in parts(literal, &self.tokenizer)? {
                        match part {
                            Part::Text(part) => text += part,
                            Part::Control(token, _) => text += &format!("⟦{token}⟧"),
                        }
                    }
                }
                Piece::Slot(slot, trim) => text += values.get(*slot, *trim),
                Piece::Boundary => text += "⟦⟧",
            }
        }
        Ok(text)
    }
}

impl Segments {
    fn new(template: Template, tokenizer: &TextTokenizer) -> Result<Self> {
        let (mut segments, mut pieces) = (Vec::new(), Vec::new());
        for piece in template.pieces() {
            match piece {
                Piece::Text(text) => {
                    for part in parts(text, tokenizer)? {
                        match part {
                            Part::Text(text) => pieces.push(Piece::Text(text.to_owned())),
                            Part::Control(_, id) => {
                                close(&mut segments, &mut pieces, tokenizer)?;
                                add_fixed(&mut segments, [id]);
                            }
                        }
                    }
                }
                Piece::Slot(..) => pieces.push(piece.clone()),
                Piece::Boundary => close(&mut segments, &mut pieces, tokenizer)?,
            }
        }
        close(&mut segments, &mut pieces, tokenizer)?;
        Ok(Self { template, segments })
    }

    /// The texts of a template that is made of two.
    fn two_texts(&self, values: &Values) -> Result<[String; 2]> {
        let [Segment::Text(first), Segment::Text(second)] = self.segments.as_slice() else {
            bail!("the recipe cuts the longer of two texts, and its template is not made of two texts")
        };
        Ok([first, second].map(|pieces| text_of(pieces, values)))
    }

    /// The tokens that are the same in every prompt.
    fn fixed_tokens(&self) -> usize {
        let count = |segment: &Segment| if let Segment::Fixed(tokens) = segment { tokens.len() } else { 0 };
        self.segments.iter().map(count).sum()
    }
}

/// Ends the text that is tokenized as one string.
fn close(segments: &mut Vec<Segment>, pieces: &mut Vec<Piece>, tokenizer: &TextTokenizer) -> Result<()> {
    let pieces = std::mem::take(pieces);
    if pieces.iter().any(|piece| matches!(piece, Piece::Slot(..))) {
        segments.push(Segment::Text(pieces));
    } else {
        let text: String = pieces.iter().map(|piece| if let Piece::Text(text) = piece { text } else { "" }).collect();
        if !text.is_empty() {
            add_fixed(segments, tokenizer.encode(&text)?);
        }
    }
    Ok(())
}

fn add_fixed(segments: &mut Vec<Segment>, tokens: impl IntoIterator<Item = u32>) {
    match segments.last_mut() {
        Some(Segment::Fixed(fixed)) => fixed.extend(tokens),
        _ => segments.push(Segment::Fixed(tokens.into_iter().collect())),
    }
}

enum Part<'a> {
    Text(&'a str),
    Control(&'a str, u32),
}

/// Parts a template's own text at its control tokens: at the first of them, and of several in one place at the longest.
fn parts<'a>(text: &'a str, tokenizer: &TextTokenizer) -> Result<Vec<Part<'a>>> {
    let (mut parts, mut rest) = (Vec::new(), text);
    while !rest.is_empty() {
        let next = tokenizer
            .control_tokens()
            // White space among the added tokens is seen in any text.
            .filter(|(token, _)| !token.trim().is_empty())
            .filter_map(|(token, id)| Some((rest.find(token)?, std::cmp::Reverse(token.len()), id)))
            .min();
        let (at, length, id) = next.map_or((rest.len(), 0, 0), |(at, length, id)| (at, length.0, id));
        if at > 0 {
            parts.push(Part::Text(&rest[..at]));
        }
        if length > 0 {
            parts.push(Part::Control(&rest[at..at + length], id));
        }
        rest = &rest[at + length..];
    }
    Ok(parts)
}
