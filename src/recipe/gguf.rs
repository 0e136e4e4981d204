//! The prompt of rerankers that a GGUF file has: text with `{query}` and `{document}`, as llama.cpp's server fills it in.

use anyhow::{Context, Result, ensure};

use super::checkpoint::{Found, own};
use super::template::{Piece, Slot, Template, Trim};
use super::tokenizer_settings::TemplateSource;
use super::value::RecipeOutput;
use super::{ModelFacts, builtin};
use crate::checkpoint::ModelFiles;

/// The prompt of rerankers.
const RERANK: &str = "tokenizer.chat_template.rerank";
/// The chat template, as in `tokenizer_config.json`.
const CHAT: &str = "tokenizer.chat_template";

/// The recipe of the file's own prompt for rerankers, if it has one: a built-in one, where that has the same prompt but for the
/// instruction.
///
/// # Errors
/// If it has no place for a query or a document, or the model is an encoder.
pub(super) fn find(files: &ModelFiles, model: &ModelFacts) -> Result<Option<Found>> {
    let Some(metadata) = files.metadata() else { return Ok(None) };
    let Some(text) = metadata.text(RERANK).with_context(|| metadata.path().display().to_string())? else {
        return Ok(None);
    };
    let place = format!("{RERANK} of {}", metadata.path().display());
    ensure!(
        !model.is_encoder,
        "{place}: a prompt of its own is not supported for encoders, which are given pairs of texts"
    );
    let mut found = match of_built_in(text, &place)? {
        Some(found) => found,
        None => {
            let template = Template::new(pieces(text)).with_context(|| place.clone())?;
            Found::of(own("the file's prompt", &place, Some(template), None)).with_note(format!(
                "the prompt is that of {place}, which differs from the prompt of Qwen3-Reranker in more than its instruction; --recipe {} \
                 uses that",
                builtin::DEFAULT
            ))
        }
    };
    if model.is_classifier {
        found.recipe.output = RecipeOutput::Classifier;
    }
    Ok(Some(found))
}

/// The file's chat template, if it has one.
///
/// # Errors
/// If it is no text.
pub(super) fn chat_template(files: &ModelFiles) -> Result<Option<TemplateSource>> {
    let Some(metadata) = files.metadata() else { return Ok(None) };
    let origin = format!("{CHAT} of {}", metadata.path().display());
    let source = |text: &str| TemplateSource { text: text.to_owned(), origin, is_named: false };
    let text = metadata.text(CHAT).with_context(|| metadata.path().display().to_string())?;
    Ok(text.map(source))
}

/// The built-in recipe of Qwen3-Reranker with the instruction that stands in the text, if all else is the same.
fn of_built_in(text: &str, place: &str) -> Result<Option<Found>> {
    let mut recipe = builtin::built_in(builtin::DEFAULT)?.context("the default recipe is missing")?;
    let Some(instruction) = recipe.instructed.as_ref().and_then(|template| instruction_in(text, template)) else {
        return Ok(None);
    };
    let detail = format!("the recipe is {}, whose prompt stands in {place}", recipe.name);
    if recipe.instruction.as_deref() != Some(instruction) {
        recipe.origin += &format!(", instruction of {place}");
        recipe.instruction = Some(instruction.to_owned());
    }
    let found = Found::of(recipe);
    Ok(Some(Found { details: vec![detail], ..found }))
}

/// What stands in a text where a template has the instruction.
fn instruction_in<'a>(text: &'a str, template: &Template) -> Option<&'a str> {
    let written = |piece: &Piece| match piece {
        Piece::Text(text) => text.clone(),
        Piece::Slot(slot, _) => format!("{{{}}}", slot.name()),
        Piece::Boundary => String::new(),
    };
    let whole: String = template.pieces().iter().map(written).collect();
    let (before, behind) = whole.split_once("{instruction}")?;
    let instruction = text.strip_prefix(before)?.strip_suffix(behind)?;
    (!instruction.contains("{query}") && !instruction.contains("{document}")).then_some(instruction)
}

/// The pieces of a text, in which no other braces than those of both slots mean anything.
fn pieces(text: &str) -> Vec<Piece> {
    let slots = [("{query}", Slot::Query), ("{document}", Slot::Document)];
    let (mut pieces, mut rest) = (Vec::new(), text);
    let next = |text: &str| {
        slots.iter().filter_map(|(mark, slot)| Some((text.find(mark)?, *mark, *slot))).min_by_key(|next| next.0)
    };
    while let Some((start, mark, slot)) = next(rest) {
        let (before, behind) = rest.split_once(mark).unwrap_or((rest, ""));
        pieces.extend((start > 0).then(|| Piece::Text(before.to_owned())));
        pieces.push(Piece::Slot(slot, Trim::None));
        rest = behind;
    }
    pieces.extend((!rest.is_empty()).then(|| Piece::Text(rest.to_owned())));
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instruction_is_found_where_all_else_is_the_same() {
        let recipe = builtin::built_in(builtin::DEFAULT).unwrap().unwrap();
        let template = recipe.instructed.unwrap();
        let text = template.source().replace("{instruction}", "Find the answer {here}");
        assert_eq!(instruction_in(&text, &template), Some("Find the answer {here}"));
        assert_eq!(instruction_in(&text.replace("<think>", ""), &template), None);
    }

    #[test]
    fn other_braces_are_text() {
        let text = |text: &str| Piece::Text(text.to_owned());
        let slot = |slot| Piece::Slot(slot, Trim::None);
        let found = pieces("{q} {query}{document}{{x}}");
        assert_eq!(found, [text("{q} "), slot(Slot::Query), slot(Slot::Document), text("{{x}}")]);
    }
}
