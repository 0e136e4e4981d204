//! Files of strangers: changed examples of each kind are read by the library. `RERANK_HOSTILE_ROUNDS` is the number of changed files
//! of each kind; `RERANK_FUZZ_CORPUS` is a folder that gets the examples, for `cargo fuzz`.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use crate::hostile_examples::examples;
use crate::hostile_formats::FORMATS;
use crate::memory::peak_of;

/// The most memory that a file of some kilobytes may take.
const MOST_BYTES: isize = 64 << 20;

/// Kinds that may take more: a dictionary of xz, and tokens whose ids have gaps between them.
const MOST_BYTES_OF: [(&str, isize); 2] = [("compressed", 1200 << 20), ("tokenizer", 700 << 20)];

/// Pieces that programs rarely expect.
const PIECES: [&[u8]; 26] = [
    b"18446744073709551615",
    b"9223372036854775808",
    b"2147483648",
    b"-1",
    b"0",
    b"1e999",
    b"-0.0",
    b"1e-400",
    b"null",
    b"true",
    b"NaN",
    b"{}",
    b"[]",
    b"\"\"",
    b"{\"a\":[{\"a\":[",
    b"\0",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\\ud83d",
    b"\r\n",
    b"\n\n",
    b"\t",
    b"\"",
    b",",
    b"}",
    b"]]]]",
];

/// A generator of numbers, the same on every machine.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end.max(1) as u64) as usize
    }

    /// A part of some bytes.
    fn part<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let start = self.below(bytes.len() + 1);
        let most = if self.below(2) == 0 { 16 } else { bytes.len() };
        let length = self.below((bytes.len() - start).min(most) + 1);
        &bytes[start..start + length]
    }
}

/// Changes a file in one place.
fn change(bytes: &mut Vec<u8>, others: &[Vec<u8>], numbers: &mut Numbers) {
    let place = numbers.below(bytes.len() + 1);
    let insert = |bytes: &mut Vec<u8>, piece: &[u8]| drop(bytes.splice(place..place, piece.iter().copied()));
    match numbers.below(9) {
        0 => bytes.truncate(place),
        1 if place < bytes.len() => bytes[place] ^= 1u8 << numbers.below(8),
        2 if place < bytes.len() => bytes[place] = numbers.below(256) as u8,
        3 => insert(bytes, PIECES[numbers.below(PIECES.len())]),
        4 => {
            let part = numbers.part(bytes).to_vec();
            insert(bytes, &part);
        }
        5 => {
            let other = numbers.below(others.len());
            let part = numbers.part(&others[other]).to_vec();
            insert(bytes, &part);
        }
        6 => {
            let end = place + numbers.part(&bytes[place..]).len();
            drop(bytes.drain(place..end));
        }
        7 => {
            let repeated = [b"[", b"{", b"\"", b"(", b" ", b"a"][numbers.below(6)].repeat(numbers.below(2000));
            insert(bytes, &repeated);
        }
        _ => {
            let end = place + numbers.part(&bytes[place..]).len().min(20);
            bytes.splice(place..end, PIECES[numbers.below(PIECES.len())].iter().copied());
        }
    }
}

/// Reads changed examples of a kind.
fn check(name: &str, rounds: usize) {
    let format = FORMATS.iter().find(|format| format.name == name).unwrap();
    let most = MOST_BYTES_OF.iter().find(|(other, _)| *other == name).map_or(MOST_BYTES, |(_, most)| *most);
    let examples = examples(name);
    if let Some(folder) = std::env::var_os("RERANK_FUZZ_CORPUS") {
        let folder = Path::new(&folder).join(name);
        std::fs::create_dir_all(&folder).unwrap();
        for (index, example) in examples.iter().enumerate() {
            std::fs::write(folder.join(index.to_string()), example).unwrap();
        }
    }
    let rounds = std::env::var("RERANK_HOSTILE_ROUNDS").map_or(rounds, |rounds| rounds.parse().unwrap());
    let mut numbers = Numbers(0x5eed_5eed_5eed_5eed);
    for round in 0..examples.len() + rounds {
        let mut bytes = examples[round % examples.len()].clone();
        if round >= examples.len() {
            (0..=numbers.below(4)).for_each(|_| change(&mut bytes, &examples, &mut numbers));
        }
        let mut read = Ok(());
        let peak = peak_of(|| read = catch_unwind(AssertUnwindSafe(|| (format.read)(&bytes))));
        if read.is_err() || peak > most {
            let mut path = std::env::temp_dir();
            path.push(format!("rerank-hostile-{name}-{round}"));
            std::fs::write(&path, &bytes).unwrap();
            panic!("{name}, round {round}: a panic, or {peak} bytes of memory; the file is kept as {}", path.display());
        }
    }
}

macro_rules! checks {
    ($($name:ident: $rounds:expr),* $(,)?) => {
        $(
            #[test]
            fn $name() {
                check(stringify!($name), $rounds);
            }
        )*
    };
}

// So many that each takes a second or less.
checks! {
    json: 1500,
    tables: 1000,
    runs: 1500,
    collection: 1500,
    compressed: 1500,
    safetensors: 1500,
    config: 3000,
    tokenizer: 300,
    settings: 100,
    chat_template: 60,
    recipe: 3000,
    sidecar: 3000,
    output: 500,
    scores: 1000,
}
