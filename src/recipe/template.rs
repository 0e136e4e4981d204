//! Templates: the text around a pair, and the slots for what users give.

use anyhow::{Context, Result, bail, ensure};

/// What stands in a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    /// The instruction by which the model judges.
    Instruction,
    /// The query.
    Query,
    /// The document, which is cut where the prompt is too long.
    Document,
}

impl Slot {
    /// All slots.
    pub const ALL: [Self; 3] = [Self::Instruction, Self::Query, Self::Document];

    /// The slot's name in a template.
    pub fn name(self) -> &'static str {
        match self {
            Self::Instruction => "instruction",
            Self::Query => "query",
            Self::Document => "document",
        }
    }

    /// The slot's own of the texts of all slots.
    pub fn of<T>(self, [instruction, query, document]: [T; 3]) -> T {
        match self {
            Self::Instruction => instruction,
            Self::Query => query,
            Self::Document => document,
        }
    }
}

/// Which ends of a text lose their white space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trim {
    /// Neither.
    None,
    /// Both.
    Both,
    /// The first.
    Start,
    /// The last.
    End,
}

impl Trim {
    /// All ways.
    pub const ALL: [Self; 4] = [Self::None, Self::Both, Self::Start, Self::End];

    /// The text that is left.
    pub fn apply(self, text: &str) -> &str {
        match self {
            Self::None => text,
            Self::Both => text.trim_matches(is_space),
            Self::Start => text.trim_start_matches(is_space),
            Self::End => text.trim_end_matches(is_space),
        }
    }
}

/// Whether Python's `strip`, by which templates are meant, takes a character away: beside Unicode's white space the four
/// separators of ASCII.
fn is_space(character: char) -> bool {
    character.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&character)
}

/// A part of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Text of the template; the control tokens in it are tokens.
    Text(String),
    /// Text of the user, in which nothing is a control token.
    Slot(Slot, Trim),
    /// Tokens end here: what stands before and behind is tokenized apart.
    Boundary,
}

/// The pieces of a prompt, in their order. The document occurs once, the query at least once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Vec<Piece>);

/// What stands in the slots of one prompt.
#[derive(Clone, Copy, Debug)]
pub struct Values<'a> {
    /// The instruction; empty if there is none.
    pub instruction: &'a str,
    /// The query.
    pub query: &'a str,
    /// The document.
    pub document: &'a str,
}

impl<'a> Values<'a> {
    /// What stands in a slot.
    pub fn get(&self, slot: Slot, trim: Trim) -> &'a str {
        trim.apply(match slot {
            Slot::Instruction => self.instruction,
            Slot::Query => self.query,
            Slot::Document => self.document,
        })
    }
}

impl Template {
    /// A template of these pieces.
    ///
    /// # Errors
    /// If a query or the document has no place, or the document has several.
    pub fn new(pieces: Vec<Piece>) -> Result<Self> {
        let template = Self(pieces);
        ensure!(template.count(Slot::Query) > 0, "the template has no place for the query");
        match template.count(Slot::Document) {
            1 => Ok(template),
            0 => bail!("the template has no place for the document"),
            places => {
                bail!(
                    "the template has {places} places for the document, and only one is supported, as it is cut there"
                )
            }
        }
    }

    /// Reads a template in which slots are written as `{query}`, or `{query|trim}` to leave out white space around the text,
    /// and braces of the text twice, as `{{`.
    ///
    /// # Errors
    /// If a slot is unknown or not closed, or the template lacks one.
    pub fn parse(text: &str) -> Result<Self> {
        Self::new(Self::pieces_of(text)?)
    }

    /// Reads a template whose parts are tokenized apart from each other.
    ///
    /// # Errors
    /// As [`Template::parse`].
    pub fn parse_parts(parts: &[impl AsRef<str>]) -> Result<Self> {
        let mut pieces = Vec::new();
        for (index, part) in parts.iter().enumerate() {
            pieces.extend((index > 0).then_some(Piece::Boundary));
            pieces.extend(Self::pieces_of(part.as_ref())?);
        }
        Self::new(pieces)
    }

    fn pieces_of(text: &str) -> Result<Vec<Piece>> {
        let (mut pieces, mut literal, mut rest) = (Vec::new(), String::new(), text);
        while let Some((before, braced)) = rest.find(['{', '}']).and_then(|at| rest.split_at_checked(at)) {
            literal += before;
            let Some((brace, behind)) = braced.split_at_checked(1) else { break };
            rest = behind;
            if let Some(after) = rest.strip_prefix(brace) {
                literal += brace;
                rest = after;
                continue;
            }
            let line = text.strip_suffix(rest).unwrap_or(text).lines().count();
            ensure!(
                brace == "{",
                "a `}}` in line {line} of the template closes nothing; a brace of the text is written twice"
            );
            let (slot, behind) = rest.split_once('}').with_context(|| {
                format!("a `{{` in line {line} of the template is not closed; a brace of the text is written twice")
            })?;
            let (name, trim) = match slot.strip_suffix("|trim") {
                Some(name) => (name, Trim::Both),
                None => (slot, Trim::None),
            };
            let slot = Slot::ALL.into_iter().find(|slot| slot.name() == name).with_context(|| {
                format!(
                    "`{{{name}}}` in line {line} of the template is no slot; there are {{instruction}}, {{query}} and \
                     {{document}}, and a brace of the text is written twice"
                )
            })?;
            if !literal.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut literal)));
            }
            pieces.push(Piece::Slot(slot, trim));
            rest = behind;
        }
        literal += rest;
        if !literal.is_empty() {
            pieces.push(Piece::Text(literal));
        }
        Ok(pieces)
    }

    /// The pieces in their order.
    pub fn pieces(&self) -> &[Piece] {
        &self.0
    }

    /// The template as a file of a recipe has it, and `⟦⟧` where tokens end.
    pub(super) fn source(&self) -> String {
        let part = |piece: &Piece| match piece {
            Piece::Text(text) => text.replace('{', "{{").replace('}', "}}"),
            Piece::Slot(slot, Trim::None) => format!("{{{}}}", slot.name()),
            Piece::Slot(slot, trim) => format!("{{{}|{trim:?}}}", slot.name()),
            Piece::Boundary => "⟦⟧".to_owned(),
        };
        self.0.iter().map(part).collect()
    }

    /// The template's own text.
    pub(super) fn literals(&self) -> String {
        let part = |piece: &Piece| if let Piece::Text(text) = piece { text.clone() } else { "\n".to_owned() };
        self.0.iter().map(part).collect()
    }

    /// Whether an instruction has a place.
    pub fn has_instruction(&self) -> bool {
        self.count(Slot::Instruction) > 0
    }

    fn count(&self, wanted: Slot) -> usize {
        self.0.iter().filter(|piece| matches!(piece, Piece::Slot(slot, _) if *slot == wanted)).count()
    }

    /// The whole prompt as text.
    pub fn text(&self, values: &Values) -> String {
        text_of(&self.0, values)
    }
}

/// Pieces as text.
pub(super) fn text_of(pieces: &[Piece], values: &Values) -> String {
    pieces
        .iter()
        .map(|piece| match piece {
            Piece::Text(text) => text.as_str(),
            Piece::Slot(slot, trim) => values.get(*slot, *trim),
            Piece::Boundary => "",
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_and_braces_are_read() {
        let template = Template::parse("a{{b}} {query}\n{document|trim}!").unwrap();
        let values = Values { instruction: "", query: "{document} {{", document: " d\n" };
        assert_eq!(template.text(&values), "a{b} {document} {{\nd!");
        assert!(!template.has_instruction());
    }

    #[test]
    fn white_space_is_that_of_python() {
        // [chr(c) for c in range(0x110000) if chr(c).isspace()]
        let spaces = "\t\n\u{b}\u{c}\r\u{1c}\u{1d}\u{1e}\u{1f} \u{85}\u{a0}\u{1680}\u{2000}\u{2001}\u{2002}\u{2003}\u{2004}\
                      \u{2005}\u{2006}\u{2007}\u{2008}\u{2009}\u{200a}\u{2028}\u{2029}\u{202f}\u{205f}\u{3000}";
        let found: String = ('\0'..=char::MAX).filter(|character| is_space(*character)).collect();
        assert_eq!(found, spaces);
        for (trim, left) in
            [(Trim::Both, "a"), (Trim::Start, "a\u{1f}"), (Trim::End, "\u{1c}a"), (Trim::None, "\u{1c}a\u{1f}")]
        {
            assert_eq!(trim.apply("\u{1c}a\u{1f}"), left);
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (text, named) in [
            ("{query} {doc}", "`{doc}` in line 1"),
            ("{query}\n{document", "line 2"),
            ("{query} {document} }", "closes nothing"),
            ("{document}", "no place for the query"),
            ("{query}", "no place for the document"),
            ("{query}{document}{document}", "2 places"),
        ] {
            let message = Template::parse(text).unwrap_err().to_string();
            assert!(message.contains(named), "{text}: {message}");
        }
    }
}
