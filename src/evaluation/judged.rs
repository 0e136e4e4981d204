//! What a measure sees of one query: the grades of the documents that a run retrieved, and all grades that were given.

use std::cmp::Ordering;

/// All grades of one query, of documents that were retrieved and of those that were not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judgements {
    /// Highest first.
    grades: Vec<i32>,
}

impl Judgements {
    /// Takes one query's grades in any order.
    pub fn new(grades: impl IntoIterator<Item = i32>) -> Self {
        let mut grades: Vec<i32> = grades.into_iter().collect();
        grades.sort_unstable_by(|a, b| b.cmp(a));
        Self { grades }
    }

    /// All grades, highest first.
    pub fn grades(&self) -> &[i32] {
        &self.grades
    }

    /// How many documents have a grade of at least `level`.
    pub fn relevant(&self, level: i32) -> usize {
        self.grades.partition_point(|&grade| grade >= level)
    }

    /// How many documents were judged and found not relevant: they have a grade from 0 up to `level`, without it. Negative
    /// grades are not counted, as trec_eval takes them for documents that nobody judged.
    pub fn judged_nonrelevant(&self, level: i32) -> usize {
        self.relevant(0).saturating_sub(self.relevant(level))
    }
}

/// The documents that a run retrieved for one query, as their grades.
#[derive(Clone, Copy, Debug)]
pub struct JudgedRanking<'a> {
    /// The grade of each retrieved document, best first. `None` stands for a document without a judgement.
    pub grades: &'a [Option<i32>],
    /// All judgements of the query.
    pub judgements: &'a Judgements,
}

/// The order in which trec_eval ranks documents: by score as an `f32`, highest first; equal scores by document identifier,
/// the last in the order of its bytes first. `Less` means that `a` ranks before `b`.
///
/// trec_eval 10 compares scores as `f64`; earlier versions, and with them pytrec_eval, as `f32`. Scores that are not numbers
/// rank after all others.
pub fn trec_order(a: (f32, &str), b: (f32, &str)) -> Ordering {
    let key = |score: f32| if score.is_nan() { f32::NEG_INFINITY } else { score };
    key(b.0).partial_cmp(&key(a.0)).expect("neither key is not-a-number").then_with(|| b.1.cmp(a.1))
}
