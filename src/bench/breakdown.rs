//! Where the time of a repetition goes, kind of work by kind of work, against what the device could do.

use std::fmt::{self, Display, Formatter};

use serde::Serialize;

use super::Repetition;
use crate::engine::{KINDS, Work};

/// The figures of one kind of work.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Part {
    /// The name of the kind.
    pub kind: &'static str,
    /// The share of the threads' time, or of the GPU's.
    pub time_share: f64,
    /// The rate in 10¹² operations a second; 0 where operations are not counted.
    pub tera_operations_per_second: f64,
    /// The traffic to and from memory in 10⁹ bytes a second, with inputs read once and results written once; 0 where it is not
    /// counted.
    pub gigabytes_per_second: f64,
    /// The time that this work would take at the device's peak rate of operations or of bytes, whichever is longer, divided by
    /// the time that it took.
    pub share_of_ceiling: f64,
}

/// All kinds that took time, the longest first.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Breakdown(pub Vec<Part>);

impl Breakdown {
    pub(super) fn new(repetition: &Repetition, work: &Work) -> Self {
        // The profile's seconds are those of all threads together, and so are those of each kind.
        let threads = repetition.profiled / repetition.seconds;
        let part = |(kind, name): (usize, &&'static str)| {
            let seconds = repetition.profile.nanoseconds[kind] as f64 / 1e9 / threads;
            let (operations, bytes) = (work.operations[kind], work.bytes[kind]);
            let transfer = if repetition.bandwidth > 0. { bytes / repetition.bandwidth } else { 0. };
            Part {
                kind: name,
                time_share: seconds / repetition.seconds,
                tera_operations_per_second: operations / seconds / 1e12,
                gigabytes_per_second: bytes / seconds / 1e9,
                share_of_ceiling: (operations / repetition.peak).max(transfer) / seconds,
            }
        };
        let mut parts: Vec<_> = KINDS.iter().enumerate().map(part).filter(|part| part.time_share > 0.).collect();
        parts.sort_by(|one, other| other.time_share.total_cmp(&one.time_share));
        Self(parts)
    }
}

impl Display for Breakdown {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        // On a processor, bytes are not counted: most of them stay in its caches.
        let bytes = self.0.iter().any(|part| part.gigabytes_per_second > 0.);
        let cell = |text: String| if bytes { format!("  {text:>6}") } else { String::new() };
        let head = ["share", "TFLOP/s", "of its limit"];
        writeln!(
            formatter,
            "  {:<30}  {:>6}  {:>8}{}  {:>12}",
            "time",
            head[0],
            head[1],
            cell("GB/s".into()),
            head[2]
        )?;
        let counted = |value: f64, digits: usize, unit: &str| match value {
            0. => "-".to_owned(),
            value => format!("{value:.digits$}{unit}"),
        };
        for part in &self.0 {
            writeln!(
                formatter,
                "  {:<30}  {:>6}  {:>8}{}  {:>12}",
                part.kind,
                format!("{:.1}%", part.time_share * 100.),
                counted(part.tera_operations_per_second, 2, ""),
                cell(counted(part.gigabytes_per_second, 0, "")),
                counted(part.share_of_ceiling * 100., 0, "%"),
            )?;
        }
        let busy: f64 = self.0.iter().map(|part| part.time_share).sum();
        writeln!(formatter, "  {:<30}  {:>6}", "waiting and other", format!("{:.1}%", (1. - busy) * 100.))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Kind, Profile};

    #[test]
    fn a_kind_is_held_against_the_rate_that_limits_it() {
        let mut profile = Profile::default();
        // Two threads, of which both were busy for 3 of 4 seconds.
        profile.nanoseconds[Kind::Down as usize] = 4_000_000_000;
        profile.nanoseconds[Kind::Norm as usize] = 2_000_000_000;
        let repetition = Repetition { seconds: 4., profile, profiled: 8., peak: 10e12, bandwidth: 100e9 };
        let mut work = Work::default();
        work.operate(Kind::Down, 10e12);
        work.transfer(Kind::Down, 20e9);
        work.transfer(Kind::Norm, 90e9);
        let Breakdown(parts) = Breakdown::new(&repetition, &work);
        let [down, norm] = &parts[..] else { panic!("{parts:?}") };
        assert_eq!([down.kind, norm.kind], ["down products", "norm"]);
        assert_eq!([down.time_share, norm.time_share], [0.5, 0.25]);
        assert_eq!([down.tera_operations_per_second, down.gigabytes_per_second], [5., 10.]);
        // Half of the rate of operations, a tenth of that of bytes.
        assert_eq!([down.share_of_ceiling, norm.share_of_ceiling], [0.5, 0.9]);
        let text = Breakdown(parts).to_string();
        assert!(text.contains("norm                             25.0%         -      90           90%"), "{text}");
        assert!(text.contains("waiting and other                25.0%"), "{text}");
        let on_a_processor = Part { gigabytes_per_second: 0., ..Breakdown::new(&repetition, &work).0[0].clone() };
        assert!(!Breakdown(vec![on_a_processor]).to_string().contains("GB/s"));
    }
}
