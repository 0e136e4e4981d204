//! The class that Python sees of a loaded model.

use std::sync::{Arc, Mutex, PoisonError};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyDict};

use crate::errors::{guarded, raised};
use crate::messages::Messages;
use crate::opening::{self, Facts, Opened};
use crate::options;
use crate::process;
use crate::scoring::{Outcome, Scoring};
use crate::texts::{self, Chunk, Pairs, shared};

/// A loaded model.
#[pyclass(frozen, module = "rerank._rerank")]
pub struct Model {
    /// None once it is closed. Calls at hand keep it.
    opened: Mutex<Option<Arc<Opened>>>,
    messages: Arc<Messages>,
    facts: Facts,
    /// The process that has loaded it.
    process: u32,
}

/// Logits and scores, each the bytes of 32-bit floats, and for each pair a byte that is 1 if it was cut.
type Columns<'py> = (Bound<'py, PyByteArray>, Bound<'py, PyByteArray>, Bound<'py, PyByteArray>);

#[pymethods]
impl Model {
    /// Loads a model by the arguments of `Reranker`.
    #[new]
    fn new(python: Python<'_>, arguments: &Bound<'_, PyDict>) -> PyResult<Self> {
        guarded(|| {
            let (config, threads_are_named) = options::resolve(arguments)?;
            let messages = Arc::new(Messages::default());
            let opened = opening::open(python, config, threads_are_named, &messages)?;
            let facts = opened.facts.clone();
            Ok(Self { opened: Mutex::new(Some(Arc::new(opened))), messages, facts, process: std::process::id() })
        })
    }

    /// Scores pairs: an iterable of tuples or lists of a query and a document.
    #[pyo3(signature = (pairs, instruction=None))]
    fn score<'py>(&self, pairs: &Bound<'py, PyAny>, instruction: Option<&Bound<'py, PyAny>>) -> PyResult<Columns<'py>> {
        guarded(|| {
            let instruction = texts::instruction(instruction)?;
            let texts = texts::pairs(pairs)?;
            let borrowed = texts.iter().map(|(query, document)| (&**query, &**document));
            self.run(pairs.py(), Pairs::new(borrowed, "pairs"), shared(instruction))
        })
    }

    /// Scores the documents of a query.
    #[pyo3(signature = (query, documents, instruction=None))]
    fn rank<'py>(
        &self,
        query: &Bound<'py, PyAny>,
        documents: &Bound<'py, PyAny>,
        instruction: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Columns<'py>> {
        guarded(|| {
            let instruction = texts::instruction(instruction)?;
            let (query, texts) = (texts::text(query, "query", None)?, texts::documents(documents)?);
            self.run(documents.py(), Pairs::of_query(&query, &texts), shared(instruction))
        })
    }

    /// Scores the rows of two columns, in pieces: the queries and the documents.
    #[pyo3(signature = (queries, documents, instruction=None))]
    fn score_columns<'py>(
        &self,
        python: Python<'py>,
        queries: Vec<Chunk>,
        documents: Vec<Chunk>,
        instruction: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Columns<'py>> {
        guarded(|| {
            let instruction = texts::instruction(instruction)?;
            let (queries, documents) = (texts::column(&queries, "query")?, texts::column(&documents, "text")?);
            self.run(python, Pairs::new(queries.into_iter().zip(documents), "rows"), shared(instruction))
        })
    }

    /// Frees the model once the calls at hand have ended.
    fn close(&self, python: Python<'_>) -> PyResult<()> {
        guarded(|| {
            let opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner).take();
            self.drop_opened(opened, |opened| python.detach(|| drop(opened)));
            self.messages.log(python)
        })
    }

    /// Whether it was closed.
    #[getter]
    fn closed(&self) -> bool {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    /// The model as it was named, with its adapter.
    #[getter]
    fn model(&self) -> &str {
        &self.facts.model
    }

    /// The devices that compute.
    #[getter]
    fn device(&self) -> &str {
        &self.facts.device
    }

    /// The precision.
    #[getter]
    fn dtype(&self) -> &str {
        self.facts.dtype
    }

    /// The kernels, on which the bits of scores depend.
    #[getter]
    fn kernels(&self) -> &str {
        &self.facts.kernels
    }

    /// The name of the recipe.
    #[getter]
    fn recipe(&self) -> &str {
        &self.facts.recipe
    }

    /// The most tokens of a prompt.
    #[getter]
    fn max_length(&self) -> usize {
        self.facts.max_length
    }
}

impl Model {
    fn run<'py>(&self, python: Python<'py>, pairs: Pairs<'_>, instruction: Option<Arc<str>>) -> PyResult<Columns<'py>> {
        process::check_fork(self.process).map_err(|error| raised(&error))?;
        let opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let opened = opened.ok_or_else(|| PyRuntimeError::new_err("the model was closed; make another Reranker"))?;
        let access = opened.session.access();
        let scoring =
            Scoring { access: &access, prompts: &*opened.prompts, messages: &self.messages, instruction, pairs };
        let scored = python.detach(|| {
            scoring.run(&mut || {
                Python::attach(|python| {
                    self.messages.log(python)?;
                    python.check_signals()
                })
            })
        });
        let activation = opened.activation;
        // The last call at hand frees a model that was closed meanwhile, which may take a moment.
        python.detach(|| drop(opened));
        self.messages.log(python)?;
        let Outcome { logits, truncated } = scored?;
        let scores = logits.iter().flat_map(|logit| activation.score(*logit).to_ne_bytes());
        Ok((
            PyByteArray::new(python, &logits.iter().flat_map(|logit| logit.to_ne_bytes()).collect::<Vec<u8>>()),
            PyByteArray::new(python, &scores.collect::<Vec<u8>>()),
            PyByteArray::new(python, &truncated),
        ))
    }

    /// Drops a model, unless this process is a fork, in which the model's threads would be waited for in vain.
    fn drop_opened(&self, opened: Option<Arc<Opened>>, dropped: impl FnOnce(Option<Arc<Opened>>)) {
        match process::check_fork(self.process) {
            Ok(()) => dropped(opened),
            Err(_) => std::mem::forget(opened),
        }
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        let opened = self.opened.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        self.drop_opened(opened, drop);
    }
}
