//! The texts of a call, borrowed from Python or from Arrow: pairs, documents of one query, columns.

use std::sync::Arc;

use ahash::AHashMap;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::pybacked::{PyBackedBytes, PyBackedStr};
use pyo3::types::{PyString, PyTuple};

use crate::errors::misuse;

/// Pairs that are counted before Python is asked for signals.
const PAIRS_AT_A_TIME: usize = 1 << 16;

/// Pairs of a query and a document. Each different query stands once.
pub(crate) struct Pairs<'a> {
    /// The different queries, in the order in which they come up.
    pub(crate) queries: Vec<&'a str>,
    /// For each pair, the index of its query.
    pub(crate) query_of: Vec<u32>,
    /// For each pair, its document.
    pub(crate) documents: Vec<&'a str>,
    /// What a pair is called in messages, as `pairs` in `pairs[3]`.
    pub(crate) name: &'static str,
}

impl<'a> Pairs<'a> {
    /// The documents of one query.
    pub(crate) fn of_query(query: &'a str, documents: &'a [PyBackedStr]) -> Self {
        let documents: Vec<&str> = documents.iter().map(|document| &**document).collect();
        Self { queries: vec![query], query_of: vec![0; documents.len()], documents, name: "documents" }
    }

    /// Pairs, each with its query.
    pub(crate) fn new(pairs: impl Iterator<Item = (&'a str, &'a str)>, name: &'static str) -> Self {
        let mut found: AHashMap<&str, u32> = AHashMap::new();
        let mut all = Self { queries: Vec::new(), query_of: Vec::new(), documents: Vec::new(), name };
        for (query, document) in pairs {
            let index = *found.entry(query).or_insert_with(|| {
                all.queries.push(query);
                (all.queries.len() - 1) as u32
            });
            all.query_of.push(index);
            all.documents.push(document);
        }
        all
    }
}

/// A text of Python. `name` is what it is called, and `index` its place, if it has one.
///
/// # Errors
/// `TypeError` if it is no text, `ValueError` if it has half of a pair of surrogates.
pub(crate) fn text(value: &Bound<'_, PyAny>, name: &str, index: Option<usize>) -> PyResult<PyBackedStr> {
    let place = || index.map_or_else(|| name.to_owned(), |index| format!("{name}[{index}]"));
    let Ok(text) = value.cast::<PyString>() else {
        let kind = value.get_type().name().map_or_else(|_| "another type".to_owned(), |name| name.to_string());
        return Err(PyTypeError::new_err(format!("{}: a str is expected, and this is of type {kind}", place())));
    };
    PyBackedStr::try_from(text.clone()).map_err(|_| {
        misuse(format!("{}: the text has half of a pair of surrogates, which is no character; leave it out", place()))
    })
}

/// The instruction of a call, if it names one.
///
/// # Errors
/// As those of [`text`], and if it is empty.
pub(crate) fn instruction(value: Option<&Bound<'_, PyAny>>) -> PyResult<Option<PyBackedStr>> {
    let Some(value) = value else { return Ok(None) };
    let instruction = text(value, "instruction", None)?;
    if instruction.trim().is_empty() {
        return Err(misuse("instruction: it is empty; leave it out for the model's own".to_owned()));
    }
    Ok(Some(instruction))
}

/// The documents of a list or another iterable.
///
/// # Errors
/// As those of [`text`], and if it is a single text.
pub(crate) fn documents(values: &Bound<'_, PyAny>) -> PyResult<Vec<PyBackedStr>> {
    if values.is_instance_of::<PyString>() {
        return Err(PyTypeError::new_err(
            "documents: a list of texts is expected, and this is a single one; put it in a list",
        ));
    }
    collected(values, |index, value| text(value, "documents", Some(index)))
}

/// The pairs of a list or another iterable: tuples or lists of two texts.
///
/// # Errors
/// As those of [`text`], and if an item is no pair.
pub(crate) fn pairs(values: &Bound<'_, PyAny>) -> PyResult<Vec<(PyBackedStr, PyBackedStr)>> {
    collected(values, |index, value| {
        let (query, document) = two(value).ok_or_else(|| {
            PyTypeError::new_err(format!(
                "pairs[{index}]: a tuple or a list of two texts is expected: (query, document)"
            ))
        })?;
        Ok((text(&query, "pairs", Some(index))?, text(&document, "pairs", Some(index))?))
    })
}

/// The two items of a tuple or a list; none, if there are not two, or it is one text of two characters.
fn two<'py>(value: &Bound<'py, PyAny>) -> Option<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
    if let Ok(tuple) = value.cast::<PyTuple>() {
        return (tuple.len() == 2).then(|| Some((tuple.get_item(0).ok()?, tuple.get_item(1).ok()?))).flatten();
    }
    let is_pair = !value.is_instance_of::<PyString>() && value.len().is_ok_and(|length| length == 2);
    is_pair.then(|| Some((value.get_item(0).ok()?, value.get_item(1).ok()?))).flatten()
}

fn collected<'py, T>(
    values: &Bound<'py, PyAny>,
    mut item: impl FnMut(usize, &Bound<'py, PyAny>) -> PyResult<T>,
) -> PyResult<Vec<T>> {
    let mut items = Vec::with_capacity(values.len().unwrap_or_default());
    for (index, value) in values.try_iter()?.enumerate() {
        if index % PAIRS_AT_A_TIME == PAIRS_AT_A_TIME - 1 {
            values.py().check_signals()?;
        }
        items.push(item(index, &value?)?);
    }
    Ok(items)
}

/// A piece of a column of texts, as Arrow has large strings: the offsets of the texts in the bytes behind them, one more than there are
/// texts, each of 8 bytes in the machine's order.
pub(crate) type Chunk = (PyBackedBytes, PyBackedBytes);

/// The texts of a column.
///
/// # Errors
/// If the offsets are none, or the bytes are not UTF-8.
pub(crate) fn column<'a>(chunks: &'a [Chunk], name: &str) -> PyResult<Vec<&'a str>> {
    let mut texts = Vec::new();
    for (offsets, bytes) in chunks {
        let bytes =
            std::str::from_utf8(bytes).map_err(|error| misuse(format!("the column {name:?} is not UTF-8: {error}")))?;
        let mut offsets = offsets
            .chunks_exact(size_of::<i64>())
            .filter_map(|offset| Some(i64::from_ne_bytes(offset.try_into().ok()?) as usize));
        let mut start = offsets.next().unwrap_or_default();
        for end in offsets {
            let text = bytes.get(start..end);
            texts.push(
                text.ok_or_else(|| misuse(format!("the column {name:?} has offsets that are not those of its texts")))?,
            );
            start = end;
        }
    }
    Ok(texts)
}

/// A text that outlives the call of Python that made it.
pub(crate) fn shared(text: Option<PyBackedStr>) -> Option<Arc<str>> {
    text.map(|text| Arc::from(&*text))
}
