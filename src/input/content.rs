//! The identifier, the title and the text of a candidate or a document, wherever its object keeps them.

use serde_json::value::RawValue;

use super::entry::unless_blank;
use super::missing::{has, missing};
use super::names::{Field, Names, is_same_name};
use super::notes::Notes;
use super::values::{Kind, Object, as_object, id, kind, text};
use crate::record::Fields;

/// Names of objects in which people's tools keep a candidate's text: Elasticsearch and `OpenSearch`, `LlamaIndex` (two
/// names), a serialized `LangChain` document, Qdrant, Vespa, Milvus, Weaviate, Pinecone, Haystack. `doc` and `document`
/// are names of the text itself, which may be an object as well.
const CONTAINERS: [&str; 10] =
    ["_source", "node", "text_resource", "kwargs", "payload", "fields", "entity", "properties", "metadata", "meta"];

/// The identifier and the texts of a candidate or document.
#[derive(Debug)]
pub struct Content {
    /// Its identifier, never blank.
    pub id: Option<String>,
    /// Its title, never blank.
    pub title: Option<String>,
    /// Its text, or the message that there is none.
    pub text: Result<String, String>,
    /// What is left of the object that held the text, under its name.
    pub container: Fields,
    /// The name under which the identifier stood.
    id_name: String,
}

/// The names under which an object is read.
#[derive(Clone, Copy)]
pub struct Naming<'n> {
    names: &'n Names,
    /// Whether the field's own names count, since `--columns` names the object that holds the text and not the text.
    standard: bool,
    /// Whether `--columns` could name them otherwise.
    is_named_by_options: bool,
}

impl<'n> Naming<'n> {
    /// The names of the fields.
    pub fn new(names: &'n Names) -> Self {
        Self { names, standard: false, is_named_by_options: true }
    }

    /// The names of fields that `--columns` does not rename.
    pub fn fixed(names: &'n Names) -> Self {
        Self { names, standard: false, is_named_by_options: false }
    }

    fn no_text(self, object: &Object<'_>) -> String {
        if self.is_named_by_options && !self.standard {
            return missing(Field::Text, self.names, object);
        }
        let has = has(object).map_or_else(String::new, |has| format!("; {has}; rename the one that is the text"));
        let quoted: Vec<_> = Field::Text.aliases().iter().map(|name| format!("`{name}`")).collect();
        format!("there is no text: none of {} has a value{has}", quoted.join(", "))
    }

    fn take<'a>(self, object: &mut Object<'a>, field: Field) -> Option<(String, &'a RawValue)> {
        if self.standard { object.take(field.aliases()) } else { object.take(self.names.of(field)) }
    }

    fn is_own(self, field: Field, name: &str) -> bool {
        if self.standard {
            field.aliases().iter().any(|own| is_same_name(own, name))
        } else {
            self.names.is_of(field, name)
        }
    }
}

impl Default for Content {
    fn default() -> Self {
        let (container, id_name) = (Fields::new(), String::new());
        Self { id: None, title: None, text: Ok(String::new()), container, id_name }
    }
}

impl Content {
    /// Takes the content out of an object.
    ///
    /// # Errors
    /// Something has the wrong type; the identifier is kept where it could be read.
    pub fn take(&mut self, object: &mut Object<'_>, naming: Naming<'_>, notes: &mut Notes) -> Result<(), String> {
        // A serialized LangChain object has the path of its class under `id`.
        if object.find(&["lc"]).is_some() && object.find(&["kwargs"]).is_some() {
            object.take(&["id"]);
        }
        if self.id.is_none()
            && let Some((name, value)) = naming.take(object, Field::Id)
        {
            self.id = id(&name, value)?;
            self.id_name = name;
        }
        if let Some(id) = &self.id {
            notes.rivals(object, Field::Id, (&self.id_name, id), |name| naming.is_own(Field::Id, name));
        }
        match naming.take(object, Field::Text) {
            Some((name, value)) if kind(value) == Kind::Object => {
                let standard = naming.standard || !Field::Text.aliases().contains(&&*name);
                self.take_nested((name, value), Naming { standard, ..naming }, notes)?;
            }
            Some((name, value)) => {
                let text = text(&name, value)?;
                notes.rivals(object, Field::Text, (&name, &text), |name| naming.is_own(Field::Text, name));
                self.text = Ok(text);
            }
            None => match container(object, naming, self.id.is_none() && naming.names.are_of_ids()) {
                Some(found) => self.take_nested(found, naming, notes)?,
                None => self.text = Err(naming.no_text(object)),
            },
        }
        if let Some((name, value)) = naming.take(object, Field::Title) {
            self.title = text(&name, value).map(unless_blank)?.or(self.title.take());
        }
        Ok(())
    }

    /// Reads `"doc": {"contents": …, "title": …}`, and keeps what is left of that object.
    fn take_nested(
        &mut self,
        (name, value): (String, &RawValue),
        naming: Naming<'_>,
        notes: &mut Notes,
    ) -> Result<(), String> {
        let mut object = Object::parse(value.get())?;
        notes.look_at(&object);
        let within = |problem| format!("in `{name}`: {problem}");
        self.take(&mut object, naming, notes).map_err(within)?;
        if let Err(problem) = &mut self.text {
            *problem = within(std::mem::take(problem));
        }
        let mut fields = object.rest(|name| Field::ALL.iter().any(|&field| naming.is_own(field, name)));
        fields.append(&mut self.container);
        self.container = as_object(name, &fields);
        Ok(())
    }
}

/// An object beside which there is no text and in which there is one; or an identifier, if that is enough.
fn container<'a>(object: &mut Object<'a>, naming: Naming<'_>, is_id_enough: bool) -> Option<(String, &'a RawValue)> {
    let holds_text = |name: &&str| {
        let inner = object.find(&[name]).filter(|(_, value)| kind(value) == Kind::Object);
        let inner = inner.and_then(|(_, value)| Object::parse(value.get()).ok());
        inner.is_some_and(|mut inner| {
            naming.take(&mut inner, Field::Text).is_some() || container(&mut inner, naming, false).is_some()
        })
    };
    let holds_id = |name: &&str| {
        let inner = object.find(&[name]).filter(|(_, value)| kind(value) == Kind::Object);
        let inner = inner.and_then(|(_, value)| Object::parse(value.get()).ok());
        is_id_enough && inner.is_some_and(|mut inner| naming.take(&mut inner, Field::Id).is_some())
    };
    let name =
        CONTAINERS.iter().find(|name| holds_text(name)).or_else(|| CONTAINERS.iter().find(|name| holds_id(name)))?;
    object.take(&[name])
}
