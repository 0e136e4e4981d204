//! Dates in days of which a merge makes times, as other files have times in their column. Parts have them as JSON has them: as
//! texts, those of the years after 9999 and before 0 with a sign that no reader of times knows, and those that no calendar has as
//! numbers of days.

use arrow_array::types::Date32Type;
use arrow_cast::parse::Parser;
use serde_json::value::RawValue;

use crate::column_types::{Column, DATES_IN_MILLISECONDS};
use crate::output::query_column;
use crate::record::{Fields, Ranking};

const MILLISECONDS_OF_A_DAY: i64 = 86_400_000;

/// Makes times of the dates in those of these columns that are such times.
pub(super) fn to_times(ranking: &mut Ranking, columns: &[Column]) {
    let is_time = |column: &&Column| *column.data_type() == DATES_IN_MILLISECONDS;
    let names: Vec<&str> = columns.iter().filter(is_time).map(|column| column.name().as_str()).collect();
    if names.is_empty() {
        return;
    }
    replace(&mut ranking.query.fields, |name| names.contains(&query_column(name).as_str()));
    for result in &mut ranking.results {
        replace(&mut result.candidate.fields, |name| names.contains(&name));
    }
}

fn replace(fields: &mut Fields, is_time: impl Fn(&str) -> bool) {
    for (_, value) in fields.iter_mut().filter(|(name, _)| is_time(name)) {
        if let Some(time) = days(value.get()).and_then(time) {
            *value = time;
        }
    }
}

/// The days of a date that no reader of times knows. A time that is a number has more digits: its year is after 9999 or before 0.
fn days(json: &str) -> Option<i32> {
    match json.strip_prefix('"') {
        Some(text) if text.starts_with(['+', '-']) => Date32Type::parse(text.strip_suffix('"')?),
        Some(_) => None,
        None => json.parse().ok(),
    }
}

fn time(days: i32) -> Option<Box<RawValue>> {
    RawValue::from_string((i64::from(days) * MILLISECONDS_OF_A_DAY).to_string()).ok()
}
