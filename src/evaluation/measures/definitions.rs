//! The measures by name: their parameters, and the formula of each.

use super::parameters::Key;
use super::query::Query;
use super::{continuation, gains, precision, preference, sets, users};

/// How the values of several queries become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Summary {
    Mean,
    Sum,
    GeometricMean,
}

/// What a parameter is when it is not given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Default {
    /// It has to be given.
    None,
    /// The measure does without it.
    Absent,
    /// It has the value that is written like this.
    Is(&'static str),
}

/// One measure.
pub(super) struct Definition {
    pub(super) name: &'static str,
    /// Other names for the same measure.
    pub(super) aliases: &'static [&'static str],
    /// The parameter that is written behind `@`.
    pub(super) at: Option<(Key, Default)>,
    pub(super) parameters: &'static [(Key, Default)],
    pub(super) summary: Summary,
    pub(super) formula: fn(&Query) -> f64,
}

impl Definition {
    const fn new(name: &'static str, formula: fn(&Query) -> f64) -> Self {
        Self { name, aliases: &[], at: None, parameters: &[], summary: Summary::Mean, formula }
    }

    const fn alias(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    /// With a cutoff behind `@` that may be left out.
    const fn cut(mut self) -> Self {
        self.at = Some((Key::Cutoff, Default::Absent));
        self
    }

    /// With this parameter behind `@`, which has to be there.
    const fn at(mut self, key: Key) -> Self {
        self.at = Some((key, Default::None));
        self
    }

    const fn with(mut self, parameters: &'static [(Key, Default)]) -> Self {
        self.parameters = parameters;
        self
    }

    const fn summary(mut self, summary: Summary) -> Self {
        self.summary = summary;
        self
    }

    /// All parameters, the one behind `@` last.
    pub(super) fn all_parameters(&self) -> impl Iterator<Item = (Key, Default)> {
        self.parameters.iter().copied().chain(self.at)
    }
}

/// The definition with this name or alias.
pub(super) fn find(name: &str) -> Option<&'static Definition> {
    ALL.iter().find(|definition| definition.name == name || definition.aliases.contains(&name))
}

/// The measure of this name, or one that differs in nothing but the case of letters.
pub(super) fn find_in_any_case(name: &str) -> Option<&'static Definition> {
    let is_same = |known: &&str| known.eq_ignore_ascii_case(name);
    ALL.iter().find(|definition| is_same(&definition.name) || definition.aliases.iter().any(is_same))
}

const LEVEL: (Key, Default) = (Key::Level, Default::Is("1"));
const JUDGED_ONLY: (Key, Default) = (Key::JudgedOnly, Default::Is("False"));
const TARGET: (Key, Default) = (Key::Target, Default::Is("1.0"));
const LOWEST: (Key, Default) = (Key::Lowest, Default::Is("0"));
const HIGHEST: (Key, Default) = (Key::Highest, Default::None);
const GRADED: &[(Key, Default)] =
    &[(Key::Discount, Default::Is("'log2'")), (Key::Gains, Default::Is("{}")), JUDGED_ONLY];
const BINARY: &[(Key, Default)] = &[LEVEL, JUDGED_ONLY];
const GAINS: &[(Key, Default)] = &[(Key::Gains, Default::Is("{}"))];
const RANGE: &[(Key, Default)] = &[LOWEST, HIGHEST];
const TARGET_AND_RANGE: &[(Key, Default)] = &[TARGET, LOWEST, HIGHEST];

/// The measures of ir_measures, then those that only trec_eval has, under its names.
pub(super) static ALL: &[Definition] = &[
    Definition::new("nDCG", gains::ndcg).alias(&["NDCG"]).cut().with(GRADED),
    Definition::new("RR", precision::reciprocal_rank).alias(&["MRR"]).cut().with(BINARY),
    Definition::new("AP", precision::average_precision).alias(&["MAP"]).cut().with(BINARY),
    Definition::new("P", precision::precision).alias(&["Precision"]).at(Key::Cutoff).with(BINARY),
    Definition::new("R", precision::recall).alias(&["Recall"]).at(Key::Cutoff).with(BINARY),
    Definition::new("Success", precision::success).at(Key::Cutoff).with(BINARY),
    Definition::new("Rprec", precision::r_precision).alias(&["RPrec"]).with(BINARY),
    Definition::new("Judged", precision::judged).cut(),
    Definition::new("Bpref", preference::bpref).alias(&["BPref"]).with(&[LEVEL]),
    Definition::new("infAP", preference::inferred_average_precision).with(&[LEVEL]),
    Definition::new("IPrec", precision::interpolated_precision).at(Key::Recall).with(BINARY),
    Definition::new("ERR", users::expected_reciprocal_rank).cut().with(&[(Key::Highest, Default::Is("4"))]),
    Definition::new("RBP", users::rank_biased_precision)
        .cut()
        .with(&[(Key::Persistence, Default::Is("0.8")), (Key::Level, Default::Absent)]),
    Definition::new("Compat", users::compatibility)
        .with(&[(Key::Persistence, Default::Is("0.95")), (Key::Normalize, Default::Is("True"))]),
    Definition::new("SetP", sets::set_precision).with(&[LEVEL, (Key::Relative, Default::Is("False")), JUDGED_ONLY]),
    Definition::new("SetRelP", sets::set_precision).with(&[LEVEL, (Key::Relative, Default::Is("True")), JUDGED_ONLY]),
    Definition::new("SetR", sets::set_recall).with(&[LEVEL]),
    Definition::new("SetF", sets::set_f).with(&[LEVEL, (Key::Beta, Default::Is("1.0")), JUDGED_ONLY]),
    Definition::new("SetAP", sets::set_average_precision).with(BINARY),
    Definition::new("NumQ", sets::number_queries).summary(Summary::Sum),
    Definition::new("NumRel", sets::number_relevant).with(&[LEVEL]).summary(Summary::Sum),
    Definition::new("NumRet", sets::number_retrieved).with(&[(Key::Level, Default::Absent)]).summary(Summary::Sum),
    Definition::new("NumRelRet", sets::number_retrieved).with(&[LEVEL]).summary(Summary::Sum),
    Definition::new("SDCG", continuation::scaled_dcg).at(Key::Cutoff).with(RANGE),
    Definition::new("NERR8", continuation::nerr8).at(Key::Cutoff).with(RANGE),
    Definition::new("NERR9", continuation::nerr9).at(Key::Cutoff).with(RANGE),
    Definition::new("NERR10", continuation::nerr10).with(&[(Key::Persistence, Default::Is("0.9")), LOWEST, HIGHEST]),
    Definition::new("NERR11", continuation::nerr11).with(TARGET_AND_RANGE),
    Definition::new("BPM", continuation::bejeweled_player).at(Key::Cutoff).with(TARGET_AND_RANGE),
    Definition::new("INST", continuation::inst).with(TARGET_AND_RANGE),
    Definition::new("INSQ", continuation::insq).with(TARGET_AND_RANGE),
    Definition::new("DCG", gains::dcg).cut().with(GRADED),
    Definition::new("gm_map", precision::average_precision).with(&[LEVEL]).summary(Summary::GeometricMean),
    Definition::new("gm_bpref", preference::bpref).with(&[LEVEL]).summary(Summary::GeometricMean),
    Definition::new("Rprec_mult", precision::r_precision_multiple).at(Key::Multiple).with(&[LEVEL]),
    Definition::new("11pt_avg", precision::interpolated_average)
        .with(&[LEVEL, (Key::Recalls, Default::Is("[0,.1,.2,.3,.4,.5,.6,.7,.8,.9,1]"))]),
    Definition::new("relative_P", precision::relative_precision).at(Key::Cutoff).with(&[LEVEL]),
    Definition::new("ndcg_rel", gains::ndcg_at_relevant).with(GAINS),
    Definition::new("Rndcg", gains::ndcg_at_falls).with(&[LEVEL, (Key::Gains, Default::Is("{}"))]),
    Definition::new("G", gains::normalized_gain).with(GAINS),
    Definition::new("binG", gains::binary_gain).with(&[LEVEL]),
    Definition::new("rbp_resid", users::rank_biased_residual).with(&[(Key::Persistence, Default::Is("0.9"))]),
    Definition::new("unj", precision::unjudged).at(Key::Cutoff),
    Definition::new("utility", sets::utility).with(&[LEVEL, (Key::Weights, Default::Is("[1,-1,0,0]"))]),
    Definition::new("num_nonrel_judged_ret", sets::number_nonrelevant_judged).with(&[LEVEL]).summary(Summary::Sum),
];
