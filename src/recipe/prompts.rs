//! Makes the prompts of any recipe. Control tokens come from the template alone, or from the tokenizer; what stands between two
//! of them is tokenized as one string, as the reference does, because cutting it at the slots could change where tokens meet.

use std::sync::Arc;

use anyhow::{Context, Result, bail};

use super::chat_template::ChatTemplate;
use super::pair::Pair;
use super::segments::{Part, Segment, Segments, parts};
use super::template::{Piece, Slot, Template, Trim, Values, text_of};
use super::value::{Cut, PairLength, Recipe};
use super::{Prompt, Prompts, QueryTooLong, TextTokenizer};
use crate::record::Query;

/// The prompts of a recipe.
pub(super) struct RecipePrompts {
    tokenizer: TextTokenizer,
    plain: Option<Segments>,
    instructed: Option<Segments>,
    /// The instruction of queries that have none of their own.
    instruction: Option<String>,
    chat: Option<Arc<ChatTemplate>>,
    /// How the two texts of a template that is made of them are put together.
    pair: Option<Pair>,
    /// The most tokens of a query that stands by itself in a template, where the recipe limits them.
    most_of_query: Option<usize>,
    max_length: usize,
    name: String,
}

/// A limit that leaves no room for the texts.
#[derive(Debug)]
pub(super) struct NoRoom {
    /// What the prompt takes without them.
    pub(super) shortest: usize,
}

impl std::fmt::Display for NoRoom {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "the prompt alone takes {} tokens, and leaves no room for texts", self.shortest)
    }
}

/// A prompt without its document.
struct Around {
    before: Vec<u32>,
    after: Vec<u32>,
    /// The text that stands before the document and meets it, and the text behind it.
    head: String,
    tail: String,
    trim: Trim,
    /// Whether that text goes on behind a control token.
    inside: bool,
    /// Whether the query was cut.
    query_cut: bool,
}

impl RecipePrompts {
    /// Prepares the templates. `instruction` is the run's own.
    ///
    /// # Errors
    /// If the tokenizer lacks the template's control tokens.
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
            let new = |template: &Template| Segments::new(template.clone(), &tokenizer, recipe.special_tokens);
            template.as_ref().map(new).transpose()
        };
        let (plain, instructed) = (segments(&recipe.plain)?, segments(&recipe.instructed)?);
        let instruction = instruction.map(str::to_owned).or_else(|| recipe.instruction.clone());
        let chat = recipe.chat.clone();
        let pair = recipe.pair.clone().map(|frame| Pair { frame, cut: recipe.cut, max_length });
        let name = recipe.name.clone();
        let most_of_query = match (recipe.cut, recipe.longest_pair) {
            (Cut::QueryShare, Some(PairLength { fixed, .. })) => {
                let beside = Self::beside_pair(&tokenizer, recipe)?.saturating_sub(fixed);
                Some(max_length.saturating_sub(beside).saturating_mul(3) / 4)
            }
            _ => None,
        };
        Ok(Self { tokenizer, plain, instructed, instruction, chat, pair, most_of_query, max_length, name })
    }

    /// Checks that the templates leave room in the longest prompt.
    ///
    /// # Errors
    /// If they don't.
    pub(super) fn check_room(&self) -> Result<(), NoRoom> {
        let fixed = [&self.plain, &self.instructed].into_iter().flatten().map(Segments::fixed_tokens).min();
        let shortest = fixed.unwrap_or(0) + self.pair.as_ref().map_or(0, |pair| Pair::least(&pair.frame));
        if self.max_length > shortest { Ok(()) } else { Err(NoRoom { shortest }) }
    }

    /// The longest prompt of a recipe that limits its pairs.
    ///
    /// # Errors
    /// If the tokenizer fails.
    pub(super) fn longest(tokenizer: &TextTokenizer, recipe: &Recipe) -> Result<Option<usize>> {
        let Some(PairLength { tokens, fixed }) = recipe.longest_pair else { return Ok(None) };
        Ok(Some(tokens + Self::beside_pair(tokenizer, recipe)?.saturating_sub(fixed)))
    }

    /// The tokens of a recipe's prompt that are not those of a pair.
    fn beside_pair(tokenizer: &TextTokenizer, recipe: &Recipe) -> Result<usize> {
        let Some(template) = recipe.plain.as_ref().or(recipe.instructed.as_ref()) else { return Ok(0) };
        let segments = Segments::new(template.clone(), tokenizer, recipe.special_tokens)?;
        let instruction = recipe.instruction.as_deref().unwrap_or_default();
        segments.tokens_beside_pair(&Values { instruction, query: "", document: "" }, tokenizer)
    }

    /// How many tokens of a text without a document are read at most: none, if all are.
    fn most_of(&self, pieces: &[Piece]) -> Option<usize> {
        let is_query = |piece: &Piece| matches!(piece, Piece::Slot(Slot::Query, _));
        self.most_of_query.filter(|_| pieces.iter().any(is_query))
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
            inside: false,
            query_cut: false,
        };
        let mut behind = false;
        for segment in &segments.segments {
            let tokens = if behind { &mut around.after } else { &mut around.before };
            match segment {
                Segment::Fixed(fixed) => tokens.extend_from_slice(fixed),
                Segment::Text { pieces, inside } => {
                    let place = pieces.iter().position(|piece| matches!(piece, Piece::Slot(Slot::Document, _)));
                    let parts = place.and_then(|place| pieces.split_at_checked(place));
                    let Some((head, [Piece::Slot(_, trim), tail @ ..])) = parts else {
                        let (tokenizer, text) = (self.tokenizer.at(*inside), text_of(pieces, values));
                        match self.most_of(pieces) {
                            None => tokens.extend(tokenizer.encode(&text)?),
                            Some(most) => {
                                let (read, longer) = tokenizer.encode_up_to(&text, most)?;
                                tokens.extend(read);
                                around.query_cut |= longer;
                            }
                        }
                        continue;
                    };
                    (behind, around.inside) = (true, *inside);
                    (around.head, around.tail) = (text_of(head, values), text_of(tail, values));
                    around.trim = *trim;
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
        let tokenizer = self.tokenizer.at(around.inside);
        if around.tail.is_empty() {
            return tokenizer.encode_up_to(&head, budget);
        }
        let (tokens, longer) = tokenizer.encode_up_to(&format!("{head}{}", around.tail), budget)?;
        if !longer {
            return Ok((tokens, false));
        }
        let tail = self.tail_tokens(around)?;
        let room = budget.checked_sub(tail.len()).context("the text behind the document does not fit")?;
        let (mut tokens, _) = tokenizer.encode_up_to(&head, room)?;
        tokens.extend(tail);
        Ok((tokens, true))
    }

    /// The tokens that the text behind a document has, whatever the document: those in which two documents agree.
    fn tail_tokens(&self, around: &Around) -> Result<Vec<u32>> {
        let tokenizer = self.tokenizer.at(around.inside);
        let of = |document: &str| tokenizer.encode(&format!("{}{document}{}", around.head, around.tail));
        let (one, mut other) = (of("0")?, of("1 2 3 4")?);
        let same = one.iter().rev().zip(other.iter().rev()).take_while(|(one, other)| one == other).count();
        Ok(other.split_off(other.len() - same))
    }
}

impl Prompts for RecipePrompts {
    fn check_query_within(&self, query: &Query, tokens: usize) -> Result<Option<String>> {
        let (segments, instruction) = self.segments(query)?;
        if let Some(pair) = &self.pair {
            let [first, _] = segments.two_texts(&Values { instruction, query: &query.text, document: "" })?;
            return pair.within(tokens)?.check_first(&self.tokenizer, &first);
        }
        let tokens = self.max_length.min(tokens);
        // The room is counted from the front, so that a query of many megabytes takes no longer than one that just fits.
        let values = Values { instruction, query: &query.text, document: "" };
        let (mut room, mut query_cut) = (tokens, None);
        for segment in &segments.segments {
            let (tokens, longer) = match segment {
                Segment::Fixed(tokens) => (tokens.len(), false),
                Segment::Text { pieces, inside } => {
                    let text = text_of(pieces, &values);
                    let most = self.most_of(pieces).filter(|most| *most < room);
                    // A space before the document is part of the document's first token.
                    let text = text.trim_end_matches(' ');
                    let (tokens, longer) = self.tokenizer.at(*inside).encode_up_to(text, most.unwrap_or(room))?;
                    query_cut = query_cut.or(most.filter(|_| longer));
                    (tokens.len(), longer && most.is_none())
                }
            };
            match room.checked_sub(tokens) {
                Some(left) if !longer => room = left,
                _ => room = 0,
            }
        }
        if room == 0 {
            bail!(QueryTooLong { tokens });
        }
        Ok(query_cut.map(|most| {
            format!(
                "the query is longer than three quarters of the tokens of a pair, and only its first {most} are read, as its \
                 makers' program does; its results are marked as truncated"
            )
        }))
    }

    fn beginning<'a>(&self, text: &'a str, tokens: usize) -> Result<&'a str> {
        self.tokenizer.beginning(text, tokens)
    }

    fn prompt_within(&self, query: &Query, document: &str, tokens: usize) -> Result<Prompt> {
        let (segments, instruction) = self.segments(query)?;
        let values = Values { instruction, query: &query.text, document };
        if let Some(chat) = &self.chat {
            let given = query.instruction.as_deref().or(self.instruction.as_deref());
            chat.check(given, &values, &segments.template)?;
        }
        if let Some(pair) = &self.pair {
            return pair.within(tokens)?.prompt(&self.tokenizer, &segments.two_texts(&values)?);
        }
        let around = self.around(segments, &values)?;
        let taken = around.before.len() + around.after.len();
        let budget =
            self.max_length.min(tokens).checked_sub(taken).context("the query leaves no room for a document")?;
        let (body, truncated) = self.body(&around, document, budget)?;
        let mut token_ids = around.before;
        token_ids.reserve_exact(body.len() + around.after.len());
        token_ids.extend(body);
        token_ids.extend(around.after);
        Ok(Prompt { token_ids, second_type: None, truncated: truncated || around.query_cut, document_cut: truncated })
    }

    fn room(&self, query: &Query, in_front: &str) -> Result<usize> {
        if let Some(pair) = &self.pair {
            let (segments, instruction) = self.segments(query)?;
            let values = Values { instruction, query: &query.text, document: in_front };
            return pair.room_behind(&self.tokenizer, &segments.two_texts(&values)?);
        }
        Ok(self.max_length.saturating_sub(self.prompt(query, in_front)?.token_ids.len()))
    }

    fn text(&self, query: &Query, document: &str) -> Result<String> {
        let (segments, instruction) = self.segments(query)?;
        let values = Values { instruction, query: &query.text, document };
        if let Some(pair) = &self.pair {
            return Ok(pair.text(&self.tokenizer, &segments.two_texts(&values)?));
        }
        let marks = |ids: &[u32]| -> String {
            ids.iter().map(|id| format!("⟦{}⟧", self.tokenizer.added_token(*id).unwrap_or("?"))).collect()
        };
        let [before, after] = &segments.around;
        let mut text = marks(before);
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
        Ok(text + &marks(after))
    }
}
