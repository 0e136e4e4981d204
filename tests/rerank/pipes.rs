//! Pipes: slow ones and closed ones.

use std::io::Write;
use std::process::Stdio;

use crate::fixture::command;
use crate::piped::{Piped, RED};

const RED_WITHOUT_ID: &[u8] = b"{\"query\":\"red\",\"documents\":[\"red\"]}\n";

#[test]
fn a_ranking_is_written_before_the_next_query_is_there() {
    let mut piped = Piped::start(&[]);
    piped.write(RED);
    assert!(piped.read_line().starts_with("{\"query_id\":\"red\""));
    piped.write(&RED.replace("red", "blue"));
    assert!(piped.read_line().starts_with("{\"query_id\":\"blue\""));
    piped.stdin = None;
    assert_eq!(piped.end().0, Some(0));
}

#[test]
fn a_query_of_rows_is_written_as_soon_as_the_next_begins() {
    for (header, row) in
        [("query,id,text\n", "red,a,red\nblue,a,blue\n"), ("query\tid\ttext\n", "red\ta\tred\nblue\ta\tb\n")]
    {
        let mut piped = Piped::start(&[]);
        piped.write(header);
        piped.write(row);
        assert!(piped.read_line().starts_with("{\"query_id\":\"1\",\"query\":\"red\""));
        piped.stdin = None;
        assert_eq!(piped.end().0, Some(0));
    }
}

#[test]
fn a_closed_pipe_ends_the_run_quietly() {
    let mut piped = Piped::start(&["--quiet"]);
    let mut stdin = piped.stdin.take().unwrap();
    let feeding = std::thread::spawn(move || while stdin.write_all(RED_WITHOUT_ID).is_ok() {});
    assert!(piped.read_line().starts_with("{\"query_id\":\"1\""));
    // The reader goes, as `head -1` does.
    piped.stdout = None;
    let (status, message) = piped.end();
    feeding.join().unwrap();
    assert_eq!((status, message.as_str()), (Some(0), ""));
}

#[test]
fn a_reader_that_has_enough_of_the_help_is_no_error() {
    for arguments in [vec!["man"], vec!["completions", "bash"], vec!["--help"], vec!["check", "--list"]] {
        let mut child = command(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!(String::from_utf8(output.stderr).unwrap(), "", "{arguments:?}");
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
    }
}

#[test]
fn an_input_that_is_closed_at_once_is_reported() {
    let output = command(&["--model", "fake"]).stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("standard input is empty"));
}

#[test]
fn a_dry_run_does_not_wait_for_more_input_after_a_fault() {
    let mut piped = Piped::start(&["--dry-run", "--max-length", "5"]);
    piped.write("{\"query\":\"a query of more than five words\",\"candidates\":[\"a\"]}\n");
    // The input stays open: `end` fails if that keeps the program from ending.
    let (status, message) = piped.end();
    assert_eq!(status, Some(1), "{message}");
    assert!(message.contains("leave no room"), "{message}");
}
