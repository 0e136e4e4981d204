//! A table of documents or of queries: which of its columns holds the identifier, the text and the title.

use anyhow::{Result, anyhow, bail};

use super::dialect::{DELIMITERS, Delimiter, Dialect, TableOptions};
use super::document::Document;
use super::entry::{too_long, unless_blank, utf_8_of};
use super::header::{Header, listed};
use super::names::{Field, is_same_name};
use super::row::{Row, Step};
use super::source::Source;
use super::table_reader::TableReader;

/// The role of a table of texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Queries: an identifier and a text.
    Queries,
    /// Documents: an identifier, a text, and perhaps a title.
    Documents,
}

impl Role {
    /// The names of the column with the identifiers, the preferred one first.
    fn ids(self) -> Vec<&'static str> {
        match self {
            Self::Queries => [Field::QueryId.aliases(), &["_id", "id"]].concat(),
            Self::Documents => Field::Id.aliases().to_vec(),
        }
    }

    /// The names of the column with the texts, the preferred one first.
    fn texts(self) -> Vec<&'static str> {
        match self {
            Self::Queries => [&["text"], Field::Query.aliases()].concat(),
            Self::Documents => Field::Text.aliases().to_vec(),
        }
    }
}

/// The columns of a table of texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    id: usize,
    text: usize,
    title: Option<usize>,
    width: usize,
}

/// A table of texts, its header read.
pub struct TextTable {
    table: TableReader,
    layout: Layout,
    /// Whether the row at hand is a text: the first one of a table without a header.
    unread: bool,
    limit: usize,
    /// Columns that could hold the identifier too, with their names, until they are seen to differ from the one that does.
    rivals: Vec<(usize, String)>,
    id_name: String,
    note: Option<String>,
}

impl TextTable {
    /// Reads the header, or finds that there is none.
    ///
    /// # Errors
    /// The source can't be read, or its columns are not understood.
    pub fn open(source: Source, options: TableOptions, (role, is_csv): (Role, bool), limit: usize) -> Result<Self> {
        let usual = if is_csv { Dialect::CSV } else { Dialect::TSV };
        let mut table = TableReader::open(source, usual, options, limit)?;
        let layout = Layout::of(table.row(), role);
        let (layout, has_header) = layout.map_err(|problem| {
            let remedy = other_delimiter(table.row(), role).map_or_else(String::new, |delimiter| {
                format!("; its columns stand between other characters: use --delimiter {}", delimiter.typed())
            });
            anyhow!("{}:{}: {problem}{remedy}", table.name(), table.row().line())
        })?;
        let mut names: Vec<String> =
            table.row().cells().map(|name| String::from_utf8_lossy(name).trim().to_owned()).collect();
        let mut rivals = Vec::new();
        if has_header {
            table.begin_below_header();
            let is_id = |name: &str| role.ids().iter().any(|alias| is_same_name(alias, name));
            let others = names.iter().cloned().enumerate();
            rivals = others.filter(|(index, name)| *index != layout.id && is_id(name)).collect();
        }
        let note = (!has_header && layout.width == 3).then(|| {
            format!(
                "{}:{}: there is no header: the three columns are read as id, text and title; if that is wrong, add a \
                 first line that names them `id`, `title` and `text`",
                table.name(),
                table.row().line()
            )
        });
        let id_name = names.swap_remove(layout.id);
        Ok(Self { table, layout, unread: !has_header, limit, rivals, id_name, note })
    }

    /// Names the column that identifiers are taken from, where two columns disagree.
    fn watch_ids(&mut self) {
        let row = self.table.row();
        let text = |index| String::from_utf8_lossy(row.cell(index).unwrap_or_default().trim_ascii()).into_owned();
        let used = text(self.layout.id);
        let disagrees = |&(index, _): &(usize, String)| !text(index).is_empty() && text(index) != used;
        let Some(position) = self.rivals.iter().position(disagrees) else { return };
        let (index, name) = self.rivals.swap_remove(position);
        self.note = Some(format!(
            "{}:{}: `{}` ({used}) is used as the id and `{name}` ({}) is not: rename that one to `id` if it is meant",
            self.table.name(),
            row.line(),
            self.id_name,
            text(index),
        ));
    }

    /// Reads the next row; false at the end.
    ///
    /// # Errors
    /// The source can't be read, or the row has not the columns of the first.
    pub fn read(&mut self) -> Result<bool> {
        if std::mem::take(&mut self.unread) {
            return Ok(true);
        }
        let read = self.table.read()?;
        let (row, name, Layout { width, .. }) = (self.table.row(), self.table.name(), self.layout);
        match read {
            None => Ok(false),
            Some(false) => bail!("{name}:{}: {}", row.line(), too_long(self.limit, "row")),
            Some(true) if self.table.misplaced().is_some() => {
                bail!("{name}:{}: {}", row.line(), self.table.misplaced().unwrap_or_default())
            }
            Some(true) if row.len() == width => {
                if !self.rivals.is_empty() {
                    self.watch_ids();
                }
                Ok(true)
            }
            Some(true) => {
                let problem = self.table.ragged(width)?;
                bail!("{name}:{}: {problem}", row.line())
            }
        }
    }

    /// The row at hand.
    pub fn row(&self) -> &Row {
        self.table.row()
    }

    /// The columns.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// How the cells are written.
    pub fn dialect(&self) -> Dialect {
        self.table.dialect()
    }

    /// The next note about how the table is interpreted.
    pub fn take_note(&mut self) -> Option<String> {
        self.table.take_note().or_else(|| self.note.take())
    }
}

impl Layout {
    /// Finds the columns by the first row, and returns whether it is a header.
    fn of(row: &Row, role: Role) -> Result<(Self, bool), String> {
        let width = row.len();
        let names: Vec<String> = row.cells().map(|name| String::from_utf8_lossy(name).trim().to_lowercase()).collect();
        let find =
            |aliases: &[&str]| aliases.iter().find_map(|alias| names.iter().position(|name| is_same_name(alias, name)));
        let (ids, texts) = (role.ids(), role.texts());
        let title = if role == Role::Documents { find(Field::Title.aliases()) } else { None };
        match (find(&ids), find(&texts)) {
            (Some(id), Some(text)) => return Ok((Self { id, text, title, width }, true)),
            (None, None) if !Header::is_likely(&names) => {}
            (id, _) => {
                let (missing, names_of) = if id.is_none() { ("an id", &ids) } else { ("a text", &texts) };
                return Err(format!(
                    "this line looks like a header, but no column has a known name of {}: rename one to `{}`; the columns \
                     are {}",
                    missing,
                    names_of.first().copied().unwrap_or_default(),
                    listed(&names)
                ));
            }
        }
        let layout = |text, title| Ok((Self { id: 0, text, title, width }, false));
        match (role, width) {
            (_, 0 | 1) => Err("the line is neither JSON nor an id, a tab and a text".to_owned()),
            (_, 2) => layout(1, None),
            (Role::Documents, 3) => layout(1, Some(2)),
            (Role::Documents, 4) if row.cell(1).is_some_and(|url| url.windows(3).any(|bytes| bytes == b"://")) => {
                layout(3, Some(2))
            }
            (Role::Documents, _) => Err(format!(
                "the line has {width} columns; without a header, these are understood: id, text; id, text, title; and MS \
                 MARCO's id, URL, title, text. Put a header in front that names the columns `id`, `title` and `text`"
            )),
            (Role::Queries, _) => Err(format!(
                "the line has {width} columns, an id and a query are expected: remove the tab from the query, or put a \
                 header in front that names the columns `id` and `text`"
            )),
        }
    }

    /// The identifier of a row.
    pub fn id(self, row: &Row) -> Result<&str, String> {
        let id = cell(row, self.id)?.trim();
        if id.is_empty() { Err("there is no id: its cell is empty".to_owned()) } else { Ok(id) }
    }

    /// The text of a row.
    pub fn text(self, row: &Row) -> Result<&str, String> {
        cell(row, self.text)
    }

    /// The document of a row.
    pub fn document(self, row: &Row) -> Result<Document, String> {
        let title = self.title.map(|title| cell(row, title)).transpose()?;
        let title = title.and_then(|title| unless_blank(title.to_owned()));
        Ok(Document { id: self.id(row)?.to_owned(), text: self.text(row)?.to_owned(), title })
    }
}

/// The delimiter that would make a header of a row that is none with the usual ones.
fn other_delimiter(row: &Row, role: Role) -> Option<Delimiter> {
    DELIMITERS.into_iter().map(Delimiter).find(|&Delimiter(delimiter)| {
        let mut other = Row::default();
        let read = other.read(&mut row.raw(), Dialect { delimiter, ..Dialect::CSV }, row.raw().len());
        matches!(read, Ok(Step::Row)) && Layout::of(&other, role).is_ok_and(|(_, has_header)| has_header)
    })
}

fn cell(row: &Row, index: usize) -> Result<&str, String> {
    utf_8_of("cell", row.cell(index).unwrap_or_default())
}

/// Whether the first line of a table shows that it is CSV, if its file's name does not.
pub fn looks_like_csv(line: &[u8]) -> bool {
    let line = String::from_utf8_lossy(line);
    let names: Vec<String> = line.trim().split(',').map(str::to_owned).collect();
    !line.contains('\t') && Header::is_likely(&names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(line: &str, role: Role) -> Result<(usize, usize, Option<usize>, bool), String> {
        let mut row = Row::default();
        row.read(&mut line.as_bytes(), Dialect::TSV, 1000).unwrap();
        Layout::of(&row, role).map(|(layout, has_header)| (layout.id, layout.text, layout.title, has_header))
    }

    #[test]
    fn headers_are_obeyed_and_known_layouts_recognised() {
        for (line, expected) in [
            ("id\ttitle\ttext", (0, 2, Some(1), true)),
            ("Title\tbody\tURL\tdocno", (3, 1, Some(0), true)),
            ("d1\tBlue", (0, 1, None, false)),
            ("d1\tBlue\tTitle", (0, 1, Some(2), false)),
            ("D1\thttps://x\t\tBlue", (0, 3, Some(2), false)),
        ] {
            assert_eq!(layout(line, Role::Documents), Ok(expected), "{line}");
        }
        assert_eq!(layout("qid\tquery", Role::Queries), Ok((0, 1, None, true)));
        assert_eq!(layout("text\tlang\t_id", Role::Queries), Ok((2, 0, None, true)));
        assert_eq!(layout("1\twhat is text", Role::Queries), Ok((0, 1, None, false)));
    }

    #[test]
    fn columns_that_are_not_understood_are_refused_with_a_remedy() {
        for (line, role, message) in [
            ("d1\ta\tb\tc", Role::Documents, "Put a header in front"),
            ("d1\ta\tb\tc\td", Role::Documents, "the line has 5 columns"),
            ("key\ttitle\tbody", Role::Documents, "no column has a known name of an id"),
            ("docid\tbeschreibung", Role::Documents, "no column has a known name of a text"),
            ("q1\twhat\tis it", Role::Queries, "remove the tab from the query"),
            ("q1", Role::Queries, "neither JSON nor"),
        ] {
            assert!(layout(line, role).unwrap_err().contains(message), "{line}");
        }
    }
}
