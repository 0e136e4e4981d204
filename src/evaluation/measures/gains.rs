//! Measures of graded relevance: a document is worth its gain, and less the further down it stands.
//!
//! nDCG is Järvelin and Kekäläinen's ("Cumulated Gain-Based Evaluation of IR Techniques", TOIS 2002) with the discount
//! log2(rank + 1). The variants and G are experimental measures of trec_eval.

use super::parameters::Parameters;
use super::query::Query;

/// Powers of 2 up to this exponent can be summed over as many documents as there may be.
const MOST_EXPONENT: f64 = 960.0;

/// The gain of a document with this grade. Documents without a judgement and negative grades have none.
fn gain(parameters: &Parameters, grade: Option<i32>) -> f64 {
    let Some(grade) = grade else { return 0.0 };
    let gain = linear_gain(parameters, grade);
    if parameters.exponential { gain.exp2() - 1.0 } else { gain }
}

/// What stands for a grade before it is made a power.
fn linear_gain(parameters: &Parameters, grade: i32) -> f64 {
    let mapped = parameters.gains.iter().find(|&&(from, _)| from == grade);
    mapped.map_or(f64::from(grade.max(0)), |&(_, gain)| gain)
}

/// The most that a gain may be, if this grade has a larger one, whose power of 2 is no number.
pub(super) fn exceeded(parameters: &Parameters, grade: i32) -> Option<f64> {
    (parameters.exponential && linear_gain(parameters, grade) > MOST_EXPONENT).then_some(MOST_EXPONENT)
}

/// What gains are divided by at a 0-based place.
fn discount(place: usize) -> f64 {
    ((place + 2) as f64).log2()
}

/// The gains of the retrieved documents down to the cutoff, best first.
fn gains(query: &Query) -> impl Iterator<Item = f64> {
    query.top().iter().map(|&grade| gain(query.parameters, grade))
}

/// The gains above 0 of all judged documents, highest first, which is how the best ranking has them.
fn ideal_gains(query: &Query) -> Vec<f64> {
    let grades = query.judgements.grades().iter();
    let mut gains: Vec<f64> =
        grades.map(|&grade| gain(query.parameters, Some(grade))).filter(|&gain| gain > 0.0).collect();
    gains.sort_unstable_by(|a, b| b.total_cmp(a));
    gains
}

/// The discounted sum of gains.
fn discounted(gains: impl Iterator<Item = f64>) -> f64 {
    gains.enumerate().filter(|&(_, gain)| gain != 0.0).map(|(place, gain)| gain / discount(place)).sum()
}

/// The discounted sums of gains down to each place; the first is of no document.
fn running(gains: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut sums = vec![0.0];
    let mut sum = 0.0;
    for (place, gain) in gains.enumerate() {
        if gain != 0.0 {
            sum += gain / discount(place);
        }
        sums.push(sum);
    }
    sums
}

/// Discounted cumulative gain.
pub(super) fn dcg(query: &Query) -> f64 {
    discounted(gains(query))
}

/// Discounted cumulative gain as a share of the best ranking's.
pub(super) fn ndcg(query: &Query) -> f64 {
    let cutoff = query.parameters.cutoff.unwrap_or(usize::MAX);
    let ideal = discounted(ideal_gains(query).into_iter().take(cutoff));
    if ideal > 0.0 { dcg(query) / ideal } else { 0.0 }
}

/// trec_eval's `ndcg_rel`: the mean of nDCG at the rank of each document with a gain; at the end of the ranking for those that
/// were not retrieved.
pub(super) fn ndcg_at_relevant(query: &Query) -> f64 {
    let ideal_gains = ideal_gains(query);
    let ideal = running(ideal_gains.iter().copied());
    let sums = running(gains(query));
    let last = ideal_gains.len();
    if last == 0 {
        return 0.0;
    }
    let places = gains(query).enumerate().filter(|&(_, gain)| gain > 0.0).map(|(place, _)| place + 1);
    let found: Vec<f64> = places.map(|depth| sums[depth] / ideal[depth.min(last)]).collect();
    let missed = last.saturating_sub(found.len()) as f64;
    (found.iter().sum::<f64>() + missed * sums[sums.len() - 1] / ideal[last]) / last as f64
}

/// trec_eval's `Rndcg`: the mean of nDCG at the ranks where the gain of the best ranking falls, and at the end of a ranking
/// that goes on for more than one document after the last of them.
pub(super) fn ndcg_at_falls(query: &Query) -> f64 {
    let ideal_gains = ideal_gains(query);
    let relevant = ideal_gains.len();
    if relevant == 0 || query.relevant() == 0 {
        return 0.0;
    }
    let ideal = running(ideal_gains.iter().copied());
    let sums = running(gains(query));
    let retrieved = sums.len() - 1;
    let is_fall = |&depth: &usize| ideal_gains.get(depth) != ideal_gains.get(depth - 1);
    let mut values: Vec<f64> =
        (1..=relevant).filter(is_fall).map(|depth| sums[depth.min(retrieved)] / ideal[depth]).collect();
    if retrieved > relevant + 1 {
        values.push(sums[retrieved] / ideal[relevant]);
    }
    values.iter().sum::<f64>() / values.len() as f64
}

/// trec_eval's `G`: each gain is divided by the logarithm of how far the gains above it stay behind those of the best
/// ranking, and the sum by the sum of all gains.
pub(super) fn normalized_gain(query: &Query) -> f64 {
    let ideal = ideal_gains(query);
    let total: f64 = ideal.iter().sum();
    let (mut cost, mut collected, mut sum) = (0.0, 0.0, 0.0);
    for (place, gain) in gains(query).enumerate() {
        cost += ideal.get(place).copied().unwrap_or_default().max(1.0);
        collected += gain;
        if gain != 0.0 {
            sum += gain / (2.0 + cost - collected).log2();
        }
    }
    if total > 0.0 { sum / total } else { 0.0 }
}

/// trec_eval's `binG`: as `G`, with every relevant document worth 1.
pub(super) fn binary_gain(query: &Query) -> f64 {
    let terms = query.relevant_places().enumerate().map(|(above, place)| 1.0 / ((2 + place - above) as f64).log2());
    let sum: f64 = terms.sum();
    if sum == 0.0 { 0.0 } else { sum / query.relevant() as f64 }
}
