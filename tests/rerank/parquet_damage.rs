//! Parquet and Arrow files in which bytes were changed: the run ends well or with a sentence, in bounded memory.

use std::os::unix::process::CommandExt;
use std::thread;

use crate::fixture::{Files, Run, command, run};

/// The address space of a run, in bytes.
const MOST_BYTES: libc::rlim_t = 1 << 30;

/// How often each file is changed.
const CHANGES: u64 = 20;

const NAMES: [&str; 10] = [
    "pairs.none.parquet",
    "pairs.snappy.parquet",
    "pairs.zstd.parquet",
    "pairs.dictionary.parquet",
    "groups.parquet",
    "types.parquet",
    "kept.parquet",
    "pairs.feather",
    "pairs.stream.arrow",
    "kept.feather",
];

/// Ranks a file to Parquet with so much address space.
fn ranked(input: &str, output: &str) -> Run {
    let mut command =
        command(&["--model", "fake", "--threads", "1", "--input", input, "--output", output, "--overwrite"]);
    let limit = || {
        let limit = libc::rlimit { rlim_cur: MOST_BYTES, rlim_max: MOST_BYTES };
        // SAFETY: the limit is read during the call, which is safe in a process that was forked.
        match unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const limit) } {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        }
    };
    // SAFETY: the limit allocates nothing.
    unsafe { command.pre_exec(limit) };
    run(command, "")
}

/// Pseudorandom numbers below a bound (splitmix64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % bound as u64) as usize
    }
}

/// A file with some damage: cut off, with changed bytes, with a part that is zero, doubled or gone, or with a large length.
fn damaged(bytes: &[u8], numbers: &mut Numbers) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    // What describes the data stands at the end, and is small.
    let at = match numbers.below(2) {
        0 => numbers.below(bytes.len() - 8),
        _ => bytes.len() - 8 - numbers.below(bytes.len().min(1000) - 8),
    };
    let end = (at + 1 + numbers.below(200)).min(bytes.len());
    match numbers.below(6) {
        0 => bytes.truncate(at),
        1 => bytes[at..end].fill(0),
        2 => drop(bytes.drain(at..end)),
        3 => {
            let part = bytes[at..end].to_vec();
            bytes.splice(at..at, part);
        }
        4 => bytes[at..at + 8].copy_from_slice(&(1u64 << 40).to_le_bytes()),
        _ => (0..1 + numbers.below(3)).for_each(|near| bytes[at + near] ^= 1 << numbers.below(8)),
    }
    bytes
}

/// Fails unless a run ended well, or with an error.
#[track_caller]
fn assert_ends(run: &Run, what: &str) {
    let is_clean = match run.status {
        0 => true,
        1 | 2 => run.stderr.lines().any(|line| line.starts_with("error: ")),
        _ => false,
    };
    assert!(is_clean && !run.stderr.contains("panicked"), "{what}: status {}: {}", run.status, run.stderr);
}

#[test]
fn damaged_files_end_in_success_or_a_sentence() {
    let files = Files::in_memory();
    thread::scope(|scope| {
        for (seed, name) in (1..).zip(NAMES) {
            let files = &files;
            scope.spawn(move || {
                let bytes = std::fs::read(format!("testdata/parquet/{name}")).unwrap();
                let (mut numbers, output) = (Numbers(seed), files.name(&format!("{name}.out.parquet")));
                for change in 0..CHANGES {
                    let input = files.write(name, damaged(&bytes, &mut numbers));
                    assert_ends(&ranked(&input, &output), &format!("{name}, change {change}"));
                }
            });
        }
    });
}

#[test]
fn a_file_that_asks_for_a_terabyte_is_refused_by_name() {
    let files = Files::new();
    let output = files.name("out.parquet");
    let length = 1u64 << 40;
    for name in ["pairs.stream.arrow", "pairs.feather"] {
        let bytes = std::fs::read(format!("testdata/parquet/{name}")).unwrap();
        let mut refused = 0;
        // The length of a body is a 64-bit number, a multiple of 8; other such numbers make no such demand.
        for at in (8..bytes.len() - 8).step_by(4) {
            let before = u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
            if before == 0 || before > 4096 || before % 8 != 0 {
                continue;
            }
            let mut changed = bytes.clone();
            changed[at..at + 8].copy_from_slice(&length.to_le_bytes());
            let run = ranked(&files.write(name, changed), &output);
            assert_ends(&run, &format!("{name} at {at}"));
            refused +=
                u32::from(run.status == 1 && run.stderr.contains(name) && run.stderr.contains("1099511627776 bytes"));
        }
        assert!(refused > 0, "{name}");
    }
}
