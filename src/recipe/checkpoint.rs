//! The recipe that a checkpoint's own files give, by the rules of sentence-transformers; where there is none, the built-in one by
//! which the model is known.

use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde_json::Map;

use super::activation::Activation;
use super::chat_template::{ChatTemplate, MessageFormat, Unfit};
use super::sentence_transformers::{Input, Stored};
use super::template::{Piece, Slot, Template, Trim};
use super::tokenizer_settings::{TemplateSource, TokenizerSettings};
use super::value::{Answer, Cut, Recipe, RecipeOutput};
use super::{Function, ModelFacts, TextTokenizer, builtin, gguf, known};
use crate::checkpoint::{MODULES, ModelFiles};

/// The recipe of a checkpoint.
pub(super) struct Found {
    pub(super) recipe: Recipe,
    /// The longest prompt, where sentence-transformers limits it.
    pub(super) max_length: Option<usize>,
    /// What users should know of how the recipe was found.
    pub(super) notes: Vec<String>,
    /// The same, for those who want every detail.
    pub(super) details: Vec<String>,
}

impl Found {
    pub(super) fn of(recipe: Recipe) -> Self {
        Self { recipe, max_length: None, notes: Vec::new(), details: Vec::new() }
    }

    pub(super) fn with_note(mut self, note: String) -> Self {
        self.notes.push(note);
        self
    }

    /// Gives every prompt the default instruction as its system message, where the chat template does not print it: the
    /// template can react to the message all the same.
    fn keep_system(&mut self, text: &str, place: &str) -> Result<()> {
        let Some(chat) = self.recipe.chat.take() else {
            self.notes.push(format!(
                "the instruction of {place} has no place in the prompt of {}, and is left out",
                self.recipe.origin
            ));
            return Ok(());
        };
        let origin = chat.origin().to_owned();
        let chat = Arc::into_inner(chat).context("the chat template is used elsewhere")?.with_system(text);
        let plain = chat.pieces(false).map_err(|unfit| match unfit {
            Unfit::NotForPairs(why) => anyhow!(
                "the chat template ({origin}) can't carry the default prompt of {place} beside a query and a document \
                 ({why}); remove default_prompt_name, or name another prompt with --recipe"
            ),
            Unfit::Other(error) => error,
        })?;
        let effect =
            if plain == self.recipe.plain { "is without effect" } else { "changes the text around the pair only" };
        self.notes.push(format!(
            "the instruction of {place} is not printed by the chat template ({origin}): as the system message it {effect}"
        ));
        self.recipe.plain = plain;
        self.recipe.chat = Some(Arc::new(chat));
        Ok(())
    }
}

/// Reads the recipe of a checkpoint. Where the user has chosen the score's function, that of the checkpoint is not read.
///
/// # Errors
/// If a file can't be read, or has something that is not supported.
pub(super) fn find(
    files: &ModelFiles,
    tokenizer: &TextTokenizer,
    model: &ModelFacts,
    score: Option<Function>,
) -> Result<Found> {
    let stored = Stored::read(files)?;
    let output = output(&stored, model)?;
    let activation = match (&stored.activation, score) {
        (Some((name, place)), None) => Some(Activation::of_torch(name).with_context(|| place.clone())?),
        _ => None,
    };
    let settings = TokenizerSettings::read(files, stored.variables.get("chat_template"))?;
    let mut found = prompts(files, &stored, &settings, tokenizer, model)?;
    found.max_length = stored.max_length;
    found.notes.extend(stored.notes.iter().cloned());
    found.recipe.activation = activation.unwrap_or(found.recipe.activation);
    found.notes.extend(other_cut(&found.recipe, &settings));
    if let Some((answers, place)) = output {
        if found.recipe.output != answers {
            let part = if model.is_classifier { "head" } else { "answers" };
            found.recipe.origin += &format!(", {part} of {place}");
        }
        found.recipe.output = answers;
        found.recipe.answers_file = stored.answers.as_ref().map(|(_, _, place)| place.clone());
    }
    if let (Some((_, place)), None) = (&stored.activation, score) {
        found.recipe.origin += &format!(", activation of {place}");
    }
    if let Some((text, place)) = &stored.instruction {
        match &found.recipe.instructed {
            Some(_) => {
                found.recipe.instruction = Some(text.clone());
                found.recipe.origin += &format!(", instruction of {place}");
            }
            None => found.keep_system(text, place)?,
        }
    }
    Ok(found)
}

/// What the files say of the output, and which file does.
fn output(stored: &Stored, model: &ModelFacts) -> Result<Option<(RecipeOutput, String)>> {
    if let Some((classifier, place)) = &stored.classifier {
        ensure!(
            *classifier == model.is_classifier,
            "{place}: transformer_task is that of a {}, and the model is described as a {} by {}",
            kind(*classifier),
            kind(model.is_classifier),
            model.description()
        );
        ensure!(
            *classifier || stored.answers.is_some(),
            "{place}: transformer_task is text-generation, and there is no modules.json with a LogitScore, which makes a score of it; \
             --recipe NAME|FILE gives the answers in its place"
        );
    }
    let Some((true_token, false_token, place)) = &stored.answers else {
        let place = if stored.pools { MODULES } else { model.description() };
        return Ok(model.is_classifier.then(|| (RecipeOutput::Classifier, place.to_owned())));
    };
    ensure!(
        !model.is_classifier,
        "{place} is for a language model, and the model is described as a classifier by {}",
        model.description()
    );
    let output =
        RecipeOutput::Answers { true_answer: Answer::Id(*true_token), false_answer: false_token.map(Answer::Id) };
    Ok(Some((output, place.clone())))
}

/// A note on prompts of which transformers cuts another part than the end of the document.
fn other_cut(recipe: &Recipe, settings: &TokenizerSettings) -> Option<String> {
    let query_behind = |template: &Template| {
        let is_slot = |wanted| move |piece: &Piece| matches!(piece, Piece::Slot(slot, _) if *slot == wanted);
        let document = template.pieces().iter().position(is_slot(Slot::Document));
        template.pieces().iter().rposition(is_slot(Slot::Query)) > document
    };
    let reason = match &settings.cuts_start {
        Some(place) => format!("{place} has truncation_side, by which transformers cuts the start"),
        None if [&recipe.plain, &recipe.instructed].into_iter().flatten().any(query_behind) => {
            format!(
                "transformers cuts the query there, which the template of {} has behind the document",
                recipe.origin
            )
        }
        None => return None,
    };
    Some(format!("where a prompt is too long, rerank cuts the end of the document, and the score is another: {reason}"))
}

fn kind(classifier: bool) -> &'static str {
    if classifier { "classifier" } else { "language model" }
}

/// The recipe with its prompts; the rest is that of the built-in recipe.
fn prompts(
    files: &ModelFiles,
    stored: &Stored,
    settings: &TokenizerSettings,
    tokenizer: &TextTokenizer,
    model: &ModelFacts,
) -> Result<Found> {
    // What stands beside the file was put there by somebody who knew it.
    if let Some(found) = if stored.input.is_none() && !stored.pools { gguf::find(files, model)? } else { None } {
        return Ok(found);
    }
    let mut variables: Map<_, _> = tokenizer.roles().map(|(role, token)| (role.to_owned(), token.into())).collect();
    variables.extend(stored.variables.clone().into_iter().filter(|(name, _)| name != "chat_template"));
    let chat = |source: &TemplateSource, format: Option<MessageFormat>| {
        let inferred = match source.is_named {
            true => MessageFormat::Structured,
            false => ChatTemplate::inferred_format(&source.text),
        };
        ChatTemplate::new(&source.text, format.unwrap_or(inferred), variables.clone(), &source.origin)
    };
    let known = || known::recognised(files, model);
    match (stored.input, &settings.template) {
        (Some(Input::Texts), _) => {
            let recipe = texts(tokenizer, model, stored)?;
            let origin = "modality_config of sentence_bert_config.json".to_owned();
            Ok(Found::of(Recipe { instructed: Some(instructed_texts()?), origin, ..recipe }))
        }
        (Some(Input::Messages(_)), None) => {
            bail!(
                "sentence_bert_config.json asks for messages, and the model has no chat template (chat_template.jinja)"
            )
        }
        (Some(Input::Messages(format)), Some(source)) => {
            of_chat(chat(source, format)?, source).map_err(|unfit| unfit.into_error(&source.origin))
        }
        // What modules pool is an encoder's or a decoder's, and no prompt of language models.
        (None, None) if stored.pools => encoder(stored, None, tokenizer, model),
        (None, template)
            if model.is_encoder && !template.as_ref().is_some_and(|source| ChatTemplate::names_roles(&source.text)) =>
        {
            let Some(known) = known()? else { return encoder(stored, template.as_ref(), tokenizer, model) };
            known.found(model)
        }
        (None, None) => match known()? {
            Some(known) => known.found(model),
            None => known::assumed("it has no chat template", model.is_classifier || stored.answers.is_some(), model),
        },
        (None, Some(source)) => match known()?.filter(|_| !ChatTemplate::names_roles(&source.text)) {
            Some(known) => known.found(model),
            None => of_template(chat(source, None), source, model.is_classifier || stored.answers.is_some(), model),
        },
    }
}

/// The recipe of a model with a chat template, of which no file states that it is for pairs. `scores` is whether the model has
/// an output that is a reranker's.
fn of_template(chat: Result<ChatTemplate>, source: &TemplateSource, scores: bool, model: &ModelFacts) -> Result<Found> {
    let names_roles = ChatTemplate::names_roles(&source.text);
    let assumed = |why: &str| {
        let why = format!("the chat template of {} is for other uses{why}", source.origin);
        known::assumed(&why, names_roles || scores, model)
    };
    let chat = match chat {
        Err(error) if names_roles => return Err(error),
        Err(_) => return assumed(""),
        Ok(chat) => chat,
    };
    match of_chat(chat, source) {
        Err(Unfit::NotForPairs(why)) => assumed(&format!(": {why}")),
        Err(unfit) => Err(unfit.into_error(&source.origin)),
        Ok(found) if names_roles => Ok(found),
        Ok(found) => Ok(found.with_note(format!(
            "the chat template of {} is used with messages of the roles query and document, which it does not name; if the model \
             was trained with Qwen3-Reranker's prompt, add --recipe {}",
            source.origin,
            builtin::DEFAULT
        ))),
    }
}

/// The recipe of a chat template.
fn of_chat(chat: ChatTemplate, source: &TemplateSource) -> Result<Found, Unfit> {
    let plain = chat.pieces(false)?;
    let instructed = match chat.pieces(true) {
        // A template that counts messages takes the instruction for the query: it has no place for one.
        Err(Unfit::NotForPairs(_)) => None,
        instructed => instructed?,
    };
    let recipe = own("chat template", &source.origin, plain, instructed);
    let recipe = Recipe { chat: Some(Arc::new(chat)), ..recipe };
    Ok(Found::of(recipe))
}

/// The recipe of a model that is given the texts themselves: the query, and the document behind it.
fn texts(tokenizer: &TextTokenizer, model: &ModelFacts, stored: &Stored) -> Result<Recipe> {
    let mut frame = tokenizer.pair_frame()?;
    match model.token_types {
        None => frame.second_type = None,
        Some(types) => ensure!(
            types > 1 || frame.second_type.is_none(),
            "the tokenizer gives documents tokens of type 1, and {} is 1: the model has no such type",
            if model.is_in_gguf {
                "the number of rows of token_types.weight"
            } else {
                "type_vocab_size of config.json"
            }
        ),
    }
    let plain = Template::new(vec![slot(Slot::Query), Piece::Boundary, slot(Slot::Document)])?;
    let recipe = own("pair of texts", "the tokenizer's post-processor", Some(plain), None);
    let cut = stored.cut.unwrap_or(Cut::QueryShare);
    Ok(Recipe { cut, pair: Some(frame), ..recipe })
}

/// A note on types of tokens which a model knows and is not given.
fn left_out_types(recipe: &Recipe, model: &ModelFacts) -> Option<String> {
    let left_out = recipe.pair.as_ref().is_some_and(|frame| frame.left_out) && model.token_types > Some(1);
    left_out.then(|| {
        "all tokens are of type 0, as in transformers 5, for which model_input_names of tokenizer_config.json or its \
         tokenizer_class leaves token_type_ids out; if the model was trained with documents of type 1, add token_type_ids to \
         model_input_names"
            .to_owned()
    })
}

/// The recipe of an encoder whose files have none. An instruction has a place only where the files have one, too.
fn encoder(
    stored: &Stored,
    template: Option<&TemplateSource>,
    tokenizer: &TextTokenizer,
    model: &ModelFacts,
) -> Result<Found> {
    let recipe = texts(tokenizer, model, stored)?;
    let instructed = stored.instruction.as_ref().map(|_| instructed_texts()).transpose()?;
    let left_out = left_out_types(&recipe, model);
    let mut found = Found::of(Recipe { instructed, ..recipe });
    found.notes.extend(left_out);
    Ok(match template {
        None => found,
        Some(source) => found.with_note(format!(
            "the chat template of {} is for other uses: the model is given pairs of texts",
            source.origin
        )),
    })
}

/// An instruction stands before the query, without anything between them.
fn instructed_texts() -> Result<Template> {
    Template::new(vec![slot(Slot::Instruction), slot(Slot::Query), Piece::Boundary, slot(Slot::Document)])
}

fn slot(slot: Slot) -> Piece {
    Piece::Slot(slot, Trim::None)
}

pub(super) fn own(name: &str, origin: &str, plain: Option<Template>, instructed: Option<Template>) -> Recipe {
    let word = |word: &str| Answer::Word(word.to_owned());
    Recipe {
        name: name.to_owned(),
        origin: origin.to_owned(),
        plain,
        instructed,
        instruction: None,
        // As sentence-transformers has it for language models without a LogitScore.
        output: RecipeOutput::Answers { true_answer: word("yes"), false_answer: Some(word("no")) },
        special_tokens: false,
        cut: Cut::Document,
        longest_pair: None,
        pair: None,
        answers_file: None,
        activation: Activation::of(Function::Sigmoid),
        control_tokens: Vec::new(),
        chat: None,
    }
}
