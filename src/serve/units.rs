//! A request's texts become the units that a session scores.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use anyhow::Result;
use rayon::prelude::*;

use super::request::{Problem, ProblemKind, RerankRequest};
use crate::cache::ScoreCache;
use crate::recipe::{Prompt, Prompts, QueryTooLong};
use crate::record::Query;
use crate::session::Unit;

/// Fewer bytes than this are not worth waking other threads for.
const FEW_BYTES: usize = 16 << 10;

/// The units of some of a request's documents, in their order.
///
/// # Errors
/// If a text can't be put into the prompt, or would have to be cut in a way that the request does not allow.
pub(super) fn units_of(
    request: &RerankRequest,
    documents: Range<usize>,
    prompts: &dyn Prompts,
    cache: Option<&ScoreCache>,
) -> Result<Vec<Unit>, Problem> {
    if request.salted && cache.is_some() {
        return Err(invalid(
            "`cache_salt` can't set a cache apart, and this service has one for all (--cache); leave it out",
        ));
    }
    let making = Making { request, documents, prompts, cache };
    // A tokenizer may panic for an odd text, which is no fault of other requests.
    let made = catch_unwind(AssertUnwindSafe(|| making.all()));
    made.unwrap_or_else(|_| Err(invalid("making the prompts has panicked; change the texts")))
}

struct Making<'a> {
    request: &'a RerankRequest,
    documents: Range<usize>,
    prompts: &'a dyn Prompts,
    cache: Option<&'a ScoreCache>,
}

impl Making<'_> {
    fn all(&self) -> Result<Vec<Unit>, Problem> {
        let RerankRequest { queries, documents, .. } = self.request;
        let (range, is_shared) = (self.documents.clone(), queries.len() == 1);
        let wanted = if is_shared { Some(&queries[..]) } else { queries.get(range.clone()) };
        let (Some(queries), Some(documents)) = (wanted, documents.get(range.clone())) else {
            return Err(invalid("there are not as many queries as documents"));
        };
        // Queries of their own are made one by one: each has a copy of the instruction.
        let shared = if is_shared { queries.first().map(|text| self.query(text)).transpose()? } else { None };
        let unit = |(place, document): (usize, &String)| {
            let index = range.start + place;
            let own = match (&shared, queries.get(place)) {
                (Some(_), _) => None,
                (None, Some(text)) => Some(self.query(text)?),
                (None, None) => return Err(invalid("there is no query")),
            };
            let Some((query, is_cut)) = shared.as_ref().or(own.as_ref()) else {
                return Err(invalid("there is no query"));
            };
            let mut prompt =
                self.prompt(query, document).map_err(|error| invalid(format!("document {index}: {error:#}")))?;
            prompt.truncated |= *is_cut;
            self.check(index, &prompt)?;
            Ok(Unit::new(prompt, self.cache))
        };
        match documents.iter().map(String::len).sum::<usize>() < FEW_BYTES {
            true => documents.iter().enumerate().map(unit).collect(),
            false => documents.par_iter().enumerate().map(unit).collect(),
        }
    }

    /// A query, and whether it was cut.
    fn query(&self, text: &str) -> Result<(Query, bool), Problem> {
        if text.trim().is_empty() {
            return Err(invalid("the query is empty; send the words that documents are to be ranked for"));
        }
        let beginning = match self.request.truncation.query {
            Some(tokens) => self.prompts.beginning(text, tokens).map_err(|error| invalid(format!("{error:#}")))?,
            None => text,
        };
        let instruction = self.request.instruction.clone();
        let query = Query { text: beginning.to_owned(), instruction, ..Query::default() };
        let most = self.request.truncation.prompt.unwrap_or(usize::MAX);
        self.prompts.check_query_within(&query, most).map_err(|error| match error.downcast_ref() {
            Some(QueryTooLong { tokens }) => invalid(format!(
                "the query and its instruction leave no room for a document in {tokens} tokens; shorten the query, or raise \
                 `truncate_prompt_tokens` if that limits them"
            )),
            None => invalid(format!("the query can't be used: {error:#}")),
        })?;
        Ok((query, beginning.len() < text.len()))
    }

    fn prompt(&self, query: &Query, document: &str) -> Result<Prompt> {
        let truncation = &self.request.truncation;
        let beginning = match truncation.document {
            Some(tokens) => self.prompts.beginning(document, tokens)?,
            None => document,
        };
        let mut prompt = self.prompts.prompt_within(query, beginning, truncation.prompt.unwrap_or(usize::MAX))?;
        prompt.truncated |= beginning.len() < document.len();
        Ok(prompt)
    }

    /// Checks that a prompt was cut only as the client allows.
    fn check(&self, index: usize, prompt: &Prompt) -> Result<(), Problem> {
        let truncation = &self.request.truncation;
        if prompt.truncated && truncation.refuse {
            return Err(invalid(format!(
                "document {index} is too long for the model together with the query, and the request does not allow to cut it; \
                 shorten it, or allow that with `truncate` or `truncation`"
            )));
        }
        if prompt.truncated && truncation.from_start {
            return Err(invalid(format!(
                "document {index} is too long, and only the end of a document can be cut, not its beginning; shorten it, or \
                 let the right side be truncated"
            )));
        }
        Ok(())
    }
}

fn invalid(message: impl Into<String>) -> Problem {
    Problem::new(ProblemKind::Invalid, message)
}
