//! The tokens that a recipe takes for answers.

/// The tokens that answer a language model's prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answers {
    /// The token whose logit grows with relevance.
    pub yes: u32,
    /// The token whose logit is subtracted, if there is one.
    pub no: Option<u32>,
}
