//! The program while it runs.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use crate::fixture::command;

/// A query with its ranking's only candidate.
pub const RED: &str = "{\"query_id\":\"red\",\"query\":\"red\",\"documents\":[\"red\"]}\n";

/// The program with open pipes.
pub struct Piped {
    pub child: Child,
    pub stdin: Option<ChildStdin>,
    pub stdout: Option<BufReader<ChildStdout>>,
}

impl Piped {
    pub fn start(arguments: &[&str]) -> Self {
        Self::spawn(command(&[&["--model", "fake"], arguments].concat()))
    }

    pub fn spawn(mut command: Command) -> Self {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take().map(BufReader::new));
        Self { child, stdin, stdout }
    }

    pub fn write(&mut self, text: &str) {
        let stdin = self.stdin.as_mut().unwrap();
        stdin.write_all(text.as_bytes()).unwrap();
        stdin.flush().unwrap();
    }

    pub fn read_line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.as_mut().unwrap().read_line(&mut line).unwrap();
        line
    }

    /// Sends a signal, as `INT`.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// Waits for the end, of a run that goes on for half a minute at most, then ends the program and fails. Gives the status and the
    /// messages.
    #[track_caller]
    pub fn end(mut self) -> (Option<i32>, String) {
        let began = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if began.elapsed() > Duration::from_secs(30) {
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

/// The bytes in a pipe that nobody has read.
pub fn waiting_bytes(pipe: &impl std::os::fd::AsRawFd) -> i32 {
    let mut bytes = 0;
    // SAFETY: the call writes a number to a place of its size.
    assert_eq!(unsafe { libc::ioctl(pipe.as_raw_fd(), libc::FIONREAD, &raw mut bytes) }, 0);
    bytes
}
