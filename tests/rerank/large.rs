//! Inputs of any size take little memory.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use crate::fixture::{command, peak_mebibytes};

const QUERIES: usize = 10_000;
const CANDIDATES: usize = 100;

/// A million pairs of about 250 bytes, as CSV.
fn write_pairs(sink: &mut impl Write) -> std::io::Result<()> {
    writeln!(sink, "query_id,query,doc_id,text,score")?;
    let text = "a flea can live up to a year but its lifespan depends on its living conditions ".repeat(3);
    for query in 0..QUERIES {
        for candidate in 0..CANDIDATES {
            let score = CANDIDATES - candidate;
            writeln!(sink, "q{query},how long does flea {query} live,d{candidate},{text}{candidate},{score}")?;
        }
    }
    sink.flush()
}

#[test]
fn a_million_pairs_are_ranked_in_little_memory() {
    let mut command = command(&["--model", "fake", "--input-format", "csv", "--quiet"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = std::io::BufWriter::new(child.stdin.take().unwrap());
    let feeding = std::thread::spawn(move || {
        write_pairs(&mut stdin).unwrap();
        stdin
    });
    let mut rankings = BufReader::new(child.stdout.take().unwrap()).lines();
    // The last query is complete only when the input ends: until then the program is there to be measured.
    for query in 0..QUERIES - 1 {
        let ranking = rankings.next().unwrap().unwrap();
        assert!(ranking.starts_with(&format!("{{\"query_id\":\"q{query}\"")), "{ranking:.80}");
    }
    let peak = peak_mebibytes(child.id());
    drop(feeding.join().unwrap());
    assert!(rankings.next().unwrap().unwrap().contains("\"original_rank\":100"));
    assert!(child.wait().unwrap().success());
    assert!(peak < 300, "{peak} MiB");
}
