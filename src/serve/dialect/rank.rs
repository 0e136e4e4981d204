//! Requests with one query and its documents, in whatever dialect.

use super::body::{Body, malformed};
use super::options::{self, required};
use super::texts::{Place, Texts};
use super::{Dialect, Limits, pairs};
use crate::serve::request::{Problem, RerankRequest};

/// The names of the list of documents.
const DOCUMENTS: [&str; 3] = ["documents", "texts", "passages"];

/// Reads a request.
pub(super) fn read(body: &Body<'_>, dialect: Dialect, limits: &Limits) -> Result<RerankRequest, Problem> {
    let mut request = RerankRequest::default();
    options::read(body, dialect, limits, &mut request)?;
    if pairs::is_score(body) && !body.has("query") {
        return Err(malformed("`query` is missing: POST /score returns the scores of pairs"));
    }
    let texts = Texts::of(body, limits)?;
    let name = documents(body, dialect)?;
    let query = required(body, "query", "a text")?;
    request.queries = vec![texts.query(query, Place { field: "query", index: None })?];
    request.documents = texts.documents(required(body, name, "a list of texts")?, name)?;
    request.echo.property = options::text(body, "property", limits)?;
    // As llama.cpp does, which takes the requests of text-embeddings-inference, too.
    request.echo.in_array = dialect == Dialect::Llama && name == "texts";
    // Some of Voyage's clients show themselves by this name alone, which others may write, too.
    request.echo.data = dialect == Dialect::Rerank && body.has("top_k") && !body.has("top_n");
    Ok(request)
}

/// The name of the list of documents: the dialect's own, or that of another.
fn documents(body: &Body<'_>, dialect: Dialect) -> Result<&'static str, Problem> {
    let own = match dialect {
        Dialect::Tei => "texts",
        Dialect::Nvidia => "passages",
        _ => "documents",
    };
    let mut present = DOCUMENTS.into_iter().filter(|name| body.has(name));
    match (present.next(), present.next()) {
        (None, _) => Ok(own),
        (Some(name), None) => Ok(name),
        (Some(first), Some(second)) => {
            Err(malformed(format!("`{first}` and `{second}` are both there: leave one of them out")))
        }
    }
}
