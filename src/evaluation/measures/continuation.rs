//! Measures of the C/W/L framework (Moffat, Bailey, Scholer and Thomas, "Incorporating User Expectations and Behavior into the
//! Measurement of Search Effectiveness", TOIS 2017): each says with which probability a user goes on after a rank, and its
//! value is the gain that the user expects from a document.
//!
//! The probabilities are those of the cwl_eval package. As there, gains are from 0 to 1 and 1,000 ranks are looked at.

use super::query::Query;

/// cwl_eval looks at no more ranks; a shorter ranking is filled up with documents without gain.
const RANKS: usize = 1000;

/// What a user has seen when the decision to go on is made.
struct Seen {
    /// The number of documents.
    rank: f64,
    /// The gain of the last one.
    gain: f64,
    /// The gain of all together.
    collected: f64,
    /// Whether the cutoff is not reached yet.
    above_cutoff: bool,
}

/// The gain expected of a document that a user looks at, where `continues` is the probability of going on.
fn expected_gain(query: &Query, continues: impl Fn(&Seen) -> f64) -> f64 {
    let (lowest, highest) = (query.parameters.lowest, query.parameters.highest);
    let cutoff = query.parameters.cutoff.unwrap_or(usize::MAX);
    let scale = f64::from(highest) - f64::from(lowest);
    let (mut weight, mut weights, mut sum, mut collected) = (1.0, 0.0, 0.0, 0.0);
    for place in 0..RANKS {
        let grade = query.retrieved.get(place).copied().flatten();
        let gain = grade.map_or(0.0, |grade| (f64::from(grade.clamp(lowest, highest)) - f64::from(lowest)) / scale);
        collected += gain;
        weights += weight;
        sum += weight * gain;
        weight *= continues(&Seen { rank: (place + 1) as f64, gain, collected, above_cutoff: place + 1 < cutoff });
        if weight == 0.0 {
            break;
        }
    }
    sum / weights
}

/// The share of an infinite sum of inverse squares that goes on, which INSQ, INST and NERR11 have in common.
fn inverse_square(depth: f64) -> f64 {
    ((depth - 1.0) / depth).powi(2)
}

/// NERR by equation 8 (Azzopardi, Mackenzie and Moffat, "ERR is not C/W/L", ICTIR 2021).
pub(super) fn nerr8(query: &Query) -> f64 {
    expected_gain(query, |seen| if seen.above_cutoff { 1.0 - seen.gain } else { 0.0 })
}

/// NERR by equation 9 of the same paper.
pub(super) fn nerr9(query: &Query) -> f64 {
    let discount = |seen: &Seen| seen.rank / (seen.rank + 1.0) * (1.0 - seen.gain);
    expected_gain(query, |seen| if seen.above_cutoff { discount(seen) } else { 0.0 })
}

/// NERR by equation 10 of the same paper.
pub(super) fn nerr10(query: &Query) -> f64 {
    expected_gain(query, |seen| query.parameters.persistence * (1.0 - seen.gain))
}

/// NERR by equation 11 of the same paper.
pub(super) fn nerr11(query: &Query) -> f64 {
    expected_gain(query, |seen| inverse_square(seen.rank + 2.0 * query.parameters.target) * (1.0 - seen.gain))
}

/// The Bejeweled player model, the static one (Zhang and others, "Evaluating Web Search with a Bejeweled Player Model", SIGIR
/// 2017).
pub(super) fn bejeweled_player(query: &Query) -> f64 {
    let goes_on = |seen: &Seen| seen.above_cutoff && seen.collected < query.parameters.target;
    expected_gain(query, |seen| f64::from(u8::from(goes_on(seen))))
}

/// INSQ (Moffat, Scholer and Thomas, "Models and Metrics: IR Evaluation as a User Process", ADCS 2012).
pub(super) fn insq(query: &Query) -> f64 {
    expected_gain(query, |seen| inverse_square(seen.rank + 2.0 * query.parameters.target))
}

/// INST (Bailey, Moffat, Scholer and Thomas, "User Variability and IR System Evaluation", SIGIR 2015).
pub(super) fn inst(query: &Query) -> f64 {
    let target = query.parameters.target;
    expected_gain(query, |seen| inverse_square(seen.rank + target + (target - seen.collected)))
}

/// Discounted cumulative gain as a share of a ranking that has the highest gain at each rank down to the cutoff.
pub(super) fn scaled_dcg(query: &Query) -> f64 {
    let discount = |seen: &Seen| (seen.rank + 1.0).log2() / (seen.rank + 2.0).log2();
    expected_gain(query, |seen| if seen.above_cutoff { discount(seen) } else { 0.0 })
}
