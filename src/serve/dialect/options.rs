//! What a request asks for beside its texts.

use serde_json::value::RawValue;

use super::Dialect;
use super::body::{Body, disagree, flag_of, invalid, list_of, malformed, shown, text_of, wrong};
use crate::serve::request::{LONGEST_ID, Problem, RerankRequest, Truncation, is_request_id};

/// Reads all options into the request.
pub(super) fn read(body: &Body<'_>, dialect: Dialect, request: &mut RerankRequest) -> Result<(), Problem> {
    refuse(body)?;
    if !dialect.ranks() {
        refuse_selection(body)?;
    }
    request.model = body.text("model")?;
    request.instruction = instruction(body)?;
    request.truncation = truncation(body)?;
    request.raw_scores = raw_scores(body)?.unwrap_or(dialect == Dialect::Nvidia);
    request.top_n = top_n(body, dialect)?;
    request.min_score = body.agreed(&["min_score", "score_threshold", "threshold"], Body::number)?;
    request.return_documents = body.agreed(&["return_documents", "return_text"], Body::flag)?;
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
    let raw = body.flag("raw_scores")?;
    let inactive = body.agreed(&["use_activation", "activation"], negated)?;
    match (raw, inactive) {
        (Some(raw), Some(inactive)) if raw != inactive => Err(disagree("raw_scores", "use_activation")),
        (raw, inactive) => Ok(raw.or(inactive)),
    }
}

/// The instruction; in vLLM's arguments of the chat template it counts before the field.
fn instruction(body: &Body<'_>) -> Result<Option<String>, Problem> {
    let field = body.agreed(&["instruction", "instruct"], Body::text)?;
    let Some(arguments) = body.object("chat_template_kwargs")? else { return Ok(field) };
    if let Some((other, _)) = arguments.iter().find(|(name, _)| *name != "instruction") {
        let other: String = other.chars().take(40).collect();
        let message = format!("`chat_template_kwargs` has `{other}`, and only `instruction` is known: leave it out");
        return Err(invalid(message));
    }
    Ok(arguments.text("instruction")?.or(field))
}

fn truncation(body: &Body<'_>) -> Result<Truncation, Problem> {
    let (cut, from_start) = truncate(body)?;
    let truncation = body.flag("truncation")?;
    if let (Some(first), Some(second)) = (cut, truncation)
        && first != second
    {
        return Err(disagree("truncate", "truncation"));
    }
    let side = body.agreed(&["truncation_direction", "truncation_side"], side)?;
    let prompt = body.integer("truncate_prompt_tokens", -1)?;
    if prompt == Some(0) {
        return Err(invalid(
            "`truncate_prompt_tokens` is 0: a prompt of at least 1 token is needed, and -1 stands for the model's longest",
        ));
    }
    Ok(Truncation {
        refuse: cut.or(truncation) == Some(false),
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
    let metadata = body.get("metadata").and_then(|metadata| list_of(metadata, 0));
    if metadata.is_some_and(|(_, count)| count > 0) {
        return Err(invalid("`metadata` has no place in the prompt: write it into the documents, and leave it out"));
    }
    Ok(())
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
