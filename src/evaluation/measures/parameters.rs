//! The parameters of measures, by the names and with the values that ir_measures gives them.

use anyhow::{Context, Result, bail, ensure};

/// The values of all parameters. A measure reads those that its definition lists.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Parameters {
    /// How many documents are looked at; all without it.
    pub(super) cutoff: Option<usize>,
    /// The grade from which on a document is relevant.
    pub(super) level: Option<i32>,
    /// Documents without a judgement are taken out of the ranking first.
    pub(super) judged_only: bool,
    /// A gain is 2 to the power of the grade, less 1, and not the grade itself.
    pub(super) exponential: bool,
    /// Gains that differ from the grade, by grade.
    pub(super) gains: Vec<(i32, f64)>,
    /// The probability with which a user goes on to the next document.
    pub(super) persistence: f64,
    /// How much more recall counts than precision.
    pub(super) beta: f64,
    /// The gain that a user looks for.
    pub(super) target: f64,
    /// The grade that has the gain 0.
    pub(super) lowest: i32,
    /// The grade that has the highest gain.
    pub(super) highest: i32,
    /// Divide by the best possible value.
    pub(super) normalize: bool,
    /// Precision as a share of what the number of documents allows.
    pub(super) relative: bool,
    /// A share of the relevant documents.
    pub(super) recall: f64,
    /// A multiple of the number of relevant documents.
    pub(super) multiple: f64,
    /// Several shares of the relevant documents, as written and as numbers.
    pub(super) recalls: List,
    /// What each cell of the contingency table is worth, as written and as numbers.
    pub(super) weights: List,
}

/// Numbers with the text that they come from, as trec_eval prints it in the names of measures.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct List {
    pub(super) text: String,
    pub(super) numbers: Vec<f64>,
}

/// A parameter by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Cutoff,
    Level,
    JudgedOnly,
    Discount,
    Gains,
    Persistence,
    Beta,
    Target,
    Lowest,
    Highest,
    Normalize,
    Relative,
    Recall,
    Multiple,
    Recalls,
    Weights,
}

impl Key {
    /// The name that ir_measures uses, where it has the parameter.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Cutoff => "cutoff",
            Self::Level => "rel",
            Self::JudgedOnly => "judged_only",
            Self::Discount => "dcg",
            Self::Gains => "gains",
            Self::Persistence => "p",
            Self::Beta => "beta",
            Self::Target => "T",
            Self::Lowest => "min_rel",
            Self::Highest => "max_rel",
            Self::Normalize => "normalize",
            Self::Relative => "relative",
            Self::Recall => "recall",
            Self::Multiple => "multiple",
            Self::Recalls => "recalls",
            Self::Weights => "weights",
        }
    }

    /// Reads the value and keeps it.
    pub(super) fn set(self, parameters: &mut Parameters, text: &str) -> Result<()> {
        self.read(parameters, text).with_context(|| format!("{}={text} cannot be used", self.name()))
    }

    fn read(self, parameters: &mut Parameters, text: &str) -> Result<()> {
        match self {
            Self::Cutoff => parameters.cutoff = Some(cutoff(text)?),
            Self::Level => parameters.level = Some(grade(text)?),
            Self::JudgedOnly => parameters.judged_only = flag(text)?,
            Self::Discount => parameters.exponential = exponential(text)?,
            Self::Gains => parameters.gains = gains(text)?,
            Self::Persistence => parameters.persistence = between(text, 0.0, 1.0)?,
            Self::Beta => parameters.beta = between(text, 0.0, f64::MAX)?,
            Self::Target => parameters.target = between(text, f64::MIN_POSITIVE, f64::MAX)?,
            Self::Lowest => parameters.lowest = grade(text)?,
            Self::Highest => parameters.highest = grade(text)?,
            Self::Normalize => parameters.normalize = flag(text)?,
            Self::Relative => parameters.relative = flag(text)?,
            Self::Recall => parameters.recall = between(text, 0.0, 1.0)?,
            Self::Multiple => parameters.multiple = between(text, f64::MIN_POSITIVE, f64::MAX)?,
            Self::Recalls => parameters.recalls = recalls(text)?,
            Self::Weights => parameters.weights = weights(text)?,
        }
        Ok(())
    }

    /// The value as it is written.
    pub(super) fn show(self, parameters: &Parameters) -> String {
        match self {
            Self::Cutoff => parameters.cutoff.map(|cutoff| cutoff.to_string()).unwrap_or_default(),
            Self::Level => parameters.level.map(|level| level.to_string()).unwrap_or_default(),
            Self::JudgedOnly => show_flag(parameters.judged_only),
            Self::Discount => (if parameters.exponential { "'exp-log2'" } else { "'log2'" }).to_owned(),
            Self::Gains => {
                let pairs = parameters.gains.iter().map(|(grade, gain)| format!("{grade}:{gain}"));
                format!("{{{}}}", pairs.collect::<Vec<_>>().join(","))
            }
            Self::Persistence => format!("{:?}", parameters.persistence),
            Self::Beta => format!("{:?}", parameters.beta),
            Self::Target => format!("{:?}", parameters.target),
            Self::Lowest => parameters.lowest.to_string(),
            Self::Highest => parameters.highest.to_string(),
            Self::Normalize => show_flag(parameters.normalize),
            Self::Relative => show_flag(parameters.relative),
            Self::Recall => format!("{:?}", parameters.recall),
            Self::Multiple => format!("{:?}", parameters.multiple),
            Self::Recalls => format!("[{}]", parameters.recalls.text),
            Self::Weights => format!("[{}]", parameters.weights.text),
        }
    }
}

fn cutoff(text: &str) -> Result<usize> {
    let cutoff = text.parse().ok().filter(|&cutoff| cutoff > 0);
    cutoff.context("it should be a number of documents, 1 or more")
}

fn grade(text: &str) -> Result<i32> {
    let grade = text.parse().ok().filter(|&grade| grade >= 0);
    grade.context("it should be a grade, an integer from 0 on: negative grades never count as relevant")
}

fn flag(text: &str) -> Result<bool> {
    match text {
        "True" | "true" => Ok(true),
        "False" | "false" => Ok(false),
        _ => bail!("it should be True or False"),
    }
}

fn show_flag(flag: bool) -> String {
    (if flag { "True" } else { "False" }).to_owned()
}

fn exponential(text: &str) -> Result<bool> {
    match text.trim_matches(['\'', '"']) {
        "log2" => Ok(false),
        "exp-log2" => Ok(true),
        _ => bail!("it should be 'log2' (the gain is the grade) or 'exp-log2' (the gain is 2^grade - 1)"),
    }
}

fn number(text: &str) -> Result<f64> {
    let number = text.trim().parse().ok().filter(|number: &f64| number.is_finite());
    number.with_context(|| format!("{text:?} should be a number"))
}

fn between(text: &str, least: f64, most: f64) -> Result<f64> {
    let number = number(text)?;
    ensure!(number >= least, "it should be {}", if least == 0.0 { "0 or more" } else { "more than 0" });
    ensure!(number <= most, "it should be at most {most}");
    Ok(number)
}

/// Reads `{1:3,2:9}`, sorted by grade.
fn gains(text: &str) -> Result<Vec<(i32, f64)>> {
    let inside = text.strip_prefix('{').and_then(|text| text.strip_suffix('}'));
    let inside = inside.context("it should be a gain for each grade, as in {0:0,1:3}")?;
    let mut gains = Vec::new();
    for pair in inside.split(',').filter(|pair| !pair.trim().is_empty()) {
        let (grade, gain) = pair.split_once(':').with_context(|| format!("{pair:?} should be grade:gain"))?;
        let grade = grade.trim().parse().ok().with_context(|| format!("{grade:?} should be a grade"))?;
        let gain = number(gain)?;
        ensure!(gain >= 0.0, "the gain of grade {grade} should be 0 or more");
        ensure!(gains.iter().all(|&(other, _)| other != grade), "grade {grade} has two gains");
        gains.push((grade, gain));
    }
    gains.sort_by_key(|&(grade, _)| grade);
    Ok(gains)
}

fn list(text: &str) -> Result<List> {
    let inside = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    let inside = inside.context("it should be a list of numbers, as in [0.2,0.5,0.8]")?;
    let numbers = inside.split(',').map(number).collect::<Result<Vec<_>>>()?;
    Ok(List { text: inside.to_owned(), numbers })
}

fn recalls(text: &str) -> Result<List> {
    let list = list(text)?;
    ensure!(
        list.numbers.iter().all(|recall| (0.0..=1.0).contains(recall)),
        "each should be a share of the relevant documents, from 0 to 1"
    );
    Ok(list)
}

fn weights(text: &str) -> Result<List> {
    let list = list(text)?;
    let [.., not_retrieved] = list.numbers[..] else { bail!("there should be four weights") };
    ensure!(list.numbers.len() == 4, "there should be four weights, and not {}", list.numbers.len());
    ensure!(
        not_retrieved == 0.0,
        "the fourth weight should be 0, as the number of documents in the collection is not known"
    );
    Ok(list)
}
