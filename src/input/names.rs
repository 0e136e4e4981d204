//! The names that fields of queries and candidates have in the files of common tools, and `--columns`, which overrides them.

use std::str::FromStr;

/// The fields of a record that `rerank` knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Field {
    /// The query's identifier.
    QueryId,
    /// The query's text.
    Query,
    /// The instruction for this query.
    Instruction,
    /// The list of candidates.
    Candidates,
    /// The candidate's identifier.
    Id,
    /// The candidate's text.
    Text,
    /// The candidate's title.
    Title,
    /// The first stage's score.
    Score,
    /// The first stage's rank.
    Rank,
}

impl Field {
    /// All fields.
    pub const ALL: [Self; 9] = [
        Self::QueryId,
        Self::Query,
        Self::Instruction,
        Self::Candidates,
        Self::Id,
        Self::Text,
        Self::Title,
        Self::Score,
        Self::Rank,
    ];

    /// The field's names, the preferred one first: where a record has two of them, the first is used and the other is
    /// carried as an unknown field. A passage's identifier stands before that of its document (MS MARCO v2 has both), and
    /// `docno`, which qrels use, before `docid`, which is a position in the index where a `PyTerrier` frame has both.
    pub fn aliases(self) -> &'static [&'static str] {
        match self {
            Self::QueryId => &["query_id", "qid", "queryId", "query-id"],
            Self::Query => &["query", "question", "query_text", "user_input", "queries", "text_1"],
            Self::Instruction => &["instruction", "instruct"],
            Self::Candidates => &[
                "candidates",
                "documents",
                "passages",
                "hits",
                "docs",
                "results",
                "ctxs",
                "contexts",
                "retrieved_contexts",
                "texts",
                "nodes",
                "source_nodes",
                "records",
                "matches",
                "text_2",
            ],
            Self::Id => &[
                "id",
                "pid",
                "passage_id",
                "docno",
                "docid",
                "doc_id",
                "_id",
                "corpus_id",
                "corpus-id",
                "docId",
                "id_",
                "node_id",
                "document_id",
                "objectID",
            ],
            Self::Text => &[
                "text",
                "content",
                "contents",
                "passage",
                "document",
                "body",
                "segment",
                "doc",
                "page_content",
                "text_2",
            ],
            Self::Title => &["title"],
            Self::Score => &["score", "original_score", "bm25_score", "_score", "relevance_score"],
            Self::Rank => &["rank", "original_rank"],
        }
    }

    /// The name in messages and in `--columns`.
    pub fn name(self) -> &'static str {
        self.aliases().first().copied().unwrap_or_default()
    }
}

/// Whether a name found in a file is the known one, whatever its case and whatever stands between its words: `Doc ID` and
/// `docId` are `doc_id`. What stands in front or behind counts: `_id` is not `id`.
pub fn is_same_name(known: &str, found: &str) -> bool {
    fn letters(name: &str) -> impl Iterator<Item = u8> {
        let name = name.trim();
        let last = name.len().saturating_sub(1);
        let counts = move |&(index, byte): &(usize, u8)| index == 0 || index == last || !is_between_words(byte);
        name.bytes().enumerate().filter(counts).map(|(_, byte)| byte.to_ascii_lowercase())
    }
    known == found || letters(known).eq(letters(found))
}

/// Whether a name of an object has another form than the known ones: [`is_same_name`] may find it.
pub fn is_styled(name: &str) -> bool {
    name.bytes().any(|byte| byte.is_ascii_uppercase() || (byte != b'_' && is_between_words(byte)))
}

fn is_between_words(byte: u8) -> bool {
    matches!(byte, b'_' | b'-' | b' ')
}

/// Names of the list of identifiers beside a list of texts.
pub const IDS_OF_TEXTS: [&str; 5] = ["ids", "doc_ids", "docids", "pids", "retrieved_context_ids"];

/// The name of mteb's list of candidates.
const IDS_OF_MTEB: &str = "corpus_ids";

/// Names of a list of candidates that are ids alone.
pub fn lists_of_ids() -> impl Iterator<Item = &'static str> {
    IDS_OF_TEXTS.into_iter().chain([IDS_OF_MTEB])
}

/// Names of the query's identifier in a record with a list of candidates.
const PLAIN_IDS: [&str; 2] = ["id", "_id"];

/// `--columns query=question,text=passage`: the input's own names for our fields. Or, for a table without a header,
/// `--columns query_id,id,query,text`: the names of its columns in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Columns {
    renamed: Vec<(Field, String)>,
    in_order: Vec<String>,
}

impl Columns {
    /// Whether nothing is renamed.
    pub fn is_empty(&self) -> bool {
        self.renamed.is_empty()
    }

    /// The renamed fields with their names in the input.
    pub fn iter(&self) -> impl Iterator<Item = (Field, &str)> {
        self.renamed.iter().map(|(field, name)| (*field, name.as_str()))
    }

    /// The names of the columns of a table without a header, in their order.
    pub fn in_order(&self) -> &[String] {
        &self.in_order
    }
}

impl FromStr for Columns {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split(',').map(str::trim).collect();
        if parts.len() > 1 && !text.contains('=') {
            return Ok(Self { renamed: Vec::new(), in_order: parts.into_iter().map(str::to_owned).collect() });
        }
        let mut renamed: Vec<(Field, String)> = Vec::new();
        for part in parts.into_iter().filter(|part| !part.is_empty()) {
            let (ours, theirs) = part
                .split_once('=')
                .map(|(ours, theirs)| (ours.trim(), theirs.trim()))
                .filter(|(_, theirs)| !theirs.is_empty())
                .ok_or_else(|| format!("`{part}` is not of the form FIELD=NAME, as in text=passage"))?;
            let field = Field::ALL.into_iter().find(|field| field.name() == ours).ok_or_else(|| {
                let known: Vec<_> = Field::ALL.into_iter().map(Field::name).collect();
                format!("`{ours}` is not a field; the fields are {}", known.join(", "))
            })?;
            if let Some((other, _)) = renamed.iter().find(|(other, name)| *other == field || name == theirs) {
                return Err(format!("`{part}` contradicts the name given for `{}`", other.name()));
            }
            renamed.push((field, theirs.to_owned()));
        }
        Ok(Self { renamed, in_order: Vec::new() })
    }
}

/// The names to look for: the aliases, or those that `--columns` gives instead.
#[derive(Clone, Debug)]
pub struct Names {
    lists: [Vec<String>; Field::ALL.len()],
    group_query_id: Vec<String>,
    /// Whether candidates may be ids alone.
    are_of_ids: bool,
}

impl Names {
    /// The names for these columns. A name that `--columns` gives to one field is no alias of another one.
    pub fn new(columns: &Columns) -> Self {
        let free = |alias: &&&str| !columns.iter().any(|(_, name)| name == **alias);
        let lists = Field::ALL.map(|field| match columns.iter().find(|(renamed, _)| *renamed == field) {
            Some((_, name)) => vec![name.to_owned()],
            None => field.aliases().iter().filter(free).map(|alias| (*alias).to_owned()).collect(),
        });
        let mut names = Self { lists, group_query_id: Vec::new(), are_of_ids: false };
        names.group_query_id = names.of(Field::QueryId).to_vec();
        if !columns.iter().any(|(field, _)| field == Field::QueryId) {
            names.group_query_id.extend(PLAIN_IDS.iter().filter(free).map(|alias| (*alias).to_owned()));
        }
        names
    }

    /// The names where candidates may be ids alone, whose texts are looked up: a list of ids is one of candidates.
    pub fn of_ids(mut self, columns: &Columns) -> Self {
        let is_named = |known: Field| columns.iter().any(|(field, _)| field == known);
        if let Some(list) = self.lists.get_mut(Field::Candidates as usize).filter(|_| !is_named(Field::Candidates)) {
            let is_free = |name: &&str| !columns.iter().any(|(_, other)| other == *name);
            list.extend(lists_of_ids().filter(is_free).map(str::to_owned));
        }
        self.are_of_ids = true;
        self
    }

    /// Whether candidates may be ids alone.
    pub fn are_of_ids(&self) -> bool {
        self.are_of_ids
    }

    /// The names of a field, the preferred one first.
    pub fn of(&self, field: Field) -> &[String] {
        self.lists.get(field as usize).map_or(&[], Vec::as_slice)
    }

    /// The names of the query's identifier in a record that holds a list of candidates.
    pub fn group_query_id(&self) -> &[String] {
        &self.group_query_id
    }

    /// Whether this is one of a field's names.
    pub fn is_of(&self, field: Field, name: &str) -> bool {
        self.of(field).iter().any(|known| is_same_name(known, name))
    }

    /// Whether this is a name of any field.
    pub fn is_known(&self, name: &str) -> bool {
        Field::ALL.into_iter().any(|field| self.is_of(field, name))
    }

    /// Whether a name by itself shows whose identifier it is.
    pub fn is_plain_id(name: &str) -> bool {
        PLAIN_IDS.contains(&name)
    }

    /// The names of a field for a message: `` `text`, `content`, … ``.
    pub fn listed(&self, field: Field) -> String {
        let quoted: Vec<_> = self.of(field).iter().map(|name| format!("`{name}`")).collect();
        quoted.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_given_to_one_field_is_no_alias_of_another() {
        let names = Names::new(&"query=title, text=id".parse().unwrap());
        assert_eq!(names.of(Field::Query), ["title"]);
        assert_eq!(names.of(Field::Text), ["id"]);
        assert!(names.of(Field::Title).is_empty());
        assert_eq!(names.of(Field::Id)[0], "pid");
        assert!(!names.group_query_id().contains(&"id".to_owned()));
    }

    #[test]
    fn a_name_is_known_in_any_case_and_with_anything_between_its_words() {
        for (known, found, same) in [
            ("doc_id", "Doc ID", true),
            ("doc_id", "docId", true),
            ("query_id", "QUERY-ID ", true),
            ("id", "_id", false),
            ("_id", "_ID", true),
            ("id", "id_", false),
            ("text", "texts", false),
        ] {
            assert_eq!(is_same_name(known, found), same, "{known} {found}");
        }
    }

    #[test]
    fn columns_that_make_no_sense_are_refused_with_the_known_fields() {
        assert!(
            "passage=text".parse::<Columns>().unwrap_err().contains("query_id, query, instruction, candidates, id")
        );
        for text in ["text", "text=", "text=a,text=b", "text=a,query=a"] {
            assert!(text.parse::<Columns>().is_err(), "{text}");
        }
        assert!("".parse::<Columns>().unwrap().is_empty());
        assert_eq!("qid, ,text".parse::<Columns>().unwrap().in_order(), ["qid", "", "text"]);
    }
}
