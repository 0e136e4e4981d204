//! What a request asks for beside its texts.

use serde_json::value::RawValue;

use super::body::{Body, disagree, flag_of, invalid, list_of, malformed, object_of, shown, text_of, wrong};
use super::texts::{Place, within};
use super::{Dialect, Limits};
use crate::serve::request::{LONGEST_ID, Problem, RerankRequest, Truncation, is_request_id};

/// Reads all options into the request.
pub(super) fn read(
    body: &Body<'_>,
    dialect: Dialect,
    limits: &Limits,
    request: &mut RerankRequest,
) -> Result<(), Problem> {
    refuse(body)?;
    if !dialect.ranks() {
        refuse_selection(body)?;
    }
    // Infinity's own client names this model where its user names none.
    let is_named = |model: &String| dialect != Dialect::Infinity || model != "default/not-specified";
    request.model = text(body, "model", limits)?.filter(is_named);
    request.instruction = instruction(body, limits)?;
    request.truncation = truncation(body, dialect)?;
    request.raw_scores = raw_scores(body)?.unwrap_or(dialect == Dialect::Nvidia);
    request.top_n = top_n(body, dialect)?;
    request.min_score = body.agreed(&["min_score", "score_threshold", "threshold"], Body::number)?;
    request.return_documents = return_documents(body, dialect)?;
    request.id = request_id(body)?;
    request.salted = body.text("cache_salt")?.is_some();
    Ok(())
}

fn request_id(body: &Body<'_>) -> Result<Option<String>, Problem> {
    let id = body.text("request_id")?;
    match &id {
        Some(sent) if !is_request_id(sent) => Err(invalid(format!(
            "`request_id` is to have 1 to {LONGEST_ID} visible characters of ASCII, as it stands in headers and in the log"
        ))),
        _ => Ok(id),
    }
}

/// A text that is no document, and is bounded as one.
pub(super) fn text(body: &Body<'_>, name: &str, limits: &Limits) -> Result<Option<String>, Problem> {
    let place = Place { field: name, index: None };
    body.text(name)?.map(|text| within(text, place, limits)).transpose()
}

fn return_documents(body: &Body<'_>, dialect: Dialect) -> Result<Option<bool>, Problem> {
    const NAMES: [&str; 2] = ["return_documents", "return_text"];
    let wanted = body.agreed(&NAMES, Body::flag)?;
    let has_place = !matches!(dialect, Dialect::Score | Dialect::Predict | Dialect::DeepInfra | Dialect::Nvidia);
    match NAMES.iter().find(|name| body.has(name)) {
        Some(name) if wanted == Some(true) && !has_place => Err(invalid(format!(
            "`{name}` is true, and the response has no place for documents here: leave it out, or use POST /v1/rerank"
        ))),
        _ => Ok(wanted),
    }
}

/// Where the score of each pair is returned in the order of the pairs, none can be left out.
fn refuse_selection(body: &Body<'_>) -> Result<(), Problem> {
    const SELECTION: [&str; 5] = ["top_n", "top_k", "min_score", "score_threshold", "threshold"];
    match SELECTION.iter().find(|name| body.has(name)) {
        Some(name) => {
            Err(invalid(format!("`{name}` has no meaning here, where all scores are returned: use POST /v1/rerank")))
        }
        None => Ok(()),
    }
}

fn top_n(body: &Body<'_>, dialect: Dialect) -> Result<Option<usize>, Problem> {
    // vLLM's clients send 0 for all; elsewhere it is an error.
    let least = i64::from(!matches!(dialect, Dialect::Rerank | Dialect::Vllm));
    let top = body.agreed(&["top_n", "top_k"], |body, name| body.integer(name, least))?;
    Ok(top.filter(|top| *top > 0).map(|top| usize::try_from(top).unwrap_or(usize::MAX)))
}

fn raw_scores(body: &Body<'_>) -> Result<Option<bool>, Problem> {
    let negated = |body: &Body<'_>, name: &str| Ok(body.flag(name)?.map(|flag| !flag));
    const NEGATED: [&str; 2] = ["use_activation", "activation"];
    let raw = body.flag("raw_scores")?;
    let inactive = body.agreed(&NEGATED, negated)?;
    match (raw, inactive) {
        (Some(raw), Some(inactive)) if raw != inactive => {
            let name = NEGATED.into_iter().find(|name| body.has(name)).unwrap_or_default();
            Err(disagree("raw_scores", name))
        }
        (raw, inactive) => Ok(raw.or(inactive)),
    }
}

/// The instruction; in vLLM's arguments of the chat template it counts before the field.
fn instruction(body: &Body<'_>, limits: &Limits) -> Result<Option<String>, Problem> {
    let field = body.agreed(&["instruction", "instruct"], |body, name| text(body, name, limits))?;
    let Some(arguments) = body.object("chat_template_kwargs")? else { return Ok(field) };
    if let Some((other, _)) = arguments.iter().find(|(name, _)| *name != "instruction") {
        let other: String = other.chars().take(40).collect();
        let message = format!("`chat_template_kwargs` has `{other}`, and only `instruction` is known: leave it out");
        return Err(invalid(message));
    }
    Ok(text(&arguments, "instruction", limits)?.or(field))
}

fn truncation(body: &Body<'_>, dialect: Dialect) -> Result<Truncation, Problem> {
    let (cut, from_start) = truncate(body)?;
    let truncation = body.flag("truncation")?;
    if let (Some(first), Some(second)) = (cut, truncation)
        && first != second
    {
        return Err(disagree("truncate", "truncation"));
    }
    let side = body.agreed(&["truncation_direction", "truncation_side"], side)?;
    if from_start && side == Some(Side::Right) {
        let name = ["truncation_direction", "truncation_side"].into_iter().find(|name| body.has(name));
        return Err(disagree("truncate", name.unwrap_or_default()));
    }
    let prompt = body.integer("truncate_prompt_tokens", -1)?;
    if prompt == Some(0) {
        return Err(invalid(
            "`truncate_prompt_tokens` is 0: a prompt of at least 1 token is needed, and -1 stands for the model's longest",
        ));
    }
    // NVIDIA's service cuts nothing unless it is asked to.
    const LIMITS: [&str; 3] = ["truncate_prompt_tokens", "max_tokens_per_query", "max_tokens_per_doc"];
    let by_default = dialect != Dialect::Nvidia || LIMITS.iter().any(|name| body.has(name));
    Ok(Truncation {
        refuse: !cut.or(truncation).unwrap_or(by_default),
        from_start: from_start || side == Some(Side::Left),
        prompt: prompt.and_then(tokens),
        query: body.integer("max_tokens_per_query", 0)?.and_then(tokens),
        document: body.integer("max_tokens_per_doc", 0)?.and_then(tokens),
    })
}

/// A limit; 0 and below stand for none.
fn tokens(count: i64) -> Option<usize> {
    usize::try_from(count).ok().filter(|count| *count > 0)
}

/// Whether texts are cut, and whether at their beginnings: true or false, or NVIDIA's `NONE` and `END`.
fn truncate(body: &Body<'_>) -> Result<(Option<bool>, bool), Problem> {
    let Some(value) = body.get("truncate") else { return Ok((None, false)) };
    let word = text_of(value, &"`truncate`").transpose()?.map(|word| word.to_ascii_uppercase());
    match (flag_of(value), word.as_deref()) {
        (Some(flag), _) => Ok((Some(flag), false)),
        (None, Some("END")) => Ok((Some(true), false)),
        (None, Some("NONE")) => Ok((Some(false), false)),
        (None, Some("START")) => Ok((Some(true), true)),
        (None, Some(_)) => {
            Err(invalid(format!("`truncate` is {}: true, false, \"END\" or \"NONE\" is expected", shown(value))))
        }
        (None, None) => Err(wrong("truncate", value, "true or false")),
    }
}

#[derive(PartialEq)]
enum Side {
    Left,
    Right,
}

fn side(body: &Body<'_>, name: &str) -> Result<Option<Side>, Problem> {
    let Some(text) = body.text(name)? else { return Ok(None) };
    match text.to_ascii_lowercase().as_str() {
        "left" => Ok(Some(Side::Left)),
        "right" => Ok(Some(Side::Right)),
        _ => Err(invalid(format!("`{name}` is neither \"left\" nor \"right\""))),
    }
}

/// Refuses what other services do and this one can't, unless the value asks for nothing.
///
/// `user` names who asks, and `padding` how batches are padded, which change no score.
fn refuse(body: &Body<'_>) -> Result<(), Problem> {
    for name in ["mm_processor_kwargs", "media_io_kwargs"] {
        if body.object(name)?.is_some_and(|arguments| arguments.iter().next().is_some()) {
            let reason = "is for images and sounds, and this service scores texts: leave it out";
            return Err(invalid(format!("`{name}` {reason}")));
        }
    }
    if body.has("normalize") {
        return Err(invalid("`normalize` is not known: use `use_activation`, or `raw_scores`, which is its opposite"));
    }
    if body.has("chat_template") {
        return Err(invalid(
            "`chat_template` can't be set by a request: the service was started with a model and its prompts",
        ));
    }
    refuse_number(body, "priority", &[0], "requests are served in turn")?;
    refuse_number(
        body,
        "max_chunks_per_doc",
        &[1, 10],
        "documents are not cut into chunks, but after the longest prompt",
    )?;
    refuse_number(body, "overlap_tokens", &[0], "documents are not cut into chunks")?;
    if body.flag("return_embeddings")? == Some(true) {
        return Err(invalid("`return_embeddings` is true, and a reranker has no embeddings: leave it out"));
    }
    if let Some(spans) = body.object("relevant_spans")?
        && spans.text("mode")?.as_deref() != Some("disabled")
    {
        return Err(invalid("`relevant_spans` is not known, as whole documents are scored: leave it out"));
    }
    if body.get("metadata").is_some_and(|metadata| !is_empty(metadata)) {
        return Err(invalid("`metadata` has no place in the prompt: write it into the documents, and leave it out"));
    }
    Ok(())
}

fn is_empty(value: &RawValue) -> bool {
    let entries = list_of(value, 0).map(|(_, count)| count);
    let fields = object_of(value, &"`metadata`").map(|fields| fields.map_or(1, |fields| fields.iter().count()));
    entries.or(fields) == Some(0)
}

fn refuse_number(body: &Body<'_>, name: &str, harmless: &[i64], reason: &str) -> Result<(), Problem> {
    let asked = body.integer(name, i64::MIN)?.filter(|value| !harmless.contains(value));
    match body.get(name).filter(|_| asked.is_some()) {
        Some(value) => Err(invalid(format!("`{name}` is {}, and {reason}: leave it out", shown(value)))),
        None => Ok(()),
    }
}

/// A field that has to be there.
pub(super) fn required<'a>(body: &Body<'a>, name: &str, right: &str) -> Result<&'a RawValue, Problem> {
    body.get(name).ok_or_else(|| malformed(format!("`{name}` is missing: {right} is expected")))
}
