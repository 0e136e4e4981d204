//! Pipes: slow ones, closed ones, and interrupts.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use crate::fixture::{Files, command};

/// The program with open pipes.
struct Piped {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Option<BufReader<ChildStdout>>,
}

impl Piped {
    fn start(arguments: &[&str]) -> Self {
        let mut command = command(&[&["--model", "fake"], arguments].concat());
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take().map(BufReader::new));
        Self { child, stdin, stdout }
    }

    fn write(&mut self, text: &str) {
        let stdin = self.stdin.as_mut().unwrap();
        stdin.write_all(text.as_bytes()).unwrap();
        stdin.flush().unwrap();
    }

    fn read_line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.as_mut().unwrap().read_line(&mut line).unwrap();
        line
    }

    fn interrupt(&self) {
        let status = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// Waits at most three seconds, then ends the program and fails. Gives the status and the messages.
    #[track_caller]
    fn end(mut self) -> (Option<i32>, String) {
        let began = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if began.elapsed() > Duration::from_secs(3) {
                self.child.kill().unwrap();
                self.child.wait().unwrap();
                panic!("the run goes on");
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        let mut message = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut message).unwrap();
        (status.code(), message)
    }
}

const RED: &str = "{\"query_id\":\"red\",\"query\":\"red\",\"documents\":[\"red\"]}\n";

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
fn an_interrupt_ends_a_run_that_waits_and_keeps_what_is_complete() {
    let files = Files::new();
    let mut piped = Piped::start(&["--stats", &files.name("stats.json")]);
    piped.write(RED);
    assert!(piped.read_line().starts_with("{\"query_id\":\"red\""));
    piped.interrupt();
    assert_eq!(piped.read_line(), "");
    let (status, message) = piped.end();
    assert_eq!(status, Some(130), "{message}");
    assert!(message.contains("finishing the batch at hand") && message.contains("interrupted: 1 queries, 1 pairs"));
    assert!(files.read("stats.json").contains("\"interrupted\": true"));
}

#[test]
fn an_interrupt_ends_a_run_whose_input_has_not_begun() {
    let piped = Piped::start(&[]);
    std::thread::sleep(Duration::from_millis(200));
    piped.interrupt();
    assert_eq!(piped.end().0, Some(130));
}

#[test]
fn an_interrupt_ends_a_dry_run() {
    let mut piped = Piped::start(&["--dry-run"]);
    piped.write(RED);
    std::thread::sleep(Duration::from_millis(200));
    piped.interrupt();
    assert_eq!(piped.end().0, Some(130));
}

#[test]
fn an_interrupt_in_the_middle_leaves_complete_lines() {
    let mut piped = Piped::start(&["--batch-size", "1"]);
    let mut stdin = piped.stdin.take().unwrap();
    let feeding = std::thread::spawn(move || {
        for index in 0.. {
            let line = format!("{{\"query_id\":\"{index}\",\"query\":\"red\",\"documents\":[\"red\",\"blue\"]}}\n");
            if stdin.write_all(line.as_bytes()).is_err() {
                return;
            }
        }
    });
    for _ in 0..100 {
        piped.read_line();
    }
    piped.interrupt();
    let mut rest = String::new();
    piped.stdout.as_mut().unwrap().read_to_string(&mut rest).unwrap();
    let (status, message) = piped.end();
    feeding.join().unwrap();
    assert_eq!(status, Some(130), "{message}");
    assert!(rest.is_empty() || rest.ends_with("]}\n"));
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
    for arguments in [vec!["man"], vec!["completions", "bash"], vec!["--help"]] {
        let mut child = command(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!(String::from_utf8(output.stderr).unwrap(), "", "{arguments:?}");
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
    }
}

#[test]
fn an_input_that_is_closed_at_once_is_told() {
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
    assert!(message.contains("leaves no room"), "{message}");
}
