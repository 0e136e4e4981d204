//! What a tokenizer puts around two texts, as its post-processor does.

use anyhow::{Context, Result, anyhow, ensure};
use tokenizers::processors::roberta::RobertaProcessing;
use tokenizers::processors::template::TemplateProcessing;
use tokenizers::{Encoding, PostProcessor, PostProcessorWrapper, Token, Tokenizer};

use super::class::Class;
use super::declared::Declared;
use super::files::{TokenizerFiles, Vocabulary};
use crate::slices::behind;

/// The tokens around a pair of texts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PairFrame {
    /// Those before the first text.
    pub before: Vec<u32>,
    /// Those between both.
    pub between: Vec<u32>,
    /// Those behind the second.
    pub after: Vec<u32>,
    /// From how many of those between on, the tokens are of type 1; none if all are of type 0.
    pub second_type: Option<usize>,
    /// Whether the post-processor gives types, and a model is not given them.
    pub left_out: bool,
}

/// Ids that stand for the texts; no vocabulary has as many tokens.
const TEXTS: [u32; 2] = [u32::MAX - 1, u32::MAX];

impl PairFrame {
    /// The frame of a tokenizer.
    ///
    /// # Errors
    /// If the second text does not follow the first, or the types of tokens do not tell them apart.
    pub(super) fn of(tokenizer: &Tokenizer) -> Result<Self> {
        let text = |id: u32, kind: u32| Encoding::from_tokens(vec![Token::new(id, String::new(), (0, 0))], kind);
        let (ids, types) = match tokenizer.get_post_processor() {
            None => (TEXTS.to_vec(), vec![0, 1]),
            Some(processor) => {
                let pair = processor
                    .process(text(TEXTS[0], 0), Some(text(TEXTS[1], 1)), true)
                    .map_err(|error| anyhow!("{error}"))?;
                (pair.get_ids().to_vec(), pair.get_type_ids().to_vec())
            }
        };
        let place = |(index, text): (usize, u32)| {
            let mut places = ids.iter().enumerate().filter(|(_, id)| **id == text).map(|(place, _)| place);
            let place = places.next().filter(|_| places.next().is_none());
            place.with_context(|| format!("its post_processor does not put text {} of a pair in one place", index + 1))
        };
        let [first, second] = [place((0, TEXTS[0]))?, place((1, TEXTS[1]))?];
        ensure!(first < second, "its post_processor puts the second text of a pair before the first");
        let start = types.iter().position(|kind| *kind != 0);
        let rises = start.is_none_or(|start| behind(&types, start).iter().all(|kind| *kind == 1));
        ensure!(
            rises && start.is_none_or(|start| (first + 1..=second).contains(&start)),
            "its post_processor gives the tokens of a pair other types than 0 up to a place between both texts, and 1 from \
             there on"
        );
        let mut parts = ids.split(|id| TEXTS.contains(id)).map(<[u32]>::to_vec);
        let mut next = || parts.next().unwrap_or_default();
        Ok(Self {
            before: next(),
            between: next(),
            after: next(),
            second_type: start.map(|start| start - first - 1),
            left_out: false,
        })
    }

    /// How many tokens there are beside those of the texts.
    pub fn tokens(&self) -> usize {
        self.before.len() + self.between.len() + self.after.len()
    }

    /// These tokens.
    pub(super) fn token_ids(&self) -> Vec<u32> {
        [self.before.as_slice(), &self.between, &self.after].concat()
    }
}

/// The frame of a model's pairs.
///
/// # Errors
/// If there is none that the files ask for.
pub(super) fn frame(files: &TokenizerFiles, whole: &Tokenizer, class: Class) -> Result<PairFrame> {
    let around = |name| files.config.field(|fields| fields.flag(name));
    let older = matches!(files.vocabulary, Vocabulary::Parts { .. }) && class == Class::Qwen2;
    ensure!(
        !(older && (around("add_bos_token")? || around("add_eos_token")?)),
        "it adds tokens to pairs of texts by add_bos_token and add_eos_token of {}",
        files.config.name
    );
    let mut frame = PairFrame::of(whole)?;
    if !class.gives_types(files)? {
        frame.left_out = frame.second_type.take().is_some();
    }
    Ok(frame)
}

/// Puts a post-processor into a tokenizer, if there is one, and returns whether that frames pairs in another way than the one
/// before.
pub(super) fn put(tokenizer: &mut Tokenizer, processor: Option<PostProcessorWrapper>) -> bool {
    if processor.is_none() {
        return false;
    }
    let before = tokenizer.get_post_processor().map(|_| PairFrame::of(tokenizer).ok());
    tokenizer.with_post_processor(processor);
    before.is_some_and(|before| before != PairFrame::of(tokenizer).ok())
}

/// The post-processor of a class that has its own.
///
/// # Errors
/// If a token that it needs is missing.
pub(super) fn post_processor(
    tokenizer: &Tokenizer,
    class: Class,
    declared: &Declared,
) -> Result<Option<PostProcessorWrapper>> {
    let token = |role: &str| -> Result<(String, u32)> {
        let token = declared.role(role).with_context(|| {
            format!("the tokenizer class {} needs a {role}, and tokenizer_config.json has null for it", class.name())
        })?;
        let id = tokenizer.token_to_id(token).with_context(|| format!("{role} is `{token}`, which has no id"))?;
        Ok((token.to_owned(), id))
    };
    let template = |pair: [&str; 2], start: (String, u32), end: (String, u32)| -> Result<PostProcessorWrapper> {
        let part = |template: &str| template.replace("START", &start.0).replace("END", &end.0);
        let [single, pair] = pair.map(part);
        let built = TemplateProcessing::builder()
            .try_single(single)
            .and_then(|builder| builder.try_pair(pair))
            .map_err(|error| anyhow!("{error}"))?
            .special_tokens(vec![start, end])
            .build();
        Ok(built.map_err(|error| anyhow!("{error}"))?.into())
    };
    Ok(Some(match class {
        Class::AsStored | Class::Qwen2 | Class::Gemma | Class::Llama => return Ok(None),
        Class::Bert | Class::DebertaV2 => {
            template(["START:0 $A:0 END:0", "START:0 $A:0 END:0 $B:1 END:1"], token("cls_token")?, token("sep_token")?)?
        }
        Class::XlmRoberta => {
            template(["START $A END", "START $A END END $B END"], token("bos_token")?, token("eos_token")?)?
        }
        Class::Roberta => RobertaProcessing::new(token("sep_token")?, token("cls_token")?).into(),
    }))
}
