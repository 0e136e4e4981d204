//! Compressed inputs, recognised by their content in every role, and damaged ones.

use std::io::Write;

use crate::bad_files::many_lines;
use crate::fixture::{Files, rerank, rerank_on};

const LINES: &str = "{\"query_id\":\"1\",\"query\":\"red\",\"candidates\":[{\"id\":\"d\",\"text\":\"red\"}]}\n";

fn packed(text: &[u8]) -> [(&'static str, Vec<u8>); 4] {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(text).unwrap();
    let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    bzip2.write_all(text).unwrap();
    let mut xz = lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(1)).unwrap();
    xz.write_all(text).unwrap();
    [
        ("gz", gzip.finish().unwrap()),
        ("zst", zstd::encode_all(text, 1).unwrap()),
        ("xz", xz.finish().unwrap()),
        ("bz2", bzip2.finish().unwrap()),
    ]
}

#[test]
fn every_compression_is_read_by_name_and_by_content() {
    let files = Files::new();
    let expected = rerank_on(LINES, &["--model", "fake"]).stdout;
    for (extension, bytes) in packed(LINES.as_bytes()) {
        let named = files.write(&format!("a.jsonl.{extension}"), &bytes);
        let run = rerank(&["--model", "fake", "--input", &named]);
        assert_eq!((run.status, &run.stdout), (0, &expected), "{extension}: {}", run.stderr);
        let unnamed = rerank_on(&bytes, &["--model", "fake"]);
        assert_eq!((unnamed.status, &unnamed.stdout), (0, &expected), "{extension}: {}", unnamed.stderr);
        let twice = rerank_on(
            [
                &bytes[..],
                &packed(LINES.replace('1', "2").as_bytes())
                    .into_iter()
                    .find(|(other, _)| *other == extension)
                    .unwrap()
                    .1,
            ]
            .concat(),
            &["--model", "fake"],
        );
        assert_eq!(twice.rankings().len(), 2, "{extension}");
    }
}

#[test]
fn tables_queries_and_collections_may_be_compressed() {
    let files = Files::new();
    let table = packed(b"query,text\nred,a red one\n");
    let (queries, documents) =
        (packed(b"{\"_id\":\"q\",\"text\":\"red\"}\n"), packed(b"{\"_id\":\"d\",\"text\":\"a red one\"}\n"));
    let input = files.write("a.trec", "q Q0 d 1 2.5 t\n");
    for (index, (extension, bytes)) in table.iter().enumerate() {
        let table = files.write(&format!("a.csv.{extension}"), bytes);
        assert_eq!(rerank(&["--model", "fake", "--input", &table]).rankings()[0]["results"][0]["text"], "a red one");
        let queries = files.write(&format!("q.{extension}"), &queries[index].1);
        let collection = files.write(&format!("c.{extension}"), &documents[index].1);
        let arguments = ["--model", "fake", "--input", &input, "--queries", &queries, "--collection", &collection];
        assert_eq!(rerank(&arguments).rankings()[0]["results"][0]["text"], "a red one");
    }
}

#[test]
fn damaged_compressed_files_are_called_what_they_are_and_what_came_before_is_ranked() {
    for (extension, bytes) in packed(many_lines().as_bytes()) {
        let half = rerank_on(&bytes[..bytes.len() / 2], &["--model", "fake", "--on-error", "skip"]);
        half.fails(1, &["standard input ends in the middle of its compressed data", "truncated"]);
        let mut spoiled = bytes.clone();
        let middle = bytes.len() / 2;
        spoiled[middle..middle + 64].fill(0x55);
        let spoiled = rerank_on(spoiled, &["--model", "fake", "--on-error", "skip"]);
        assert_eq!(spoiled.status, 1, "{extension}");
        // Damage may look like JSON that is broken before the decoder finds it out.
        assert!(spoiled.stderr.contains("damaged"), "{extension}: {}", spoiled.stderr);
    }
}

#[test]
fn what_is_appended_to_compressed_data_is_named() {
    for (extension, bytes) in packed(LINES.as_bytes()) {
        let run = rerank_on([&bytes[..], b"hello, world"].concat(), &["--model", "fake"]);
        run.fails(1, &["holds bytes behind the end of its", "something was appended"]);
        assert_eq!(run.stdout.lines().count(), 1, "{extension}: what came before is ranked");
    }
    // gzip itself passes by zeros.
    let [(_, gzip), ..] = packed(LINES.as_bytes());
    assert_eq!(rerank_on([&gzip[..], &[0; 100]].concat(), &["--model", "fake"]).rankings().len(), 1);
}

#[test]
fn data_that_is_compressed_twice_is_named() {
    let [(_, gzip), (_, zstandard), ..] = packed(LINES.as_bytes());
    for bytes in [packed(&gzip), packed(&zstandard)].concat() {
        rerank_on(bytes.1, &["--model", "fake"]).fails(1, &["standard input is compressed twice"]);
    }
}
