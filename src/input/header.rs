//! The header of a table: which column has which field.

use std::collections::HashSet;

use anyhow::{Result, bail};

use super::names::{Columns, Field, Names, is_same_name};
use super::texts::Elsewhere;
use super::without_texts::{REMEDY, are_of_ranked};
use crate::exit::UsageError;

/// The fields of which two columns may disagree. A title has one name only, and an instruction's two mean the same.
const RIVALLED: [Field; 6] = [Field::QueryId, Field::Query, Field::Id, Field::Text, Field::Score, Field::Rank];

/// The most columns of a table.
const MOST_COLUMNS: usize = 100_000;

/// The columns of a table.
#[derive(Debug)]
pub struct Header {
    columns: Vec<String>,
    known: [Option<usize>; Field::ALL.len()],
    carried: Vec<(usize, String)>,
    rivals: Vec<(Field, usize)>,
}

impl Header {
    /// Finds the columns by their names, in any case and with anything between their words. A column without a name is left out
    /// of the output. Where texts stand elsewhere, their column may be missing, if there is one of identifiers.
    ///
    /// # Errors
    /// A column is missing that is needed or that `--columns` names, or two columns have one name.
    pub fn new(columns: Vec<String>, renamed: &Columns, elsewhere: Elsewhere) -> Result<Self> {
        let columns: Vec<String> = columns.iter().map(|name| name.trim().to_owned()).collect();
        if columns.len() > MOST_COLUMNS {
            bail!("it has {} columns, and there can be {MOST_COLUMNS}", columns.len());
        }
        let listed = listed(&columns);
        let mut seen = HashSet::new();
        for name in columns.iter().filter(|name| !name.is_empty()) {
            if !seen.insert(name) {
                bail!("it has the column `{name}` twice, rename one of them; the columns are {listed}");
            }
        }
        let find = |name: &String| {
            let same = columns.iter().position(|column| column == name);
            same.or_else(|| columns.iter().position(|column| is_same_name(name, column)))
        };
        for (field, name) in renamed.iter() {
            let field = field.name();
            if field == Field::Candidates.name() {
                let problem = format!("--columns gives a name for `{field}`, but a table has one candidate per row");
                return Err(UsageError::new(problem).into());
            }
            if find(&name.to_owned()).is_none() {
                let problem =
                    format!("--columns {field}={name} names a column that is not there; the columns are {listed}");
                return Err(UsageError::new(problem).into());
            }
        }
        let names = Names::new(renamed);
        let known = Field::ALL.map(|field| match field {
            Field::Candidates => None,
            field => names.of(field).iter().find_map(find),
        });
        check_complete(&columns, &known, elsewhere)?;
        let carried =
            columns.iter().enumerate().filter(|(index, name)| !known.contains(&Some(*index)) && !name.is_empty());
        let carried = carried.map(|(index, name)| (index, name.clone())).collect();
        let mut rivals = Vec::new();
        for field in RIVALLED {
            let is_rival =
                |(index, name): &(usize, &String)| !known.contains(&Some(*index)) && names.is_of(field, name);
            rivals.extend(columns.iter().enumerate().filter(is_rival).map(|(index, _)| (field, index)));
        }
        Ok(Self { columns, known, carried, rivals })
    }

    /// Whether a line looks like a header: whether it has the names of a query and of a text, or of an identifier and
    /// another field.
    pub fn is_likely(cells: &[String]) -> bool {
        let known = |cell: &String| {
            let is_of = |field: &Field| field.aliases().iter().any(|alias| is_same_name(alias, cell));
            Field::ALL.into_iter().filter(|field| *field != Field::Candidates).find(is_of)
        };
        cells.len() > 1 && cells.iter().filter_map(known).count() > 1
    }

    /// The number of columns.
    pub fn width(&self) -> usize {
        self.columns.len()
    }

    /// The column of a field.
    pub fn index(&self, field: Field) -> Option<usize> {
        of(&self.known, field)
    }

    /// A column's name.
    pub fn name(&self, index: usize) -> &str {
        self.columns.get(index).map_or("", String::as_str)
    }

    /// Columns whose names would be a field's too, if the preferred one were not there.
    pub fn rivals(&self) -> &[(Field, usize)] {
        &self.rivals
    }

    /// The columns that are not known, with their names.
    pub fn carried(&self) -> &[(usize, String)] {
        &self.carried
    }
}

/// Refuses a table without a column of queries or of texts, unless these stand elsewhere and there is one of their identifiers.
fn check_complete(columns: &[String], known: &[Option<usize>; Field::ALL.len()], elsewhere: Elsewhere) -> Result<()> {
    let needed = [
        (Field::Query, Field::QueryId, elsewhere.queries, "--queries"),
        (Field::Text, Field::Id, elsewhere.documents, "--collection"),
    ];
    for (field, id, is_elsewhere, option) in needed {
        if of(known, field).is_some() || (is_elsewhere && of(known, id).is_some()) {
            continue;
        }
        let is_ranked = field == Field::Text && are_of_ranked(columns.iter().map(String::as_str));
        let remedy = if is_ranked { format!("; {REMEDY}") } else { String::new() };
        let (wanted, file) = match is_elsewhere {
            true => (id.name(), String::new()),
            false => (field.name(), format!(", or the file of the texts with {option}")),
        };
        bail!(
            "no column is known as the {wanted}; name it with --columns {wanted}=NAME{file}; the columns are {}{remedy}",
            listed(columns)
        );
    }
    Ok(())
}

/// The column of a field among those of all fields.
fn of(known: &[Option<usize>; Field::ALL.len()], field: Field) -> Option<usize> {
    known.get(field as usize).copied().flatten()
}

/// The names of columns for a message. Where a row was taken for a header, they are texts of any length.
pub fn listed(columns: &[String]) -> String {
    const CHARACTERS: usize = 40;
    let visible = |mark: char| if mark.is_control() { mark.escape_default().to_string() } else { mark.to_string() };
    let short = |name: &String| {
        let more = if name.chars().nth(CHARACTERS).is_some() { "…" } else { "" };
        format!("`{}{more}`", name.chars().take(CHARACTERS).map(visible).collect::<String>())
    };
    columns.iter().map(short).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(names: &[&str], columns: &str) -> Result<Header> {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        Header::new(names, &columns.parse().unwrap(), Elsewhere::default())
    }

    #[test]
    fn columns_are_found_whatever_their_case_and_the_preferred_alias_wins() {
        let header = header(&["QID", " Question ", "contents", "Text", "", "url"], "").unwrap();
        assert_eq!(header.index(Field::QueryId), Some(0));
        assert_eq!(header.index(Field::Query), Some(1));
        assert_eq!(header.index(Field::Text), Some(3));
        assert_eq!(header.carried(), [(2, "contents".to_owned()), (5, "url".to_owned())]);
    }

    #[test]
    fn a_header_that_lacks_a_column_is_refused_with_its_columns_and_the_remedy() {
        for (names, columns, message) in [
            (
                vec!["query", "page"],
                "",
                "name it with --columns text=NAME, or the file of the texts with --collection; the columns are `query`, `page`",
            ),
            (vec!["text"], "", "--columns query=NAME"),
            (vec!["query", "text"], "text=passage", "--columns text=passage names a column that is not there"),
            (vec!["query", "text", "x", "x"], "", "the column `x` twice"),
            (vec!["query", "text"], "candidates=text", "one candidate per row"),
        ] {
            let error = header(&names, columns).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }
}
