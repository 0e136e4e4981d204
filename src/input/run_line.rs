//! One line of a run: TREC's `query-id Q0 document-id rank score tag`, MS MARCO's `query-id document-id rank`, or
//! Tevatron's `query-id document-id score`.

use super::entry::{JOINED, rank, score};

/// How the lines of a run are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunFormat {
    /// Six columns, and perhaps more words behind the tag.
    Trec,
    /// Three columns, without a score.
    Msmarco,
    /// Three columns, without a rank.
    Tevatron,
    /// Four cells between tabs, of which the rank and the score may be empty: the rows of a file of columns.
    Columns,
}

/// A document of a run.
#[derive(Debug, PartialEq)]
pub struct Listed {
    /// The document's identifier.
    pub id: Box<str>,
    /// Its rank.
    pub rank: i64,
    /// Its score; a run in MS MARCO's format has none.
    pub score: Option<f64>,
}

/// The document that a line names, or what is wrong with the line.
pub type Document = Result<Listed, Fault>;

/// What is wrong with a line.
#[derive(Debug, PartialEq)]
pub struct Fault {
    /// The document's identifier; `None` where the line can't be split into columns.
    pub id: Option<Box<str>>,
    /// What is wrong, as a sentence without a full stop.
    pub problem: Box<str>,
}

impl RunFormat {
    /// The format of a run that has this line, if it can be one of a run.
    pub fn of(line: &str) -> Option<Self> {
        let fields: Vec<&str> = line.split_ascii_whitespace().take(6).collect();
        match fields[..] {
            [_, q0, _, place, value, _] => {
                let is_row = ["Q0", "q0", "0"].contains(&q0) && rank(place).is_ok() && score(value).is_ok();
                is_row.then_some(Self::Trec)
            }
            [_, _, place] if !line.contains(',') && place.parse::<u32>().is_ok() => Some(Self::Msmarco),
            [_, _, value] if !line.contains(',') && score(value).is_ok() => Some(Self::Tevatron),
            _ => None,
        }
    }

    /// The query's identifier, where the line has its columns, and its document.
    pub fn parse(self, line: &str) -> (Option<&str>, Document) {
        let columns = match self.split(line) {
            Ok(columns) => columns,
            Err(problem) => return (None, Err(Fault { id: None, problem: problem.into() })),
        };
        if self == Self::Trec && columns.has_no_numbers() {
            return (None, Err(Fault { id: None, problem: NO_NUMBERS.into() }));
        }
        (Some(columns.query), columns.document())
    }

    /// The columns of a line, as texts.
    ///
    /// # Errors
    /// What is wrong with the line where it has too few or too many of them, as a sentence without a full stop.
    pub fn split(self, line: &str) -> Result<RunColumns<'_>, String> {
        if let Some(problem) = misplaced_mark(line) {
            return Err(problem.to_owned());
        }
        let mut rest = line.split_ascii_whitespace();
        let mut next = || rest.next();
        let fields = [next(), next(), next(), next(), next(), next(), next()];
        match (self, fields) {
            (Self::Trec, [Some(query), Some(_), Some(id), Some(rank), Some(score), Some(tag), _]) => {
                Ok(RunColumns { query, id, rank: Some(rank), score: Some(score), tag: Some(tag) })
            }
            (Self::Msmarco, [Some(query), Some(id), Some(rank), None, ..]) => {
                Ok(RunColumns { query, id, rank: Some(rank), score: None, tag: None })
            }
            (Self::Columns, _) => Self::split_cells(line),
            (Self::Tevatron, [Some(query), Some(id), Some(score), None, ..]) => {
                Ok(RunColumns { query, id, rank: None, score: Some(score), tag: None })
            }
            _ => Err(format!(
                "the line has {} fields, {}",
                line.split_ascii_whitespace().count(),
                match self {
                    Self::Trec => "a run has six: query-id Q0 document-id rank score tag",
                    Self::Msmarco => "a run of MS MARCO has three: query-id document-id rank",
                    Self::Tevatron => "a run of Tevatron has three: query-id document-id score",
                    Self::Columns => "a row of columns has four cells",
                }
            )),
        }
    }

    /// The cells of a row of columns.
    fn split_cells(line: &str) -> Result<RunColumns<'_>, String> {
        let mut cells = line.split('\t').map(|cell| Some(cell).filter(|cell| !cell.trim().is_empty()));
        let mut next = || cells.next().flatten();
        let (query, id, rank, score) = (next(), next(), next(), next());
        let query = query.ok_or("the row has no query id")?;
        Ok(RunColumns { query, id: id.ok_or("the row has no document id")?, rank, score, tag: None })
    }
}

/// The columns of a line that have a meaning.
#[derive(Clone, Copy, Debug)]
pub struct RunColumns<'a> {
    /// The query's identifier.
    pub query: &'a str,
    /// The document's identifier.
    pub id: &'a str,
    /// The run's name; only a line of TREC has one.
    pub tag: Option<&'a str>,
    rank: Option<&'a str>,
    score: Option<&'a str>,
}

impl RunColumns<'_> {
    /// Whether the line looks like a header: neither its rank nor its score is a number.
    fn has_no_numbers(&self) -> bool {
        self.rank.is_some_and(|text| rank(text).is_err()) && self.score.is_some_and(|text| score(text).is_err())
    }

    fn document(&self) -> Document {
        let fault = |problem: String| Fault { id: Some(self.id.into()), problem: problem.into() };
        let rank = self.rank().map_err(fault)?;
        let score = self.score.map(score).transpose().map_err(fault)?;
        Ok(Listed { id: self.id.into(), rank, score })
    }

    /// The score; none where lines of this format have only a rank.
    ///
    /// # Errors
    /// If it is not a finite number, as a sentence without a full stop.
    pub fn score(&self) -> Result<Option<f64>, String> {
        let explained = |problem: String| if self.has_no_numbers() { NO_NUMBERS.to_owned() } else { problem };
        self.score.map(score).transpose().map_err(explained)
    }

    /// The rank of a line that has one; else that of all lines.
    ///
    /// # Errors
    /// If it is not an integer, as a sentence without a full stop.
    pub fn rank(&self) -> Result<i64, String> {
        let Some(place) = self.rank else { return Ok(UNRANKED) };
        rank(place).map_err(|problem| match self.score.is_none() && score(place).is_ok() {
            true => format!("{problem}; where the third column holds scores, use --input-format tevatron"),
            false => problem,
        })
    }
}

/// The rank of every line of a run that has none: it orders nothing, and the scores order the documents.
pub const UNRANKED: i64 = 1;

const NO_NUMBERS: &str = "the fourth and the fifth field are no numbers, they are the rank and the score in query-id Q0 \
                          document-id rank score tag: a run has no header, remove this line if it is one";

/// The message for a mark inside a line that belongs to the line ends or to the beginning of a file.
fn misplaced_mark(line: &str) -> Option<&'static str> {
    if line.contains('\r') {
        return Some(
            "a carriage return stands in this line: line ends of old Macs are converted with `tr '\\r' '\\n'`",
        );
    }
    line.starts_with('\u{feff}').then_some(JOINED)
}

/// Gives the documents of a query ranks from their scores where the ranks of the run order nothing or contradict the scores:
/// descending, ties by descending identifier, as `trec_eval`, which never looks at the ranks, orders them. Documents
/// without scores keep the order of their lines then. Returns the reason if the ranks were replaced.
pub fn settle_ranks(documents: &mut [&mut Listed]) -> Option<String> {
    let mut by_rank: Vec<&Listed> = documents.iter().map(|document| &**document).collect();
    by_rank.sort_by_key(|document| document.rank);
    let reason = by_rank.array_windows().find_map(|[first, second]| {
        if first.rank == second.rank {
            return Some(format!("both {:?} and {:?} have rank {}", first.id, second.id, first.rank));
        }
        (first.score < second.score).then(|| {
            format!(
                "{:?} with rank {} has a lower score than {:?} with rank {}",
                first.id, first.rank, second.id, second.rank
            )
        })
    })?;
    documents.sort_by(|one, other| {
        let by_score = other.score.partial_cmp(&one.score).unwrap_or(std::cmp::Ordering::Equal);
        let by_id = || if one.score.is_some() { other.id.cmp(&one.id) } else { std::cmp::Ordering::Equal };
        by_score.then_with(by_id)
    });
    for (document, rank) in documents.iter_mut().zip(1..) {
        document.rank = rank;
    }
    Some(reason)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_format_of_a_run_is_recognised() {
        for (line, format) in [
            ("q1 Q0 d1 1 2.5 run", Some(RunFormat::Trec)),
            ("q1\t0\td1\t1\t2.5\tmy run", Some(RunFormat::Trec)),
            ("q1\td1\t1", Some(RunFormat::Msmarco)),
            ("q1 d1 1", Some(RunFormat::Msmarco)),
            ("q1, d1, 1", None),
            ("q1\td1\t12.5", Some(RunFormat::Tevatron)),
            ("q1 d1 -3e-2", Some(RunFormat::Tevatron)),
            ("q1\td1\tBlue planet", None),
            ("q1 Q0 d1 first 2.5 run", None),
        ] {
            assert_eq!(RunFormat::of(line), format, "{line}");
        }
    }

    fn settled(documents: &[(&str, i64, Option<f64>)]) -> (Vec<(String, i64)>, Option<String>) {
        let listed = |&(id, rank, score): &(&str, i64, Option<f64>)| Listed { id: id.into(), rank, score };
        let mut documents: Vec<Listed> = documents.iter().map(listed).collect();
        let reason = settle_ranks(&mut documents.iter_mut().collect::<Vec<_>>());
        (documents.into_iter().map(|document| (document.id.into_string(), document.rank)).collect(), reason)
    }

    #[test]
    fn ranks_that_say_nothing_come_from_the_scores() {
        let (ranks, reason) = settled(&[("b", 0, Some(1.)), ("c", 0, Some(1.)), ("a", 0, Some(2.))]);
        assert_eq!(ranks, [("b".into(), 3), ("c".into(), 2), ("a".into(), 1)]);
        assert!(reason.unwrap().contains("have rank 0"));
        let (ranks, reason) = settled(&[("a", 1, Some(1.)), ("b", 2, Some(3.))]);
        assert_eq!(ranks, [("a".into(), 2), ("b".into(), 1)]);
        assert!(reason.unwrap().contains("lower score"));
        let (ranks, _) = settled(&[("b", 0, None), ("a", 0, None)]);
        assert_eq!(ranks, [("b".into(), 1), ("a".into(), 2)]);
    }

    #[test]
    fn ranks_that_order_are_kept() {
        let (ranks, reason) = settled(&[("a", 7, Some(1.)), ("b", 0, Some(3.)), ("c", 5, Some(1.))]);
        assert_eq!((ranks, reason), (vec![("a".into(), 7), ("b".into(), 0), ("c".into(), 5)], None));
    }

    proptest! {
        #[test]
        fn settled_ranks_order_by_score(documents in prop::collection::vec((0i64..4, 0u8..4), 0..8)) {
            let ids: Vec<String> = (0..documents.len()).map(|index| index.to_string()).collect();
            let mut listed: Vec<Listed> = documents.iter().zip(&ids)
                .map(|(&(rank, score), id)| Listed { id: id.as_str().into(), rank, score: Some(score.into()) }).collect();
            settle_ranks(&mut listed.iter_mut().collect::<Vec<_>>());
            listed.sort_by_key(|document| document.rank);
            prop_assert!(listed.windows(2).all(|pair| pair[0].rank < pair[1].rank && pair[0].score >= pair[1].score));
        }
    }
}
