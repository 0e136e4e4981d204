//! Requests with one query and its documents, in whatever dialect.

use super::body::{Body, malformed};
use super::options::{self, missing, required_text};
use super::texts::{Place, Texts};
use super::{Dialect, Limits};
use crate::serve::request::{Problem, RerankRequest};

/// The names of the list of documents.
const DOCUMENTS: [&str; 3] = ["documents", "texts", "passages"];

/// Reads a request.
pub(super) fn read(mut body: Body, dialect: Dialect, limits: &Limits) -> Result<RerankRequest, Problem> {
    let mut request = RerankRequest::default();
    options::read(&body, dialect, &mut request)?;
    let texts = Texts::of(&mut body, limits)?;
    let name = documents(&body, dialect)?;
    let query = body.take("query").ok_or_else(|| missing("query", "a text"))?;
    request.queries = vec![texts.query(query, Place { field: "query", index: None })?];
    let documents = body.take(name).ok_or_else(|| missing(name, "a list of texts"))?;
    request.documents = texts.documents(documents, name)?;
    if let Some(property) = body.take("property") {
        request.echo.property = Some(required_text(property, "property")?);
    }
    Ok(request)
}

/// The name of the list of documents: the dialect's own, or that of another.
fn documents(body: &Body, dialect: Dialect) -> Result<&'static str, Problem> {
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
