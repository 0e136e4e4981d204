//! The names under which trec_eval prints measures, such as `ndcg_cut_10`.

use anyhow::{Context, Result, anyhow, bail};

use super::definitions::{Default, Definition, find};
use super::parameters::{Key, Parameters};

/// What stands behind the name of a measure, after `_` or, as in trec_eval's option `-m`, after `.`.
enum Suffix {
    None,
    /// A number of documents. Without one trec_eval prints the measure for each of these.
    Cutoff(&'static [u32]),
    /// A share or a multiple, printed with two digits. Without one trec_eval prints the measure for each of these tenths.
    Tenths(Key, std::ops::RangeInclusive<u32>, usize),
    /// Numbers separated by commas.
    Numbers(Key),
    /// One number.
    Number(Key),
    /// Gains, as in `1=3,2=9`.
    Gains,
    /// `p=0.8`; without it trec_eval's value.
    Persistence,
}

/// A measure of trec_eval.
struct TrecName {
    name: &'static str,
    measure: &'static str,
    suffix: Suffix,
}

const CUTOFFS: &[u32] = &[5, 10, 15, 20, 30, 100, 200, 500, 1000];

/// trec_eval's persistence of users, which differs from that of ir_measures.
const PERSISTENCE: &str = "0.9";

const fn named(name: &'static str, measure: &'static str, suffix: Suffix) -> TrecName {
    TrecName { name, measure, suffix }
}

/// In the order in which trec_eval prints them; `dcg` is the only one that its `all_trec` leaves out.
static NAMES: &[TrecName] = &[
    named("num_q", "NumQ", Suffix::None),
    named("num_ret", "NumRet", Suffix::None),
    named("num_rel", "NumRel", Suffix::None),
    named("num_rel_ret", "NumRelRet", Suffix::None),
    named("map", "AP", Suffix::None),
    named("gm_map", "gm_map", Suffix::None),
    named("Rprec", "Rprec", Suffix::None),
    named("bpref", "Bpref", Suffix::None),
    named("recip_rank", "RR", Suffix::None),
    named("iprec_at_recall", "IPrec", Suffix::Tenths(Key::Recall, 0..=10, 1)),
    named("P", "P", Suffix::Cutoff(CUTOFFS)),
    named("recall", "R", Suffix::Cutoff(CUTOFFS)),
    named("infAP", "infAP", Suffix::None),
    named("gm_bpref", "gm_bpref", Suffix::None),
    named("Rprec_mult", "Rprec_mult", Suffix::Tenths(Key::Multiple, 2..=20, 2)),
    named("utility", "utility", Suffix::Numbers(Key::Weights)),
    named("11pt_avg", "11pt_avg", Suffix::Numbers(Key::Recalls)),
    named("binG", "binG", Suffix::None),
    named("G", "G", Suffix::Gains),
    named("ndcg", "nDCG", Suffix::Gains),
    named("ndcg_rel", "ndcg_rel", Suffix::Gains),
    named("Rndcg", "Rndcg", Suffix::Gains),
    named("ndcg_cut", "nDCG", Suffix::Cutoff(CUTOFFS)),
    named("map_cut", "AP", Suffix::Cutoff(CUTOFFS)),
    named("relative_P", "relative_P", Suffix::Cutoff(CUTOFFS)),
    named("success", "Success", Suffix::Cutoff(&[1, 5, 10])),
    named("set_P", "SetP", Suffix::None),
    named("set_relative_P", "SetRelP", Suffix::None),
    named("set_recall", "SetR", Suffix::None),
    named("set_map", "SetAP", Suffix::None),
    named("set_F", "SetF", Suffix::Number(Key::Beta)),
    named("num_nonrel_judged_ret", "num_nonrel_judged_ret", Suffix::None),
    named("rbp", "RBP", Suffix::Persistence),
    named("rbp_resid", "rbp_resid", Suffix::Persistence),
    named("unj", "unj", Suffix::Cutoff(&[5, 10, 20])),
    named("dcg", "DCG", Suffix::Gains),
];

/// How many of the names trec_eval prints unless it is asked for others.
const OFFICIAL: usize = 11;

/// trec_eval's lists of measures, as names.
pub(super) fn nickname(name: &str) -> Option<Vec<&'static str>> {
    let names = |names: &[TrecName]| names.iter().map(|name| name.name).collect();
    match name {
        "official" => Some(names(&NAMES[..OFFICIAL])),
        "all_trec" => Some(names(&NAMES[..NAMES.len() - 1])),
        "set" => Some(vec![
            "num_q",
            "num_ret",
            "num_rel",
            "num_rel_ret",
            "utility",
            "set_P",
            "set_recall",
            "set_relative_P",
            "set_map",
            "set_F",
        ]),
        _ => None,
    }
}

/// All names, for messages.
pub(super) fn all() -> impl Iterator<Item = &'static str> {
    NAMES.iter().map(|name| name.name)
}

/// A measure and what its name says of the parameters.
pub(super) type Written = (&'static Definition, Vec<(Key, String)>);

/// The measures that trec_eval means by the name: several for a name with several cutoffs, or with none. `None` if it is not a
/// name of trec_eval's.
pub(super) fn parse(text: &str) -> Option<Result<Vec<Written>>> {
    let fits = |name: &&TrecName| {
        text.strip_prefix(name.name).is_some_and(|suffix| suffix.is_empty() || suffix.starts_with(['_', '.']))
    };
    let name = NAMES.iter().filter(fits).max_by_key(|name| name.name.len())?;
    let suffix = text[name.name.len()..].get(1..).filter(|suffix| !suffix.is_empty());
    if suffix.is_some() && matches!(name.suffix, Suffix::None) {
        return None;
    }
    let definition = find(name.measure).expect("the measures of the names are defined");
    if let Some(cutoff) = suffix.filter(|_| matches!(name.suffix, Suffix::Gains)).and_then(|text| text.parse().ok()) {
        return Some(Err(no_cutoff(name, definition, cutoff)));
    }
    let values = name.suffix.values(suffix).with_context(|| format!("{text:?} cannot be read as {}", name.name));
    Some(values.map(|values| values.into_iter().map(|values| (definition, values)).collect()))
}

/// The error for a number of documents behind a name that has gains there.
fn no_cutoff(name: &TrecName, definition: &Definition, cutoff: u32) -> anyhow::Error {
    let TrecName { name, measure, .. } = name;
    let with_cutoff = NAMES.iter().find(|other| other.measure == *measure && matches!(other.suffix, Suffix::Cutoff(_)));
    let suggestion = match with_cutoff {
        Some(TrecName { name, .. }) => format!("; did you mean {name}_{cutoff}?"),
        None if definition.all_parameters().any(|(key, _)| key == Key::Cutoff) => {
            format!("; did you mean {measure}@{cutoff}?")
        }
        None => String::new(),
    };
    anyhow!(
        "\"{name}_{cutoff}\" has no cutoff: behind {name} stand the gains of grades, as in {name}_1=3,2=9{suggestion}"
    )
}

impl Suffix {
    /// The parameters of each of the measures that are meant.
    fn values(&self, text: Option<&str>) -> Result<Vec<Vec<(Key, String)>>> {
        let one = |key: Key, value: String| vec![(key, value)];
        Ok(match (self, text) {
            (Self::Cutoff(_), Some(text)) => text.split(',').map(|value| one(Key::Cutoff, value.to_owned())).collect(),
            (Self::Cutoff(all), None) => all.iter().map(|value| one(Key::Cutoff, value.to_string())).collect(),
            (Self::Tenths(key, ..), Some(text)) => text.split(',').map(|value| one(*key, value.to_owned())).collect(),
            (Self::Tenths(key, tenths, step), None) => {
                let tenths = tenths.clone().step_by(*step);
                tenths.map(|tenths| one(*key, (f64::from(tenths) / 10.0).to_string())).collect()
            }
            (Self::Numbers(key), Some(text)) => vec![one(*key, format!("[{text}]"))],
            (Self::Number(key), Some(text)) => vec![one(*key, text.to_owned())],
            (Self::Gains, Some(text)) => vec![one(Key::Gains, format!("{{{}}}", text.replace('=', ":")))],
            (Self::Persistence, None) => vec![one(Key::Persistence, PERSISTENCE.to_owned())],
            (Self::Persistence, Some(text)) => match text.strip_prefix("p=") {
                Some(value) => vec![one(Key::Persistence, value.to_owned())],
                None => bail!("only the persistence can be given, as in p=0.8"),
            },
            (Self::None, _) | (Self::Numbers(_) | Self::Number(_) | Self::Gains, None) => vec![Vec::new()],
        })
    }

    /// What trec_eval prints behind the name, where the parameters can be said so.
    fn show(&self, parameters: &Parameters, is_default: impl Fn(Key) -> bool) -> Option<String> {
        let shown = |key: Key| key.show(parameters).trim_matches(['[', ']', '{', '}']).replace(':', "=");
        let unless_default = |key: Key| if is_default(key) { String::new() } else { format!("_{}", shown(key)) };
        match self {
            Self::None => Some(String::new()),
            Self::Cutoff(_) => parameters.cutoff.map(|cutoff| format!("_{cutoff}")),
            Self::Tenths(Key::Recall, ..) => Some(format!("_{:.2}", parameters.recall)),
            Self::Tenths(..) => Some(format!("_{:.2}", parameters.multiple)),
            Self::Numbers(key) | Self::Number(key) => Some(unless_default(*key)),
            Self::Gains => Some(unless_default(Key::Gains)),
            Self::Persistence if shown(Key::Persistence) == PERSISTENCE => Some(String::new()),
            Self::Persistence => Some(format!("_p={}", shown(Key::Persistence))),
        }
    }

    /// Whether the suffix, or an option that holds for all measures of trec_eval, can say what the parameter is.
    fn says(&self, key: Key) -> bool {
        match self {
            Self::Cutoff(_) => key == Key::Cutoff,
            Self::Tenths(own, ..) | Self::Numbers(own) | Self::Number(own) => key == *own,
            Self::Gains => key == Key::Gains,
            Self::Persistence => key == Key::Persistence,
            Self::None => false,
        }
    }
}

/// The name that trec_eval prints for a measure with these parameters, if it has one.
pub(super) fn print(definition: &Definition, parameters: &Parameters, defaults: &Parameters) -> Option<String> {
    let is_default = |key: Key| key.show(parameters) == key.show(defaults);
    let is_option =
        |key: Key, default: Default| key == Key::JudgedOnly || (key == Key::Level && default != Default::Absent);
    NAMES.iter().filter(|name| name.measure == definition.name).find_map(|name| {
        let mut all = definition.all_parameters();
        all.all(|(key, default)| is_option(key, default) || name.suffix.says(key) || is_default(key))
            .then(|| name.suffix.show(parameters, is_default))
            .flatten()
            .map(|suffix| format!("{}{suffix}", name.name))
    })
}
