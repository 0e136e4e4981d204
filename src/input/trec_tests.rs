use std::io::Write;

use tempfile::NamedTempFile;

use crate::input::testing::described;
use crate::input::{InputOptions, open};

fn file(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

fn read(run: &str) -> Vec<String> {
    let (run, queries, collection) = (
        file(run),
        file("q1\tone\nq2\t \n"),
        file("{\"_id\":\"d1\",\"text\":\"t\",\"title\":\"\"}\n{\"_id\":\"d2\",\"text\":\"u\"}\n"),
    );
    let options = InputOptions {
        path: Some(run.path().into()),
        queries: Some(queries.path().into()),
        collection: Some(collection.path().into()),
        ..InputOptions::default()
    };
    let events = open(&options).unwrap();
    let name = format!("{}:", run.path().display());
    events.map(|event| described(&event.unwrap()).replace(&name, "run:")).collect()
}

#[test]
fn a_run_is_read_with_the_texts_of_its_queries_and_documents() {
    assert_eq!(read("q1 Q0 d2 1 2.5 x\nq1\tQ0\td1 2 1e-1 x\r\n"), ["q1: d2 d1"]);
}

#[test]
fn bad_lines_are_reported_and_the_next_one_read() {
    let lines = [
        "q1 Q0 d1 1 2.5 x",
        "q1 Q0 d2 2 2.5",
        "q1 Q0 d3 3 2.5 x",
        "q1 Q0 d4 4 nan x",
        "q1 Q0 d5 5th 1 x",
        "q1 Q0 d1 6 1 x",
        "q9 Q0 d1 1 1 x",
        "q9 Q0 d2 2 1 x",
        "q2 Q0 d1 1 1 x",
    ];
    let described = read(&lines.join("\n"));
    for (message, start) in described.iter().zip([
        "run:2: the line has 5 fields, a run has six",
        "run:3: query \"q1\", candidate \"d3\": the collection ",
        "run:4: query \"q1\", candidate \"d4\": the score nan is not a finite number",
        "run:5: query \"q1\", candidate \"d5\": the rank \"5th\" is not an integer",
        "run:6: query \"q1\", candidate \"d1\": this candidate id stands on line 1 already",
        "q1: d1",
        "run:7: query \"q9\": the queries in ",
        "run:9: query \"q2\": the query is empty",
    ]) {
        assert!(message.starts_with(start), "{message}");
    }
    assert_eq!(described.len(), 8);
}

#[test]
fn a_run_needs_its_texts_and_has_no_columns() {
    let (run, queries) = (file("q1 Q0 d1 1 2.5 x"), file("q1\tone"));
    let fails = |options: InputOptions| open(&options).err().unwrap().to_string();
    let path = Some(run.path().to_path_buf());
    assert!(fails(InputOptions { path: path.clone(), ..Default::default() }).contains("--queries and --collection"));
    let queries = Some(queries.path().to_path_buf());
    let with_queries = InputOptions { path, queries, ..Default::default() };
    assert!(fails(with_queries.clone()).contains("--collection is needed, too"));
    let columns = "text=x".parse().unwrap();
    assert!(fails(InputOptions { columns, ..with_queries }).contains("--columns does not apply"));
}
