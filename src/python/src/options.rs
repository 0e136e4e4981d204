//! The arguments of a model, which mean what the program's options mean.

use clap::ValueEnum;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict};
use rerank::cli::{BatchArguments, CacheArguments, DtypeChoice, ModelArguments, RecipeArguments, ScoreChoice};
use rerank::config::{SessionConfig, resolve_session};

use crate::errors::misuse;

/// The most threads, as for the program.
const MOST_THREADS: u64 = 1024;

/// Arguments by their names.
struct Arguments<'a, 'py>(&'a Bound<'py, PyDict>);

/// The configuration that these arguments describe, and whether they name the number of threads.
///
/// # Errors
/// `TypeError` and `ValueError` with the argument's name.
pub(crate) fn resolve(arguments: &Bound<'_, PyDict>) -> PyResult<(SessionConfig, bool)> {
    let arguments = Arguments(arguments);
    let model = ModelArguments {
        model: arguments.text("model")?.unwrap_or_default(),
        revision: arguments.text("revision")?.unwrap_or_default(),
        adapter: arguments.text("adapter")?.into_iter().collect(),
        offline: arguments.value("offline", "True or False")?.unwrap_or_default(),
        max_length: arguments.count("max_length", u64::MAX)?,
        device: arguments.device()?,
        gpu_memory: arguments.count("gpu_memory", u64::MAX)?,
        dtype: arguments.choice("dtype", DtypeChoice::Auto)?,
    };
    let recipe = RecipeArguments {
        recipe: arguments.text("recipe")?,
        instruction: arguments.text("instruction")?,
        score: arguments.choice("score", ScoreChoice::Auto)?,
    };
    let batch = BatchArguments {
        batch_size: arguments.count("batch_size", u64::MAX)?,
        max_batch_tokens: arguments.count("max_batch_tokens", u64::MAX)?,
        no_prefix_sharing: false,
    };
    let cache = CacheArguments { cache: None, cache_limit: None, hash_weights: false };
    let threads = arguments.count("threads", MOST_THREADS)?;
    let config = resolve_session(&model, &recipe, &batch, &cache, threads);
    Ok((config.map_err(|error| misuse(format!("{error:#}")))?, threads.is_some()))
}

impl<'py> Arguments<'_, 'py> {
    /// The value of an argument; none, if it is left out or None.
    fn object(&self, name: &str) -> PyResult<Option<Bound<'py, PyAny>>> {
        Ok(self.0.get_item(name)?.filter(|value| !value.is_none()))
    }

    fn value<T: for<'a> FromPyObject<'a, 'py>>(&self, name: &str, expected: &str) -> PyResult<Option<T>> {
        let Some(value) = self.object(name)? else { return Ok(None) };
        value.extract().map(Some).map_err(|_| wrong_type(name, &value, expected))
    }

    fn text(&self, name: &str) -> PyResult<Option<String>> {
        self.value(name, "a str")
    }

    /// A whole number from 1.
    fn count(&self, name: &str, most: u64) -> PyResult<Option<u64>> {
        let expected = match most {
            u64::MAX => "a whole number from 1".to_owned(),
            _ => format!("a whole number from 1 to {most}"),
        };
        let Some(value) = self.object(name)? else { return Ok(None) };
        if value.is_instance_of::<PyBool>() || !value.hasattr("__index__")? {
            return Err(wrong_type(name, &value, &expected));
        }
        match value.extract::<u64>() {
            Ok(count) if (1..=most).contains(&count) => Ok(Some(count)),
            _ => Err(misuse(format!("{name}={value}: {expected} is expected"))),
        }
    }

    fn device(&self) -> PyResult<rerank::device::DeviceChoice> {
        let text = self.text("device")?.unwrap_or_else(|| "auto".to_owned());
        text.parse().map_err(|problem: String| misuse(format!("device={text:?}: {problem}")))
    }

    fn choice<T: ValueEnum>(&self, name: &str, default: T) -> PyResult<T> {
        let Some(text) = self.text(name)? else { return Ok(default) };
        T::from_str(&text, true).map_err(|_| {
            let names: Vec<String> = T::value_variants()
                .iter()
                .filter_map(ValueEnum::to_possible_value)
                .map(|value| value.get_name().to_owned())
                .collect();
            misuse(format!("{name}={text:?}: it is one of {}", names.join(", ")))
        })
    }
}

fn wrong_type(name: &str, value: &Bound<'_, PyAny>, expected: &str) -> PyErr {
    let kind = value.get_type().name().map_or_else(|_| "an object".to_owned(), |name| name.to_string());
    PyTypeError::new_err(format!("{name}: {expected} is expected, and this is of type {kind}"))
}
