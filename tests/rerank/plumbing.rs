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

/// A limit of the size of files has the effect of a full disk.
fn limited(kibibytes: u64, redirected: &str, arguments: &[&str], files: &Files) -> Output {
    shell(&format!("trap '' XFSZ; ulimit -f {kibibytes}; exec \"$0\" \"$@\" {redirected}"), arguments, files)
}

#[test]
fn a_file_behind_standard_output_has_no_torn_ranking() {
    let files = Files::in_memory();
    files.write("in.jsonl", (0..500).map(|id| LINE.replace("q1", &id.to_string()) + "\n").collect::<String>());
    let fake = ["--model", "fake", "in.jsonl"];
    files.write("appended.jsonl", "before\n");
    for (redirected, name) in [("> out.jsonl", "out.jsonl"), (">> appended.jsonl", "appended.jsonl")] {
        let output = limited(20, redirected, &fake, &files);
        let message = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{message}");
        assert!(message.contains("cannot write to standard output") && message.contains("--output"), "{message}");
        let written = files.read(name);
        assert!(written.ends_with("}]}\n") && written.len() > 10_000, "{written}");
        let rankings = written.lines().filter(|line| line.starts_with('{')).count();
        assert!(message.contains(&format!("what is complete stays ({rankings} rankings)")), "{message}");
        assert_eq!(written.starts_with("before\n"), name == "appended.jsonl");
    }
}

#[test]
fn figures_that_can_not_be_written_leave_the_old_ones() {
    let files = Files::in_memory();
    files.write("in.jsonl", LINE);
    files.write("old.json", "{}\n");
    for name in ["old.json", "new.json"] {
        let output = limited(0, "| cat", &["--model", "fake", "in.jsonl", "--stats", name], &files);
        let message = text(&output.stderr);
        assert!(message.contains("cannot write the figures to") && message.contains("make room"), "{message}");
        assert!(text(&output.stdout).ends_with("}]}\n"));
    }
    assert_eq!(files.read("old.json"), "{}\n");
    assert!(!files.path("new.json").exists());
}

#[test]
fn a_pipe_that_does_not_wait_gets_every_ranking() {
    let files = Files::in_memory();
    let input =
        files.write("in.jsonl", (0..3000).map(|id| LINE.replace("q1", &id.to_string()) + "\n").collect::<String>());
    let (mut reader, writer) = std::io::pipe().unwrap();
    // SAFETY: the call sets a flag of a descriptor that is open.
    let set = unsafe { libc::fcntl(std::os::fd::AsRawFd::as_raw_fd(&writer), libc::F_SETFL, libc::O_NONBLOCK) };
    assert_eq!(set, 0);
    let mut command = command(&["--model", "fake", "--quiet", "--input", &input]);
    let mut child = command.stdout(writer).spawn().unwrap();
    drop(command);
    while crate::piped::waiting_bytes(&reader) < 1 << 15 {
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    let mut written = String::new();
    std::io::Read::read_to_string(&mut reader, &mut written).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(written.lines().count(), 3000);
}

#[test]
fn a_message_does_not_steer_a_terminal_or_turn_its_own_order() {
    let files = Files::in_memory();
    let name = "in\u{202e}\u{1b}[2J\u{9b}31m\u{2066}.jsonl";
    files.write(name, "no JSON\n");
    let output = shell("exec \"$0\" \"$@\"", &["--model", "fake", name], &files);
    let message = text(&output.stderr);
    assert!(message.contains("in\\u{202e}\\u{1b}[2J\\u{9b}31m\\u{2066}.jsonl:1: "), "{message}");
    assert!(message.chars().all(|character| !matches!(character, '\u{202e}' | '\u{1b}' | '\u{9b}' | '\u{2066}')));
}

#[cfg(target_os = "linux")]
#[test]
fn memory_that_records_lack_has_a_remedy_of_the_input() {
    let files = Files::in_memory();
    let rows = (0..600_000).map(|id| format!("q\tred\t{id}\tred\n"));
    files.write("in.tsv", "query_id\tquery\tid\ttext\n".to_owned() + &rows.collect::<String>());
    let output =
        shell("ulimit -v 200000; exec \"$0\" \"$@\"", &["--model", "fake", "--threads", "1", "in.tsv"], &files);
    let message = text(&output.stderr);
    assert_eq!((output.status.code(), message.lines().count()), (Some(1), 1), "{message}");
    assert!(message.contains("out of memory") && message.contains("records of the input"), "{message}");
}
