//! Standard streams that are closed, pipes with a name, process substitution.

use std::process::{Command, Output, Stdio};

use crate::fixture::{Files, command};

const LINE: &str = r#"{"query_id":"q1","query":"red","candidates":[{"id":"a","text":"red"},{"id":"b","text":"blue"}]}"#;

/// Runs the program in bash: `script` sees it as `$0` with its arguments.
fn shell(script: &str, arguments: &[&str], files: &Files) -> Output {
    let program = command(arguments);
    let mut shell = Command::new("bash");
    shell.args(["-c", script]).arg(program.get_program()).args(program.get_args());
    shell.current_dir(files.path(".")).stdin(Stdio::null()).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_closed_standard_output_is_an_error() {
    let files = Files::new();
    files.write("in.jsonl", LINE);
    files.write("other", "");
    let fake = ["--model", "fake", "in.jsonl"];
    for arguments in [
        &fake[..],
        &["--model", "fake", "in.jsonl", "--dry-run"],
        &["man"],
        &["completions", "bash"],
        &["--help"],
        &["--version"],
        &["bench", "--shape", "minilm", "--pairs", "1", "--repeat", "1"],
    ] {
        for redirected in [">&-", "1</dev/null", "1<other", ">&- 2>&1"] {
            let output = shell(&format!("exec \"$0\" \"$@\" {redirected}"), arguments, &files);
            assert_eq!(output.status.code(), Some(1), "{arguments:?} {redirected}");
            let message = text(&output.stderr);
            assert!(redirected.ends_with("2>&1") || message.contains("cannot write to standard output"), "{message}");
        }
    }
    // Python's subprocess opens /dev/null for reading and writing.
    let output = shell("exec \"$0\" \"$@\" 1<>/dev/null", &fake, &files);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
}

#[test]
fn closed_streams_that_are_not_needed_do_no_harm() {
    let files = Files::new();
    files.write("in.jsonl", LINE);
    for closed in [">&-", "<&-", "2>&-", ">&- <&- 2>&-"] {
        let script = format!("exec \"$0\" \"$@\" {closed}");
        let output = shell(&script, &["--model", "fake", "in.jsonl", "--output", "out.jsonl"], &files);
        assert_eq!(output.status.code(), Some(0), "{closed} {}", text(&output.stderr));
        assert_eq!(files.read("out.jsonl").lines().count(), 1);
        std::fs::remove_file(files.path("out.jsonl")).unwrap();
    }
    let output = shell("exec \"$0\" \"$@\" <&-", &["--model", "fake"], &files);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("standard input is empty"), "{}", text(&output.stderr));
}

#[test]
fn a_measurement_goes_on_when_nobody_reads_its_progress() {
    let files = Files::new();
    let script = "{ \"$0\" \"$@\" > report; echo $? > status; } 2>&1 | true";
    shell(script, &["bench", "--shape", "minilm", "--pairs", "1", "--repeat", "1", "--json"], &files);
    assert_eq!(files.read("status"), "0\n");
    assert_eq!(files.read("report").lines().count(), 1);
}

#[test]
fn a_pipe_with_a_name_is_opened_once() {
    let files = Files::new();
    files.write("in.jsonl", LINE);
    let script = "mkfifo f && for i in $(seq 20); do cat in.jsonl > f & timeout 20 \"$0\" \"$@\" || exit; wait; done";
    let output = shell(script, &["--model", "fake", "--quiet", "-i", "f"], &files);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout).lines().count(), 20);
}

#[test]
fn a_pipe_that_is_read_is_neither_written_nor_read_twice() {
    let files = Files::new();
    files.write("run.trec", "q1 Q0 a 1 2 x\n");
    for (arguments, named) in [
        (&["-i", "f", "-o", "f"][..], "f is read and would be written over"),
        (&["-i", "f", "--stats", "f"], "f is read and would be written over"),
        (&["-i", "run.trec", "--queries", "f", "--collection", "f"], "f is a pipe that is read already"),
        (&["-i", "run.trec", "--queries", "-", "--collection", "-"], "/dev/stdin is a pipe that is read already"),
        (
            &["--input-format", "trec", "--queries", "-", "--collection", "f"],
            "/dev/stdin is a pipe that is read already",
        ),
    ] {
        let script = "[ -p f ] || mkfifo f; echo x | timeout 20 \"$0\" \"$@\"";
        let output = shell(script, &[&["--model", "fake"], arguments].concat(), &files);
        assert_eq!(output.status.code(), Some(2), "{arguments:?} {}", text(&output.stderr));
        assert!(text(&output.stderr).contains(named), "{arguments:?} {}", text(&output.stderr));
    }
}

#[test]
fn a_dash_is_standard_input_in_every_role() {
    let files = Files::new();
    files.write("run.trec", "q1 Q0 a 1 2 x\n");
    files.write("queries.tsv", "q1\tred\n");
    files.write("docs.tsv", "a\tred\n");
    for (piped, roles) in [
        ("run.trec", ["-", "queries.tsv", "docs.tsv"]),
        ("queries.tsv", ["run.trec", "-", "docs.tsv"]),
        ("docs.tsv", ["run.trec", "queries.tsv", "-"]),
    ] {
        let arguments = ["--model", "fake", "-i", roles[0], "--queries", roles[1], "--collection", roles[2]];
        let output = shell(&format!("cat {piped} | \"$0\" \"$@\""), &arguments, &files);
        assert_eq!(output.status.code(), Some(0), "{piped} {}", text(&output.stderr));
        assert!(text(&output.stdout).contains("\"query\":\"red\""), "{piped}");
    }
}

#[test]
fn rankings_and_figures_go_to_pipes_with_a_name() {
    let files = Files::new();
    files.write("in.jsonl", LINE);
    let script = "mkfifo o s && cat o > o.txt & until [ -p s ]; do :; done; cat s > s.txt & \
                  timeout 20 \"$0\" \"$@\" || exit; wait";
    let output = shell(script, &["--model", "fake", "in.jsonl", "-o", "o", "--stats", "s"], &files);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(files.read("o.txt").starts_with("{\"query_id\":\"q1\""));
    assert!(files.read("s.txt").contains("\"pairs\": 2"));
}

#[test]
fn process_substitution_is_read_in_every_role() {
    let files = Files::new();
    files.write("run.trec", "q1 Q0 a 1 2 x\nq1 Q0 b 2 1 x\n");
    files.write("queries.tsv", "q1\tred\n");
    files.write("docs.jsonl", "{\"_id\":\"a\",\"text\":\"blue\"}\n{\"_id\":\"b\",\"text\":\"red\"}\n");
    let script = "exec timeout 20 \"$0\" \"$@\" --input <(cat run.trec) --queries <(cat queries.tsv) --collection <(cat docs.jsonl)";
    let output = shell(script, &["--model", "fake", "--output-format", "trec"], &files);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stdout).starts_with("q1 Q0 b 1 "), "{}", text(&output.stdout));
}
