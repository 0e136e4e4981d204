//! Measures of one query's ranking, and how the values of many queries become one.
//!
//! A measure is written as ir_measures writes it (`nDCG(dcg='exp-log2')@10`) or by the name that trec_eval prints
//! (`ndcg_cut_10`). trec_eval's conventions hold: a document without a judgement is not relevant, and a negative grade stands
//! for a document that was pooled and not judged.

mod continuation;
mod definitions;
mod gains;
mod notation;
mod parameters;
mod precision;
mod preference;
mod query;
#[cfg(test)]
mod reference_tests;
mod sets;
#[cfg(test)]
mod tests;
mod trec_names;
mod unknown;
mod users;

use std::fmt;

use anyhow::{Context, Result, bail, ensure};

use self::definitions::{Default, Definition, Summary};
use self::notation::Notation;
use self::parameters::{Key, Parameters};
use self::query::Query;
use super::judged::JudgedRanking;

/// What trec_eval takes for 0 in geometric means, so that one query cannot make the whole mean 0.
const LEAST_IN_GEOMETRIC_MEANS: f64 = 0.00001;

/// A measure with all its parameters, for example `nDCG@10` or `AP(rel=2)`.
#[derive(Clone)]
pub struct Measure {
    definition: &'static Definition,
    parameters: Parameters,
}

impl Measure {
    /// Reads a measure in the notation of ir_measures (`nDCG@10`, `RBP(p=0.8)`) or by trec_eval's name (`ndcg_cut_10`).
    ///
    /// # Errors
    ///
    /// The error names what is unknown (the measure, a parameter or its value) and lists what comes near to it.
    pub fn parse(text: &str) -> Result<Self> {
        let notation = Notation::parse(text)?;
        if let Some(definition) = definitions::find(notation.name) {
            return Self::build(definition, &notation, Vec::new());
        }
        let Some(written) = trec_names::parse(notation.name) else {
            let definition = definitions::find_in_any_case(notation.name);
            let definition = definition.with_context(|| unknown::message(notation.name))?;
            return Self::build(definition, &notation, Vec::new());
        };
        let written = written?;
        match <[_; 1]>::try_from(written) {
            Ok([(definition, given)]) => Self::build(definition, &notation, given),
            Err(several) => {
                let (definition, given) = several.into_iter().next().context("a name has at least one measure")?;
                let example = given.first().map(|(_, value)| value.as_str()).unwrap_or_default();
                bail!("{text:?} needs one value, for example {}@{example}", definition.name)
            }
        }
    }

    /// Reads several measures, separated by commas or spaces. As in trec_eval a name may have several cutoffs (`P.5,10`), or
    /// none where it needs one (`P`: trec_eval's own cutoffs), and `official`, `all_trec` and `set` stand for its lists.
    ///
    /// # Errors
    ///
    /// As for [`Measure::parse`].
    pub fn parse_list(text: &str) -> Result<Vec<Self>> {
        let mut measures = Vec::new();
        for item in notation::items(text) {
            for name in trec_names::nickname(&item).unwrap_or_else(|| vec![item.as_str()]) {
                match trec_names::parse(name) {
                    Some(written) => {
                        let plain = Notation { name, parameters: Vec::new(), at: None };
                        for (definition, given) in written? {
                            measures.push(Self::build(definition, &plain, given)?);
                        }
                    }
                    None => measures.push(Self::parse(name)?),
                }
            }
        }
        Ok(measures)
    }

    /// Puts together what the name says of the parameters, what the notation says, and what holds otherwise.
    fn build(definition: &'static Definition, notation: &Notation, mut given: Vec<(Key, String)>) -> Result<Self> {
        for &(name, value) in &notation.parameters {
            let known = definition.all_parameters().find(|(key, _)| key.name() == name);
            let (key, _) = known.with_context(|| unknown::parameter(definition, name))?;
            given.push((key, value.to_owned()));
        }
        if let Some(at) = notation.at {
            let (key, _) = definition.at.with_context(|| {
                format!("{} has nothing that could stand behind @; write it without @{at}", definition.name)
            })?;
            given.push((key, at.to_owned()));
        }
        for (place, (key, _)) in given.iter().enumerate() {
            let again = given[..place].iter().any(|(other, _)| other == key);
            ensure!(!again, "{} is given twice for {}", key.name(), definition.name);
        }
        let mut parameters = defaults(definition);
        for (key, default) in definition.all_parameters() {
            match given.iter().find(|(other, _)| *other == key) {
                Some((_, value)) => {
                    key.set(&mut parameters, value).with_context(|| format!("in the measure {}", definition.name))?;
                }
                None => ensure!(default != Default::None, unknown::missing(definition, key)),
            }
        }
        if definition.all_parameters().any(|(key, _)| key == Key::Highest) {
            ensure!(parameters.lowest < parameters.highest, "max_rel of {} should be above min_rel", definition.name);
        }
        Ok(Self { definition, parameters })
    }

    /// The measure's value for one query. It is 0 for an empty ranking, except for counts of the judgements.
    pub fn evaluate(&self, ranking: &JudgedRanking) -> f64 {
        let judged: Vec<Option<i32>>;
        let retrieved = if self.parameters.judged_only {
            judged = ranking.grades.iter().copied().filter(|&grade| query::is_judged(grade)).collect();
            &judged
        } else {
            ranking.grades
        };
        let query = Query { retrieved, judgements: ranking.judgements, parameters: &self.parameters };
        // Sums of nothing are -0 in Rust, and would be printed so.
        (self.definition.formula)(&query) + 0.0
    }

    /// What the values of several queries become: their mean for most measures, their sum for counts, and their geometric
    /// mean for those that say so. It is 0 without values.
    pub fn summarize(&self, values: impl Iterator<Item = f64>) -> f64 {
        let geometric = self.definition.summary == Summary::GeometricMean;
        let (mut count, mut sum) = (0_usize, 0.0);
        for value in values {
            count += 1;
            sum += if geometric { value.max(LEAST_IN_GEOMETRIC_MEANS).ln() } else { value };
        }
        match self.definition.summary {
            _ if count == 0 => 0.0,
            Summary::Sum => sum,
            Summary::Mean => sum / count as f64,
            Summary::GeometricMean => (sum / count as f64).exp(),
        }
    }

    /// Whether the values are whole numbers whose sum is reported.
    pub fn is_count(&self) -> bool {
        self.definition.summary == Summary::Sum
    }

    /// Whether the summary is the geometric mean of the queries' values, which no mean of differences explains.
    pub fn is_geometric_mean(&self) -> bool {
        self.definition.summary == Summary::GeometricMean
    }

    /// Whether trec_eval prints the measure for single queries, and not only for all of them.
    pub fn has_query_value(&self) -> bool {
        !self.is_geometric_mean() && self.definition.name != "NumQ"
    }

    /// The name that trec_eval prints, for measures that it has. As there, the name does not say from which grade on
    /// documents are relevant, nor whether only judged documents are looked at.
    pub fn trec_name(&self) -> Option<String> {
        trec_names::print(self.definition, &self.parameters, &defaults(self.definition))
    }

    /// The same measure with documents relevant from the grade `level` on, as trec_eval's `-l` sets it for all measures.
    /// Measures that have gains instead of a level stay as they are.
    #[must_use]
    pub fn with_level(mut self, level: i32) -> Self {
        let has_level = |&(key, default): &(Key, Default)| key == Key::Level && default != Default::Absent;
        if self.definition.parameters.iter().any(has_level) {
            self.parameters.level = Some(level);
        }
        self
    }

    /// Whether the measure is not defined for all grades.
    pub fn is_limited(&self) -> bool {
        self.parameters.exponential || self.definition.all_parameters().any(|(key, _)| key == Key::Highest)
    }

    /// Checks that the measure is defined for a grade.
    ///
    /// # Errors
    ///
    /// If the grade is above the measure's `max_rel`, or a power of it is too large for a number.
    pub fn check_grade(&self, grade: i32) -> Result<()> {
        let is_limited = self.definition.all_parameters().any(|(key, _)| key == Key::Highest);
        let highest = self.parameters.highest;
        ensure!(
            !is_limited || grade <= highest,
            "{self} is defined for grades up to {highest}, and a document has the grade {grade}; set max_rel={grade}"
        );
        if let Some(most) = gains::exceeded(&self.parameters, grade) {
            bail!(
                "{self} takes 2 to the power of a grade, which can be computed for grades up to {most}, and a document has the grade \
                 {grade}; map it to a smaller one by gains={{{grade}:…}}, or leave dcg='exp-log2' out"
            );
        }
        Ok(())
    }
}

/// The parameters of a measure for which none is given.
fn defaults(definition: &Definition) -> Parameters {
    let mut parameters = Parameters::default();
    for (key, default) in definition.all_parameters() {
        if let Default::Is(value) = default {
            key.set(&mut parameters, value).expect("the defaults can be read");
        }
    }
    parameters
}

impl fmt::Display for Measure {
    /// Writes the measure in ir_measures' notation, without parameters that have their usual values.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.definition.name)?;
        let defaults = defaults(self.definition);
        let parameters = self.definition.parameters.iter().filter_map(|&(key, _)| {
            let value = key.show(&self.parameters);
            (value != key.show(&defaults)).then(|| format!("{}={value}", key.name()))
        });
        let parameters: Vec<_> = parameters.collect();
        if !parameters.is_empty() {
            write!(formatter, "({})", parameters.join(","))?;
        }
        match self.definition.at.map(|(key, _)| key.show(&self.parameters)).filter(|at| !at.is_empty()) {
            Some(at) => write!(formatter, "@{at}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Measure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Measure({self})")
    }
}

impl PartialEq for Measure {
    fn eq(&self, other: &Self) -> bool {
        self.definition.name == other.definition.name && self.parameters == other.parameters
    }
}
