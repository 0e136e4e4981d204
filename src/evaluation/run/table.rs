//! Runs as tables with a header, as this program writes them.

use anyhow::{Result, anyhow, bail};

use super::{Run, RunBuilder, RunFileFormat, TieOrder};
use crate::fusion;
use crate::input::{Dialect, Field, Source, TableOptions, TableReader, is_same_name, rank, score, too_long, utf_8_of};

/// The columns of a table that have a meaning here.
struct Columns {
    query: usize,
    id: usize,
    value: usize,
    is_rank: bool,
    width: usize,
}

/// Reads a run.
///
/// # Errors
/// If it can't be read, its header lacks a column, or a row is malformed.
pub(super) fn read(source: Source, format: RunFileFormat, limit: usize) -> Result<Run> {
    let dialect = if format == RunFileFormat::Tsv { Dialect::TSV } else { Dialect::CSV };
    let unit = source.findings.unit();
    let mut table = TableReader::open(source, dialect, TableOptions::default(), limit)?;
    let name = table.name().clone();
    let columns = Columns::of(&table).map_err(|problem| anyhow!("{name}:{}: {problem}", table.row().line()))?;
    table.begin_below_header();
    let mut builder = RunBuilder::of_lines(&name, unit);
    if columns.is_rank {
        builder.set_ranks_alone();
    }
    while let Some(is_whole) = table.read()? {
        let line = table.row().line();
        if !is_whole {
            bail!("{name}:{line}: {}", too_long(limit, "row"));
        }
        if let Some(problem) = table.misplaced() {
            bail!("{name}:{line}: {problem}");
        }
        if table.row().len() != columns.width {
            bail!("{name}:{line}: {}", table.ragged(columns.width)?);
        }
        let located = |problem: String| anyhow!("{name}:{line}: {problem}");
        let cell = |index| utf_8_of("cell", table.row().cell(index).unwrap_or_default()).map_err(located);
        let (query, id, value) = (cell(columns.query)?, cell(columns.id)?, cell(columns.value)?);
        let value = match columns.is_rank {
            true => -(rank(value).map_err(located)? as f64),
            false => score(value).map_err(located)?,
        };
        builder.add(query, id, value, line)?;
    }
    builder.finish(TieOrder::Listed)
}

impl Columns {
    fn of(table: &TableReader) -> Result<Self, String> {
        let names: Vec<String> =
            table.row().cells().map(|name| String::from_utf8_lossy(name).trim().to_owned()).collect();
        let find = |known: &str| {
            let same = names.iter().position(|name| name == known);
            same.or_else(|| names.iter().position(|name| is_same_name(known, name)))
        };
        let of = |field: Field| field.aliases().iter().find_map(|alias| find(alias));
        let missing = |what: &str| {
            let listed = names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            format!("the header has no column {what}; its columns are {listed}: rename one of them")
        };
        let exact = |known: &str| names.iter().position(|name| name == known);
        let value = exact(fusion::FIELD).or_else(|| find("logit")).or_else(|| of(Field::Score));
        Ok(Self {
            query: of(Field::QueryId).ok_or_else(|| missing("`query_id`"))?,
            id: of(Field::Id).ok_or_else(|| missing("`id`"))?,
            value: value.or_else(|| of(Field::Rank)).ok_or_else(|| missing("`logit`, `score` or `rank`"))?,
            is_rank: value.is_none(),
            width: names.len(),
        })
    }
}
