//! A run in the format of MS MARCO: `query document rank`, separated by tabs.

use std::io::Write;

use crate::record::Ranking;

/// Appends a line for each candidate.
pub(super) fn format(ranking: &Ranking, buffer: &mut Vec<u8>) {
    for (index, result) in ranking.results.iter().enumerate() {
        // Writing to memory does not fail.
        let _ = writeln!(buffer, "{}\t{}\t{}", ranking.query.id, result.candidate.id, index + 1);
    }
}

#[cfg(test)]
mod tests {
    use super::super::examples::ranking;
    use super::*;

    #[test]
    fn a_line_has_three_columns() {
        let mut buffer = Vec::new();
        format(&ranking(&[7., -0.5]), &mut buffer);
        assert_eq!(String::from_utf8(buffer).unwrap(), "q1\td0\t1\nq1\td1\t2\n");
    }
}
