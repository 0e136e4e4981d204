//! A checkpoint's chat template, a Jinja program, becomes a template of pieces and slots: it is rendered with marks in place
//! of the user's texts, and parted at the marks. So control tokens come from the template alone, and a user's text stays text.
//!
//! Every prompt is rendered again with its own texts and compared, so that a template which looks into the texts is found out.

use std::fmt;

use anyhow::{Context, Result, anyhow, ensure};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value};
use minijinja::{Environment, Error, ErrorKind, State};
use minijinja_contrib::pycompat::unknown_method_callback;
use serde_json::{Map, json};

use super::python::print_like_python;
use super::template::{Piece, Slot, Template, Trim, Values, text_of};

/// How a message has its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageFormat {
    /// As a text.
    Flat,
    /// As a list of one part, of the type text.
    Structured,
}

/// A template that makes the prompt of a system, a query and a document message.
pub struct ChatTemplate {
    environment: Environment<'static>,
    format: MessageFormat,
    /// Variables besides the messages.
    variables: Map<String, serde_json::Value>,
    /// Where the template was read, for messages.
    origin: String,
    names_roles: bool,
    /// The text of the system message of every prompt, where the template has no place for it and reacts to it.
    system: Option<String>,
}

/// Why a template can't make a pair's prompt.
#[derive(Debug)]
pub(super) enum Unfit {
    /// It leaves the query or the document out, or refuses them, as the templates of chat models do.
    NotForPairs(String),
    /// It is for pairs, and what it does with them can't be followed.
    Other(anyhow::Error),
}

/// What one rendering may take, in minijinja's measure: an instruction takes 1, and so do 64 bytes that are made. The largest
/// published templates take a few thousand for a pair.
const FUEL: u64 = 50_000;
const NAME: &str = "chat_template";
/// How the message of an error begins that the template itself raises.
const RAISED: &str = "it refuses such messages: ";
/// Marks that no text has, of letters alone; two sets, of which one differs from the other in everything but its meaning.
const MARKS: [[&str; 3]; 2] =
    [["QxInstructionZj", "QxQueryZj", "QxDocumentZj"], ["VkSystemWp", "VkAskedWp", "VkFoundWp"]];

impl ChatTemplate {
    /// Compiles a template, as transformers does.
    ///
    /// # Errors
    /// If it is no Jinja template, or uses what is not supported.
    pub(super) fn new(
        source: &str,
        format: MessageFormat,
        variables: Map<String, serde_json::Value>,
        origin: &str,
    ) -> Result<Self> {
        let mut environment = Environment::new();
        environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
        environment.set_unknown_method_callback(method);
        environment.add_filter("trim", |value: Value, characters: Option<String>| {
            let text = value.to_string();
            match characters {
                None => Trim::Both.apply(&text).to_owned(),
                Some(characters) => text.trim_matches(|character| characters.contains(character)).to_owned(),
            }
        });
        print_like_python(&mut environment);
        environment.add_function("raise_exception", |message: String| -> Result<Value, Error> {
            Err(Error::new(ErrorKind::InvalidOperation, format!("{RAISED}{message}")))
        });
        environment.add_function("strftime_now", |_: String| -> Result<Value, Error> {
            Err(Error::new(ErrorKind::InvalidOperation, "it uses the date (strftime_now), and a score must not"))
        });
        environment
            .add_template_owned(NAME, without_generation_blocks(&source.replace("\r\n", "\n").replace('\r', "\n")))
            .map_err(|error| anyhow!("the chat template of {origin} can't be read: {}", problem(&error)))?;
        let names_roles = Self::names_roles(source);
        Ok(Self { environment, format, variables, origin: origin.to_owned(), names_roles, system: None })
    }

    /// Where the template was read.
    pub(super) fn origin(&self) -> &str {
        &self.origin
    }

    /// The template with this system message in each prompt that has no instruction.
    pub(super) fn with_system(self, text: &str) -> Self {
        Self { system: Some(text.to_owned()), ..self }
    }

    /// The form of messages that sentence-transformers infers from a template.
    pub(super) fn inferred_format(source: &str) -> MessageFormat {
        let structured = ["content[0]", ".type", "'type'", "\"type\"", "item.type", "message.content["];
        match structured.iter().any(|pattern| source.contains(pattern)) {
            true => MessageFormat::Structured,
            false => MessageFormat::Flat,
        }
    }

    fn render(&self, instruction: Option<&str>, query: &str, document: &str) -> Result<String, Error> {
        let content = |text: &str| match self.format {
            MessageFormat::Flat => json!(text),
            MessageFormat::Structured => json!([{"type": "text", "text": text}]),
        };
        let message = |role: &str, text: &str| json!({"role": role, "content": content(text)});
        let system = instruction.or(self.system.as_deref()).map(|text| message("system", text));
        let messages: Vec<_> =
            system.into_iter().chain([message("query", query), message("document", document)]).collect();
        let mut context = json!({
            "messages": messages, "tools": null, "documents": null, "add_generation_prompt": false
        });
        if let Some(context) = context.as_object_mut() {
            context.extend(self.variables.clone());
        }
        let mut environment = self.environment.clone();
        // Each text may be made anew some dozens of times, however long it is.
        let texts = instruction.map_or(0, str::len) + query.len() + document.len();
        environment.set_fuel(Some(FUEL + texts as u64));
        environment.get_template(NAME)?.render(Value::from(Serde(&context)))
    }

    /// The pieces of the prompt, with or without an instruction. With one, the result is none if the template has no place for it.
    pub(super) fn pieces(&self, with_instruction: bool) -> Result<Option<Template>, Unfit> {
        let render = |texts: [&str; 3]| self.render(with_instruction.then_some(texts[0]), texts[1], texts[2]);
        let of = |texts: [&str; 3]| render(texts).map_err(|error| self.unfit(&error));
        let rendered = [of(MARKS[0])?, of(MARKS[1])?];
        for slot in Slot::ALL.into_iter().skip(usize::from(!with_instruction)) {
            if rendered.iter().zip(MARKS).all(|(rendered, marks)| rendered.contains(slot.of(marks))) {
                continue;
            }
            let other = MARKS[0].map(|mark| if mark == slot.of(MARKS[0]) { "foxtrot 7" } else { mark });
            let is_carried = of(other)? != rendered[0];
            match slot {
                _ if is_carried => return Err(Unfit::Other(self.changes(slot))),
                Slot::Instruction => return Ok(None),
                _ => return Err(Unfit::NotForPairs(format!("the {} does not reach the prompt", slot.name()))),
            }
        }
        let mut pieces = parted(&rendered[0], MARKS[0]);
        if pieces != parted(&rendered[1], MARKS[1]) {
            return Err(Unfit::Other(anyhow!(
                "the chat template of {} makes other text around other queries and documents, which is not supported",
                self.origin
            )));
        }
        for slot in Slot::ALL.into_iter().skip(usize::from(!with_instruction)) {
            self.find_trim(slot, with_instruction, &mut pieces).map_err(Unfit::Other)?;
        }
        let template = Template::new(pieces).with_context(|| format!("the chat template of {}", self.origin));
        template.map(Some).map_err(Unfit::Other)
    }

    /// A template that refuses pairs is for other uses, and so is one that fails and names neither.
    fn unfit(&self, error: &Error) -> Unfit {
        let refuses = error.detail().is_some_and(|detail| detail.starts_with(RAISED));
        match refuses || !self.names_roles {
            true => Unfit::NotForPairs(problem(error)),
            false => Unfit::Other(anyhow!("the chat template of {} fails: {}", self.origin, problem(error))),
        }
    }

    /// Whether the template names the roles of a pair; it may pass any role through.
    pub(super) fn names_roles(source: &str) -> bool {
        [Slot::Query, Slot::Document]
            .iter()
            .all(|slot| ["'", "\""].iter().any(|quote| source.contains(&format!("{quote}{}{quote}", slot.name()))))
    }

    /// Finds out which white space around a text the template takes away.
    fn find_trim(&self, slot: Slot, with_instruction: bool, pieces: &mut [Piece]) -> Result<()> {
        let padded = |mark: &str| if mark == slot.of(MARKS[0]) { format!(" \n\t{mark} \n ") } else { mark.to_owned() };
        let [instruction, query, document] = &MARKS[0].map(padded);
        let rendered = self
            .render(with_instruction.then_some(instruction), query, document)
            .map_err(|error| anyhow!("the chat template of {}: {}", self.origin, problem(&error)))?;
        for way in Trim::ALL {
            for piece in pieces.iter_mut() {
                if let Piece::Slot(found, trim) = piece
                    && *found == slot
                {
                    *trim = way;
                }
            }
            if text_of(pieces, &Values { instruction, query, document }) == rendered {
                return Ok(());
            }
        }
        Err(self.changes(slot))
    }

    fn changes(&self, slot: Slot) -> anyhow::Error {
        anyhow!(
            "the chat template of {} does more with the text of the {} than putting it into the prompt, with or without the \
             white space at its ends, which is not supported; --recipe names another prompt",
            self.origin,
            slot.name()
        )
    }

    /// Checks that the template makes just this prompt of the texts.
    ///
    /// # Errors
    /// If it looks into the texts, and makes another.
    pub(super) fn check(&self, instruction: Option<&str>, values: &Values, template: &Template) -> Result<()> {
        let rendered = self.render(instruction, values.query, values.document);
        let rendered =
            rendered.map_err(|error| anyhow!("the chat template of {}: {}", self.origin, problem(&error)))?;
        ensure!(
            rendered == template.text(values),
            "the chat template of {} makes another prompt of these texts than of others, which is not supported; --recipe \
             names another prompt",
            self.origin
        );
        Ok(())
    }
}

impl fmt::Debug for ChatTemplate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ChatTemplate({})", self.origin)
    }
}

/// A method of Python's strings; white space is what Python takes for it.
fn method(state: &mut State, value: &Value, name: &str, arguments: &[Value]) -> Result<Value, Error> {
    let trim = match name {
        "strip" => Some(Trim::Both),
        "lstrip" => Some(Trim::Start),
        "rstrip" => Some(Trim::End),
        _ => None,
    };
    match (trim, value.as_str(), arguments) {
        (Some(trim), Some(text), []) => Ok(trim.apply(text).into()),
        _ => unknown_method_callback(state, value, name, arguments),
    }
}

/// Parts a rendered text at the marks.
fn parted(rendered: &str, marks: [&str; 3]) -> Vec<Piece> {
    let (mut pieces, mut rest) = (Vec::new(), rendered);
    loop {
        let next = Slot::ALL.into_iter().filter_map(|slot| Some((rest.split_once(slot.of(marks))?, slot)));
        let Some(((text, behind), slot)) = next.min_by_key(|((text, _), _)| text.len()) else { break };
        if !text.is_empty() {
            pieces.push(Piece::Text(text.to_owned()));
        }
        pieces.push(Piece::Slot(slot, Trim::None));
        rest = behind;
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest.to_owned()));
    }
    pieces
}

/// Takes out the blocks by which transformers finds what an assistant has written. They leave no trace in the text.
fn without_generation_blocks(source: &str) -> String {
    let mut source = source.to_owned();
    for name in ["generation", "endgeneration"] {
        for (open, close) in [("{%", "%}"), ("{%-", "-%}"), ("{%-", "%}"), ("{%", "-%}")] {
            // A comment has the same effect on white space.
            let comment = format!("{}{}", open.replace('%', "#"), close.replace('%', "#"));
            source = source.replace(&format!("{open} {name} {close}"), &comment);
        }
    }
    source
}

/// What is wrong, with the line.
fn problem(error: &Error) -> String {
    let what = match error.kind() {
        ErrorKind::OutOfFuel => "it takes too many steps, or makes too much text".to_owned(),
        kind => error.detail().map_or_else(|| kind.to_string(), str::to_owned),
    };
    match error.line() {
        Some(line) => format!("{what} (line {line})"),
        None => what,
    }
}

impl Unfit {
    /// The error of a template that must be used.
    pub(super) fn into_error(self, origin: &str) -> anyhow::Error {
        match self {
            Self::NotForPairs(why) => anyhow!(
                "the chat template of {origin} can't carry a query and a document ({why}); it needs messages of the roles \
                 query and document, and --recipe names another prompt"
            ),
            Self::Other(error) => error,
        }
    }
}
