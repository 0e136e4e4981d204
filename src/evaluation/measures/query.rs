//! One query, as the formulas of measures see it.

use super::parameters::Parameters;
use crate::evaluation::judged::Judgements;

/// A query with the parameters of the measure.
pub(super) struct Query<'a> {
    /// The grades of all retrieved documents, best first.
    pub(super) retrieved: &'a [Option<i32>],
    pub(super) judgements: &'a Judgements,
    pub(super) parameters: &'a Parameters,
}

impl<'a> Query<'a> {
    /// The documents down to the cutoff.
    pub(super) fn top(&self) -> &'a [Option<i32>] {
        let cutoff = self.parameters.cutoff.unwrap_or(usize::MAX);
        &self.retrieved[..cutoff.min(self.retrieved.len())]
    }

    /// The grade from which on a document is relevant: 1, unless the measure sets another.
    pub(super) fn level(&self) -> i32 {
        self.parameters.level.unwrap_or(1)
    }

    /// Whether a document with this grade is relevant. Documents without a judgement are not.
    pub(super) fn is_relevant(&self, grade: Option<i32>) -> bool {
        grade.is_some_and(|grade| grade >= self.level())
    }

    /// How many documents are relevant, retrieved or not.
    pub(super) fn relevant(&self) -> usize {
        self.judgements.relevant(self.level())
    }

    /// How many of these documents are relevant.
    pub(super) fn relevant_among(&self, grades: &[Option<i32>]) -> usize {
        grades.iter().filter(|&&grade| self.is_relevant(grade)).count()
    }

    /// The 0-based places of the relevant documents down to the cutoff.
    pub(super) fn relevant_places(&self) -> impl Iterator<Item = usize> {
        self.top().iter().enumerate().filter(|&(_, &grade)| self.is_relevant(grade)).map(|(place, _)| place)
    }
}

/// Whether trec_eval counts the document as judged: it takes negative grades for documents that were pooled and not judged.
pub(super) fn is_judged(grade: Option<i32>) -> bool {
    grade.is_some_and(|grade| grade >= 0)
}

/// The quotient, and 0 where there is nothing to divide by.
pub(super) fn ratio(numerator: usize, denominator: usize) -> f64 {
    if denominator == 0 { 0.0 } else { numerator as f64 / denominator as f64 }
}
