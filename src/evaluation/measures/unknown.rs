//! What is said of names that are not known.

use super::definitions::{ALL, Definition};
use super::parameters::Key;
use super::trec_names;

/// Measures of ir_measures that need what a ranking and grades do not have.
const UNSUPPORTED: &[(&[&str], &str)] = &[
    (
        &[
            "alpha_DCG",
            "alpha_nDCG",
            "α_DCG",
            "α_nDCG",
            "AP_IA",
            "MAP_IA",
            "ERR_IA",
            "nERR_IA",
            "NRBP",
            "nNRBP",
            "P_IA",
        ],
        "it needs judgements of subtopics",
    ),
    (&["StRecall"], "it needs judgements of subtopics"),
    (&["Accuracy"], "it has no value for queries without a relevant document in the ranking"),
    (&["runid", "relstring"], "it prints no number"),
];

/// Names that are at least so similar are suggested; 1 stands for the same name.
const SIMILAR: f64 = 0.8;

/// The message for a measure's name that is not known.
pub(super) fn message(name: &str) -> String {
    if let Some((_, why)) = UNSUPPORTED.iter().find(|(names, _)| names.contains(&name)) {
        return format!("the measure {name:?} is not supported: {why}");
    }
    let lower = name.to_lowercase();
    let names = ALL.iter().flat_map(|definition| std::iter::once(&definition.name).chain(definition.aliases));
    let mut near: Vec<(f64, &str)> = names
        .copied()
        .chain(trec_names::all())
        .map(|known| (strsim::jaro_winkler(&known.to_lowercase(), &lower), known))
        .filter(|&(similarity, _)| similarity >= SIMILAR)
        .collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0));
    // A measure and an alias of another may have one name but for its letters' case.
    let mut seen = Vec::new();
    near.retain(|(_, known)| {
        let lower = known.to_lowercase();
        let is_new = !seen.contains(&lower);
        seen.push(lower);
        is_new
    });
    let near: Vec<&str> = near.iter().take(3).map(|&(_, known)| known).collect();
    let all = ALL.iter().map(|definition| definition.name).collect::<Vec<_>>().join(", ");
    match near[..] {
        [] => format!("there is no measure {name:?}; the measures are {all}, and those of trec_eval by its names"),
        _ => format!("there is no measure {name:?}; did you mean {}?", near.join(" or ")),
    }
}

/// The message for a parameter that the measure does not have.
pub(super) fn parameter(definition: &Definition, name: &str) -> String {
    let own = definition.all_parameters().map(|(key, _)| key.name()).collect::<Vec<_>>().join(", ");
    match own.as_str() {
        "" => format!("{} has no parameter {name:?}, and no others", definition.name),
        _ => format!("{} has no parameter {name:?}; its parameters are {own}", definition.name),
    }
}

/// The message for a parameter that has to be given.
pub(super) fn missing(definition: &Definition, key: Key) -> String {
    let example = match key {
        Key::Cutoff => format!("a cutoff, for example {}@10", definition.name),
        Key::Recall => format!("a value of recall, for example {}@0.1", definition.name),
        Key::Multiple => format!("a multiple, for example {}@0.5", definition.name),
        _ => format!("{}, the highest grade that there can be, for example {}(max_rel=4)", key.name(), definition.name),
    };
    format!("{} needs {example}", definition.name)
}
