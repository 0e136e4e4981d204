//! What is said of a record in which a field is missing: which names were looked for, which the record has, and how to name one
//! of them.

use super::header::listed;
use super::names::{Field, Names, lists_of_ids};
use super::values::{Kind, Object, kind};
use super::without_texts::{REMEDY, are_of_ranked};
use crate::slices::first;

/// More names than a person reads.
const MOST_NAMES: usize = 12;

/// The problem that a record has none of the names of a field.
pub fn missing(field: Field, names: &Names, object: &Object<'_>) -> String {
    let what = if field == Field::Query { "query" } else { "text" };
    if let Some(name) = object.null(names.of(field)) {
        return format!("there is no {what}: `{name}` is null; give it a value, or remove the record");
    }
    let remedy = match has(object) {
        None if field == Field::Text => "; name the file of the texts with --collection".to_owned(),
        None => String::new(),
        Some(has) if field == Field::Text && are_of_ranked(object.left().map(|(name, _)| name)) => {
            format!("; {has}; {REMEDY}")
        }
        Some(has) => {
            let file = if field == Field::Query { "--queries" } else { "--collection" };
            let meant = meant(field, names, object);
            format!("; {has}; name it with --columns {}={meant}, or the file of the texts with {file}", field.name())
        }
    };
    format!("there is no {what}: none of {} has a value{remedy}", names.listed(field))
}

/// The problem that a record has neither a list of candidates nor a text, and perhaps no query.
pub fn neither(names: &Names, object: &Object<'_>) -> String {
    if let Some(name) = [Field::Text, Field::Candidates].iter().find_map(|field| object.null(names.of(*field))) {
        return format!("there is no candidate: `{name}` is null; give it a value, or remove the record");
    }
    let has_query = object.find(names.of(Field::Query)).is_some();
    let [query, candidates, text] =
        [Field::Query, Field::Candidates, Field::Text].map(|field| meant(field, names, object));
    let is_list = |name: &&str| object.find(&[name]).is_some_and(|(_, value)| kind(value) == Kind::List);
    if let Some(list) = lists_of_ids().find(is_list) {
        let files = if has_query { "--collection" } else { "--collection, and that of the queries with --queries" };
        return format!(
            "there are no texts: if `{list}` are the candidates, name the file of their texts with {files}"
        );
    }
    let remedy = match has(object) {
        None => String::new(),
        Some(has) if has_query => {
            format!("; {has}; name it with --columns candidates={candidates} (a list), or text={text}")
        }
        // The text of a pair would be a guess beside a query that is one, too.
        Some(has) => format!(
            "; {has}; name them with --columns query={query},candidates={candidates} (a list), or query=NAME,text=NAME"
        ),
    };
    let [queries, lists, texts] = [Field::Query, Field::Candidates, Field::Text].map(|field| names.listed(field));
    let queries = if has_query { String::new() } else { format!("no query ({queries}), and ") };
    format!("there is {queries}neither a list of candidates ({lists}) nor a text ({texts}){remedy}")
}

/// The names of the fields that have a value and were not read.
pub fn has(object: &Object<'_>) -> Option<String> {
    let names: Vec<String> = object.left().map(|(name, _)| name.to_owned()).collect();
    let more = if names.len() > MOST_NAMES { ", …" } else { "" };
    (!names.is_empty()).then(|| format!("the record has {}{more}", listed(first(&names, MOST_NAMES))))
}

/// The name of the one field that is most likely meant, or a word in its place.
fn meant(field: Field, names: &Names, object: &Object<'_>) -> String {
    let wanted = if field == Field::Candidates { Kind::List } else { Kind::String };
    let free: Vec<&str> = object
        .left()
        .filter(|(name, value)| kind(value) == wanted && !names.is_known(name) && !name.contains([',', '=']))
        .map(|(name, _)| name)
        .collect();
    let is_alike = |name: &&&str| field.aliases().iter().any(|alias| name.to_lowercase().contains(alias));
    let alike: Vec<&&str> = free.iter().filter(is_alike).collect();
    match (&alike[..], &free[..]) {
        ([name], _) => (**name).to_owned(),
        ([], [name]) => (*name).to_owned(),
        _ => "NAME".to_owned(),
    }
}
