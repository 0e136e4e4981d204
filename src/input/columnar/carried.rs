//! The carried columns of an input whose types the output keeps.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow_schema::{DataType, Field as Column, Fields, SchemaRef};

use super::cells::position;
use super::selection::{is_needed, unusable};
use super::{Data, Table, kind_of};
use crate::column_types::{Carrying, joined_columns, stored};
use crate::fusion;
use crate::input::InputOptions;
use crate::input::names::{Field, Names};
use crate::input::source::Opened;
use crate::output::{OTHER_FIELDS, query_column};
use crate::passages;
use crate::store;

/// The columns of a file, or of several, under the names that they have in the output.
#[derive(Default)]
struct Carried {
    /// Those whose types are kept, each as it is stored.
    kept: Vec<Column>,
    /// The others of which a column of another type may be made: their names, and sentences' parts with their types.
    others: Vec<(String, String)>,
    /// The names of all that are not kept, with the types of those that are carried, and where several are read, with their files.
    left: HashMap<String, Option<String>>,
    /// Sentences on those that a single run keeps, and not a merge of shards.
    changed_by_merge: BTreeSet<String>,
    /// Those that are stored as a type of the same values.
    changed: Vec<String>,
    /// The paths of columns whose types are kept, with the names that they have in the output.
    outputs: Vec<(Vec<String>, String)>,
}

/// Finds the columns of a file whose types are kept, unless they are known. Returns what the user should know of the others.
pub fn keep_types(table: &Table, options: &InputOptions) -> Option<String> {
    if options.carrying == Carrying::AsJson || options.types.is_set() {
        return None;
    }
    let carried = Carried::of(table.schema(), options);
    let note = carried.note(table.name(), options.carrying);
    options.types.set(carried.kept, carried.changed_by_merge.into_iter().collect());
    note
}

/// Finds the columns of all files of an input whose types are kept: those that have one type wherever they stand. Returns what the
/// user should know of the others.
pub fn keep_types_of_all(options: &InputOptions) -> Option<String> {
    if options.carrying == Carrying::AsJson {
        return None;
    }
    let files = options.files.iter().map(|file| (file.path.display().to_string(), schema_of(&file.path)));
    let files: Vec<_> = files.collect();
    if files.iter().all(|(_, schema)| schema.is_none()) {
        return None;
    }
    if let Some((name, _)) = files.iter().find(|(_, schema)| schema.is_none()) {
        options.types.set(Vec::new(), Vec::new());
        return Some(format!(
            "{name} is no plain Parquet or Arrow file: the types of carried columns follow their values"
        ));
    }
    let mut all = Carried::default();
    for (name, schema) in files.iter().filter_map(|(name, schema)| Some((name, schema.as_ref()?))) {
        let Carried { kept, others, changed, left, changed_by_merge, .. } = Carried::of(schema, options);
        for column in kept {
            all.keep(column, name);
        }
        all.others.extend(others);
        all.changed.extend(changed);
        let left = left.into_iter().map(|(column, other)| (column, other.map(|other| format!("{other} in {name}"))));
        left.for_each(|(column, other)| {
            all.left.entry(column).or_insert(other);
        });
        all.changed_by_merge.extend(changed_by_merge);
    }
    all.leave_differing();
    let note = all.note("the input", options.carrying);
    options.types.set(all.kept, all.changed_by_merge.into_iter().collect());
    note
}

/// The paths of a file's columns whose types the output keeps, with those that they have in it: a row's column has its name, and a
/// candidate's that of the column with the candidates in front.
pub(super) fn kept_types(schema: &SchemaRef, options: &InputOptions) -> HashMap<Vec<String>, DataType> {
    let kept: HashMap<&str, &DataType> =
        options.types.get().iter().map(|column| (column.name().as_str(), column.data_type())).collect();
    let outputs = Carried::of(schema, options).outputs.into_iter();
    outputs.filter_map(|(path, output)| Some((path, (*kept.get(output.as_str())?).clone()))).collect()
}

/// The schema of a file; none, if it is none of columns, or can't be read, which is reported when its rows are.
fn schema_of(path: &Path) -> Option<SchemaRef> {
    if store::is_address(path) {
        return match Opened::open(Some(path)).ok()? {
            Opened::Columns(table) => Some(Arc::clone(table.schema())),
            Opened::Text(_) => None,
        };
    }
    let file = path.is_file().then(|| File::open(path).ok())??;
    let kind = kind_of(&file).ok()??;
    Some(Arc::clone(Table::open(&path.display().to_string().into(), Data::File(file), kind).ok()?.schema()))
}

impl Carried {
    fn of(schema: &SchemaRef, options: &InputOptions) -> Self {
        let mut carried = Self::default();
        let names = Names::new(&options.columns);
        carried.add(schema.fields(), (&names, options.carrying), &mut Vec::new());
        carried.leave_differing();
        carried
    }

    /// Adds the columns of rows, or those of the candidates in the column with this path.
    fn add(&mut self, fields: &Fields, (names, carrying): (&Names, Carrying), path: &mut Vec<String>) {
        // Where a row has one text of its own, no other column can be a list of texts.
        let is_pair = is_pair(fields, names);
        let is_of_query = path.is_empty() && !is_pair;
        for column in fields {
            let name = column.name();
            if names.is_of(Field::Candidates, name)
                && let Some(members) = members(column.data_type())
            {
                path.push(name.clone());
                self.add(members, (names, carrying), path);
                path.pop();
            }
            let is_written = [fusion::FIELD, passages::FIELD, OTHER_FIELDS].contains(&name.as_str());
            if is_written || is_read(column, fields, names) {
                continue;
            }
            // A field's column of another name is read where the first one is null: its values have to be plain.
            let may_keep = !names.is_known(name) && (is_pair || !is_needed(column, fields, names));
            let output = if is_of_query { query_column(name) } else { name.clone() };
            let column = column.as_ref().clone().with_name(output);
            match stored(column.data_type(), carrying).filter(|_| may_keep) {
                Some(data_type) => {
                    if data_type != *column.data_type() {
                        self.changed.push(format!("`{}` ({data_type} for {})", column.name(), column.data_type()));
                    }
                    let path = path.iter().chain([name]).cloned().collect();
                    self.outputs.push((path, column.name().clone()));
                    self.keep(column.with_data_type(data_type).with_nullable(true), "its candidates");
                }
                None => {
                    self.leave(&column, may_keep && stored(column.data_type(), Carrying::AsColumns).is_some());
                }
            }
        }
    }

    /// Leaves the type of a column to its values; `is_kept_alone` is whether a single run that writes columns keeps it.
    fn leave(&mut self, column: &Column, is_kept_alone: bool) {
        let (name, data_type) = (column.name(), column.data_type());
        let is_usable = unusable(column).is_none();
        if is_usable && !follows_values(data_type) {
            self.others.push((name.clone(), format!("`{name}` ({data_type})")));
        }
        if is_kept_alone {
            let becomes = if is_usable { "has the type of its values in JSON" } else { "is left out" };
            self.changed_by_merge.insert(format!("`{name}` ({data_type}) {becomes}"));
        }
        self.left.insert(name.clone(), is_usable.then(|| data_type.to_string()));
    }

    /// Keeps the type of a column, unless it has another one elsewhere and no type holds the values of both.
    fn keep(&mut self, column: Column, place: &str) {
        let (name, data_type) = (column.name().clone(), column.data_type().clone());
        let Some(index) = self.kept.iter().position(|known| *known.name() == name) else {
            if !self.others.iter().any(|(other, _)| *other == name) {
                self.kept.push(column);
            }
            return;
        };
        let known = self.kept.remove(index);
        let other = known.data_type();
        match joined_columns(other, &data_type) {
            Some(joined) => {
                let is_changed = joined != *other || joined != data_type;
                if is_changed && !other.is_null() && !data_type.is_null() {
                    self.changed.push(format!("`{name}` ({joined} for {other}, and for {data_type} in {place})"));
                }
                self.kept.insert(index, known.with_data_type(joined));
            }
            None => {
                let other = format!("`{name}` ({other}, and {data_type} in {place})");
                self.others.push((name, other));
            }
        }
    }

    /// Leaves the types of columns to their values that stand elsewhere with values, and are not kept there. Columns that have none
    /// but null need no note.
    fn leave_differing(&mut self) {
        for column in std::mem::take(&mut self.kept) {
            let (name, data_type) = (column.name(), column.data_type());
            match self.left.get(name) {
                Some(_) if data_type.is_null() => {}
                Some(Some(other)) => self.others.push((name.clone(), format!("`{name}` ({data_type}, and {other})"))),
                _ => self.kept.push(column),
            }
        }
    }

    fn note(&self, name: &str, carrying: Carrying) -> Option<String> {
        let others: Vec<&str> = self.others.iter().map(|(_, other)| other.as_str()).collect();
        let others = (!others.is_empty())
            .then(|| format!("the types of these columns follow their values: {}", others.join(", ")));
        let changed = (!self.changed.is_empty() && carrying == Carrying::AsColumns).then(|| {
            format!("Parquet stores these columns as another type, with the same values: {}", self.changed.join(", "))
        });
        let parts: Vec<String> = others.into_iter().chain(changed).collect();
        (!parts.is_empty()).then(|| format!("{name}: {}", parts.join("; ")))
    }
}

/// Whether a row with these columns is a pair: all that it carries is its candidate's.
pub(super) fn is_pair(fields: &Fields, names: &Names) -> bool {
    let has = |field| fields.iter().any(|column| names.is_of(field, column.name()));
    has(Field::Text) && !has(Field::Candidates)
}

/// The members of the structs in a list.
pub(super) fn members(data_type: &DataType) -> Option<&Fields> {
    match data_type {
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => match item.data_type() {
            DataType::Struct(members) => Some(members),
            _ => None,
        },
        _ => None,
    }
}

/// Whether a column is the one that is read as a field: the first of those that have one of its names.
fn is_read(column: &Column, columns: &Fields, names: &Names) -> bool {
    Field::ALL.into_iter().filter(|&field| names.is_of(field, column.name())).any(|field| {
        let read = position(columns, names.of(field)).and_then(|index| columns.get(index));
        read.is_some_and(|read| read.name() == column.name())
    })
}

/// Whether a column that is made by the values has this type.
fn follows_values(data_type: &DataType) -> bool {
    match data_type {
        DataType::Boolean | DataType::Int64 | DataType::Float64 | DataType::Utf8 => true,
        DataType::List(item) => follows_values(item.data_type()),
        DataType::Struct(members) => members.iter().all(|member| follows_values(member.data_type())),
        _ => false,
    }
}
