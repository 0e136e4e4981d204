//! Runs the real program.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rerank::engine::cpu::{Arithmetic, Level, Unit};
use rerank::precision::Precision;
use serde_json::Value;

/// What a run left behind.
pub struct Run {
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Run {
    /// The rankings on standard output.
    #[track_caller]
    pub fn rankings(&self) -> Vec<Value> {
        assert_eq!(self.status, 0, "{}", self.stderr);
        rankings(&self.stdout)
    }

    /// Fails unless the run ended with this status and a message that contains all of these.
    #[track_caller]
    pub fn fails(&self, status: i32, parts: &[&str]) {
        assert_eq!(self.status, status, "{}", self.stderr);
        for part in parts {
            assert!(self.stderr.contains(part), "{part:?} is not in: {}", self.stderr);
        }
    }
}

/// The rankings of ranked JSONL.
pub fn rankings(jsonl: &str) -> Vec<Value> {
    jsonl.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What schedulers put into the environment of their workers.
pub const SCHEDULERS: &[&str] = &[
    "SLURM_ARRAY_TASK_ID",
    "SLURM_ARRAY_TASK_COUNT",
    "SLURM_ARRAY_TASK_MIN",
    "SLURM_ARRAY_TASK_MAX",
    "JOB_COMPLETION_INDEX",
    "SKYPILOT_JOB_RANK",
    "SKYPILOT_NUM_JOBS",
    "SKYPILOT_NODE_RANK",
    "SKYPILOT_NUM_NODES",
    "AWS_BATCH_JOB_ARRAY_INDEX",
    "BATCH_TASK_INDEX",
    "BATCH_TASK_COUNT",
    "RANK",
    "WORLD_SIZE",
];

/// The program, with nothing of the user's environment that changes what it does. It computes on the processor, on machines
/// with a GPU too, unless the arguments name a device.
pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rerank"));
    command.args(arguments);
    let computes = !matches!(arguments.first(), Some(&("cache" | "completions" | "eval" | "man" | "merge" | "status")))
        && !arguments.contains(&"--list");
    if computes && !arguments.iter().any(|argument| argument.starts_with("--device")) {
        command.args(["--device", "cpu"]);
    }
    for name in [
        "HF_HOME",
        "HF_HUB_CACHE",
        "HF_ENDPOINT",
        "HF_TOKEN",
        "HF_HUB_OFFLINE",
        "HF_HUB_ETAG_TIMEOUT",
        "HF_HUB_DOWNLOAD_TIMEOUT",
        "RERANK_INSTRUCTIONS",
    ]
    .iter()
    .chain(SCHEDULERS)
    {
        command.env_remove(name);
    }
    command
}

/// Runs to the end, with `input` on standard input.
pub fn rerank_on(input: impl AsRef<[u8]>, arguments: &[&str]) -> Run {
    run(command(arguments), input)
}

/// Runs to the end with kernels that are the same every time: a measurement at the start may choose others in the next run.
pub fn rerank_by_fixed_kernels(arguments: &[&str]) -> Run {
    rerank_on_by_fixed_kernels("", arguments)
}

/// The same, with `input` on standard input.
pub fn rerank_on_by_fixed_kernels(input: impl AsRef<[u8]>, arguments: &[&str]) -> Run {
    let mut command = command(arguments);
    let Arithmetic { level, units, .. } = Arithmetic::new(Level::available(), Precision::Bf16);
    let [products, attention] = [units.products, units.attention].map(Unit::name);
    command.env("RERANK_INSTRUCTIONS", format!("{level}/products={products}/attention={attention}"));
    run(command, input)
}

/// Runs to the end with the kernels and in the precision of an arithmetic.
pub fn rerank_by(arithmetic: Arithmetic, arguments: &[&str]) -> Run {
    let Arithmetic { level, units, precision } = arithmetic;
    let mut command = command(&[arguments, &["--dtype", precision.name()]].concat());
    let [products, attention] = [units.products, units.attention].map(Unit::name);
    command.env("RERANK_INSTRUCTIONS", format!("{level}/products={products}/attention={attention}"));
    run(command, "")
}

/// Runs to the end, with `input` on standard input.
pub fn run(mut command: Command, input: impl AsRef<[u8]>) -> Run {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("rerank starts");
    let mut stdin = child.stdin.take().unwrap();
    let input = input.as_ref().to_vec();
    // A run that ends early does not read everything.
    let feeding = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    feeding.join().unwrap();
    Run {
        status: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Runs to the end without input.
pub fn rerank(arguments: &[&str]) -> Run {
    rerank_on("", arguments)
}

#[cfg(target_os = "linux")]
/// The most memory that a process has held so far, in MiB.
pub fn peak_mebibytes(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}

/// A directory of a test's own.
pub struct Files(tempfile::TempDir);

impl Files {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// In memory, where the system has a place for that: tests of many small runs mostly wait for the disk otherwise.
    pub fn in_memory() -> Self {
        let memory = Path::new("/dev/shm");
        if memory.is_dir() { Self(tempfile::tempdir_in(memory).unwrap()) } else { Self::new() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The path as an argument.
    pub fn name(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// Writes a file and gives its path as an argument.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        std::fs::write(self.path(name), content).unwrap();
        self.name(name)
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// Copies a model's files into a directory of this name.
    pub fn copy_model(&self, model: &str, name: &str) -> String {
        std::fs::create_dir_all(self.path(name)).unwrap();
        for entry in std::fs::read_dir(Path::new(model)).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), self.path(name).join(entry.file_name())).unwrap();
        }
        self.name(name)
    }
}
