//! What the query's object has beside its text is carried as the query's fields, in a pair as in a query with its candidates.

use crate::fixture::{Run, rerank_on};

const LIST: &str = r#"{"query":{"id":"q","text":"red","when":{"year":2026},"url":"x"},"candidates":[{"id":"a","text":"red","url":"y"},{"id":"b","text":"blue"}]}
"#;

fn ranked(input: &str, options: &[&str]) -> Run {
    rerank_on(input, &[&["--model", "fake"], options].concat())
}

#[test]
fn those_of_pairs_are_those_of_lists() {
    // The second row has a member of its own, and other blanks in the value of one.
    let pairs = r#"{"query":{"id":"q","text":"red","when":{"year":2026}},"id":"a","text":"red","url":"y"}
{"query":{"id":"q","text":"red","when":{"year": 2026},"url":"x"},"id":"b","text":"blue"}
"#;
    for options in [&[][..], &["--output-format", "csv"]] {
        let [list, pairs] = [LIST, pairs].map(|input| ranked(input, options));
        assert_eq!((list.status, &*pairs.stdout), (0, &*list.stdout), "{}", pairs.stderr);
    }
}

#[test]
fn rows_of_one_query_repeat_them() {
    let pairs = r#"{"query":{"id":"q","text":"red","when":1},"id":"a","text":"red"}
{"query":{"id":"q","text":"red","when":2},"id":"b","text":"blue"}
"#;
    ranked(pairs, &[]).fails(1, &[":2: query \"q\", candidate \"b\": the query's field `when` on line 2 differs"]);
}

#[cfg(feature = "parquet")]
#[test]
fn those_of_a_column_of_structs_are_columns_of_the_query() {
    use std::sync::Arc;

    use arrow_array::cast::AsArray;
    use arrow_array::{ArrayRef, StructArray};
    use arrow_schema::Field;

    use crate::fixture::Files;
    use crate::parquet_reported::{texts, written};
    use crate::parquet_types::rows;

    let files = Files::in_memory();
    let members = [("id", texts(["q"; 2])), ("text", texts(["red"; 2])), ("url", texts(["x"; 2]))];
    let members = members.map(|(name, values)| (Arc::new(Field::new(name, values.data_type().clone(), true)), values));
    let query: ArrayRef = Arc::new(StructArray::from(members.to_vec()));
    let columns = [("query", query), ("text", texts(["red", "blue"])), ("url", texts(["y", "z"]))];
    let (input, output) = (written(&files, "in.parquet", columns), files.name("out.parquet"));
    let run = ranked("", &["--input", &input, "--output", &output]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    let rows = rows(&output);
    let column =
        |name: &str| rows.column_by_name(name).unwrap().as_string::<i32>().iter().flatten().collect::<Vec<_>>();
    assert_eq!((column("query_url"), column("url")), (vec!["x", "x"], vec!["y", "z"]));
}
