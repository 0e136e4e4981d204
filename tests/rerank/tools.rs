//! Files as people's tools write them: what says what it means is read, and what does not is refused by name or noted.

use serde_json::Value;

use crate::fixture::{Files, Run, rerank};

/// Runs a file of this name.
fn read(name: &str, text: impl AsRef<[u8]>) -> Run {
    let files = Files::new();
    rerank(&["--model", "fake", "--input", &files.write(name, text)])
}

const QUERIES: (&str, &str) = ("queries.tsv", "7\tred planet\n");
const COLLECTION: (&str, &str) = ("collection.tsv", "D1\tsame\nD2\tsame\nD4\tred planet\n");
const RUN: (&str, &str) = ("a.trec", "7 Q0 D1 1 2 x\n7 Q0 D4 2 1 x\n");

/// Runs a run with the files of its texts.
fn read_run(run: (&str, &str), queries: (&str, &str), collection: (&str, &str)) -> Run {
    let files = Files::new();
    let [input, queries, collection] = [run, queries, collection].map(|(name, text)| files.write(name, text));
    rerank(&["--model", "fake", "--input", &input, "--queries", &queries, "--collection", &collection])
}

/// The results of the first query, as `id:original rank`.
#[track_caller]
fn ranks(run: &Run) -> Vec<String> {
    let rankings = run.rankings();
    let results = rankings[0]["results"].as_array().unwrap().iter();
    results.map(|result| format!("{}:{}", result["id"].as_str().unwrap(), result["original_rank"])).collect()
}

#[track_caller]
fn notes(run: &Run, part: &str) {
    assert!(run.status == 0 && run.stderr.contains(part), "{part}: {}", run.stderr);
}

#[test]
fn a_run_of_tevatron_has_scores_and_no_ranks() {
    for name in ["rank.txt", "rank.tsv"] {
        let run = read_run((name, "7\tD1\t12.5\n7\tD2\t13.25\n7\tD4\t-3e-1\n"), QUERIES, COLLECTION);
        assert_eq!(ranks(&run), ["D4:3", "D2:1", "D1:2"]);
        assert_eq!(run.rankings()[0]["results"][0]["original_score"], -0.3);
    }
    assert_eq!(ranks(&read_run(("rank.tsv", "7\tD1\t12.5\n"), QUERIES, COLLECTION)), ["D1:1"]);
    read_run(("rank.tsv", "7\tD1\t12\n7\tD4\t13.25\n"), QUERIES, COLLECTION)
        .fails(1, &["rank.tsv:2: ", "not an integer", "--input-format tevatron"]);
}

#[test]
fn lines_that_are_none_of_a_run_are_refused() {
    let run = |text| read_run(("a.trec", text), QUERIES, COLLECTION);
    run("7 Q0 D1 1 2 x\r7 Q0 D4 2 1 x\r").fails(1, &["a.trec:1: ", "a carriage return", "tr '\\r' '\\n'"]);
    run("7 Q0 D1 1 2 x\n\u{feff}7 Q0 D4 2 1 x\n").fails(1, &["a.trec:2: ", "a byte order mark"]);
    run("qid Q0 docno rank score tag\n7 Q0 D1 1 2 x\n").fails(1, &["a.trec:1: ", "no header, remove this line"]);
}

#[test]
fn equal_ranks_follow_the_scores_in_every_format() {
    let json = r#"{"query":"q","candidates":[{"id":"a","text":"x","rank":0,"score":1.5},
        {"id":"b","text":"x","rank":0,"score":"3"},{"id":"c","text":"x","rank":0,"score":2.5}]}"#;
    let csv = "query,id,text,rank,score\nq,a,x,0,1.5\nq,b,x,0,3\nq,c,x,0,2.5\n";
    for (name, text) in [("a.json", json.to_owned()), ("a.csv", csv.to_owned()), ("a.tsv", csv.replace(',', "\t"))] {
        let run = read(name, text);
        assert_eq!(ranks(&run), ["b:1", "c:2", "a:3"], "{name}");
        notes(&run, "have rank 0, which orders nothing: wherever that is so, `original_rank` follows the score");
    }
    let run = read("a.csv", "query,id,text,rank\nq,a,x,5\nq,b,x,5\n");
    assert_eq!(ranks(&run), ["a:1", "b:2"]);
    notes(&run, "follows the order of the candidates");
    let run = read("a.csv", "query,id,text,rank,score\nq,a,x,1,1.5\nq,b,x,2,3\n");
    assert_eq!((ranks(&run), run.stderr.contains("orders nothing")), (vec!["a:1".into(), "b:2".into()], false));
}

#[test]
fn scores_without_ranks_are_the_order_of_the_first_stage_everywhere() {
    let csv = "query_id,query,id,text,score\nq,q,a,x,1.5\nq,q,b,x,3\nq,q,c,x,2.5\nq,q,d,x,2.5\n";
    let files = Files::new();
    let (input, qrels) = (files.write("in.csv", csv), files.write("qrels", "q 0 b 1\n"));
    let output = files.name("out.jsonl");
    let arguments = ["--model", "fake", &input, "--fuse", "rrf", "--qrels", &qrels, "--measures", "RR", "-o", &output];
    let run = rerank(&arguments);
    notes(&run, "have no ranks, and do not stand in the order of their scores");
    notes(&run, "RR 1.0000 → 1.0000");
    let ranked = std::fs::read_to_string(files.path("out.jsonl")).unwrap();
    let places: Vec<usize> = ["\"b\"", "\"c\"", "\"d\"", "\"a\""].map(|id| ranked.find(id).unwrap()).to_vec();
    assert!(places.is_sorted(), "{ranked}");
    let run = read("a.csv", "query,id,text,score\nq,a,x,3\nq,b,x,3\nq,c,x,2\n");
    assert_eq!((ranks(&run), run.stderr.contains("note")), (vec!["a:1".into(), "b:2".into(), "c:3".into()], false));
    let run = read("a.csv", "query,id,text,score\nq,a,x,1\nq,b,x,\nq,c,x,2\n");
    assert_eq!(ranks(&run), ["a:1", "b:2", "c:3"]);
}

#[test]
fn candidates_without_ids_beside_others_are_noted_once() {
    let run = read("a.csv", "query_id,query,id,text\n1,q,a,x\n2,r,,y\n2,r,,z\n3,s,b,y\n4,t,,z\n");
    notes(&run, "note: ");
    notes(&run, "a.csv:3: candidate 1 of query \"2\" has no id, and others have one");
    assert_eq!(run.stderr.matches("has no id").count(), 1, "{}", run.stderr);
    let run = read("a.jsonl", r#"{"query":"q","documents":["a","b"]}"#);
    assert!(!run.stderr.contains("no id"), "{}", run.stderr);
}

#[test]
fn a_null_in_place_of_a_text_is_named() {
    for record in
        [r#"{"query":"q","text":null,"url":"http://x"}"#, r#"{"query":"q","documents":[{"text":null,"url":"u"}]}"#]
    {
        read("a.jsonl", record).fails(1, &["`text` is null; give it a value, or remove the record"]);
    }
    read("a.jsonl", r#"{"query":null,"text":"a","topic":"t"}"#).fails(1, &["there is no query: `query` is null"]);
    read("a.jsonl", r#"{"query":"q","documents":null,"ids":["a"]}"#).fails(1, &["`documents` is null"]);
}

#[test]
fn what_rerank_writes_itself_is_not_said_to_be_carried() {
    let run = read("a.jsonl", r#"{"query":"q","candidates":[{"text":"a","score":1,"original_score":2}]}"#);
    notes(&run, "`score` (1) is used as the score and `original_score` (2) is left out, as rerank writes its own;");
    assert_eq!(run.rankings()[0]["results"][0]["original_score"], 1.0);
}

#[test]
fn the_options_of_a_request_are_noted() {
    let run = read("a.jsonl", r#"{"query":"q","documents":["a","b"],"top_n":1,"model":"m"}"#);
    notes(&run, "`top_n` is carried and not obeyed; the option for all queries is --top-k");
    assert_eq!(run.rankings()[0]["results"].as_array().unwrap().len(), 2);
}

#[test]
fn empty_documents_are_counted() {
    let run = read("a.jsonl", r#"{"query":"q","documents":["a","","  "]}"#);
    notes(&run, "3 pairs (0 truncated, 2 of empty documents");
}

#[test]
fn names_are_known_in_any_case_and_with_anything_between_their_words() {
    for (name, text) in [
        ("a.jsonl", r#"{"QID":"7","Query":"q","Candidates":[{"Doc-ID":"d","Text":"x","Title":"T","Score":3}]}"#),
        ("b.jsonl", r#"{"queryId":"7","Query":"q","documentId":"d","Text":"x","Title":"T","Score":3}"#),
        ("a.csv", "Query ID,Query,Doc ID,TEXT,title,Score\n7,q,d,x,T,3\n"),
        ("a.tsv", "query-id\tQuery\tcorpus-id\tText\tTitle\tscore\n7\tq\td\tx\tT\t3\n"),
    ] {
        let run = read(name, text);
        let ranking = run.rankings().remove(0);
        let result = &ranking["results"][0];
        let read = [&ranking["query_id"], &result["id"], &result["text"], &result["title"]];
        assert_eq!(read, ["7", "d", "x", "T"], "{name}: {}", run.stderr);
        assert_eq!(result["original_score"], 3.0, "{name}");
    }
    let carried = read("a.jsonl", r#"{"query":"q","candidates":[{"id":"d","text":"x","source":"s","Text":"y"}]}"#);
    assert_eq!(carried.rankings()[0]["results"][0]["source"], "s");
    notes(&carried, "`text` (x) is used as the text and `Text` (y) is only carried");
    notes(&read("a.csv", "query,text,body\nq,x,y\n"), "`text` (x) is used as the text and `body` (y) is only carried");
}

#[test]
fn a_name_of_columns_that_no_record_has_is_reported() {
    let files = Files::new();
    let input = files.write("a.jsonl", "{\"query\":\"q\",\"candidates\":[{\"id\":\"d\",\"text\":\"x\"}]}\n");
    let with = |columns| rerank(&["--model", "fake", "--input", &input, "--columns", columns]);
    notes(&with("id=docno"), "a.jsonl: --columns id=docno names a field that has a value in no record");
    assert!(!with("id=id,text=text").stderr.contains("in no record"));
}

#[test]
fn a_name_that_stands_twice_is_noted() {
    let run = read("a.jsonl", r#"{"query":"q","candidates":[{"id":"d","text":"x","text":"y"}]}"#);
    assert_eq!(run.rankings()[0]["results"][0]["text"], "y");
    notes(&run, "a.jsonl:1: `text` stands twice in one object: the last value counts");
    let run = read("a.jsonl", r#"{"query":"q","query":"q","candidates":["x"]}"#);
    assert!(!run.stderr.contains("twice"), "{}", run.stderr);
    let twice = "{\"id\":\"D1\",\"text\":\"x\",\"text\":\"y\"}\n";
    read_run(RUN, QUERIES, ("c.jsonl", twice)).fails(1, &["c.jsonl:1: `text` stands twice"]);
}

#[test]
fn joined_tables_are_refused_where_the_second_begins() {
    let header = "query,id,text\n";
    read("a.csv", format!("{header}q,a,x\n{header}r,a,x\n")).fails(1, &["a.csv:3: the header stands here again"]);
    read("a.csv", format!("\u{feff}{header}q,a,x\n\u{feff}r,a,x\n")).fails(1, &["a.csv:3: a byte order mark"]);
    read("a.tsv", "query\ttext\nq\tx\nquery\ttext\n").fails(1, &["a.tsv:3: the header stands here again"]);
    let collection = "id\ttext\nD1\tx\nid\ttext\n";
    read_run(RUN, QUERIES, ("c.tsv", collection)).fails(1, &["c.tsv:3: the header stands here again"]);
    let twice = read("a.csv", "\u{feff}\u{feff}query_id,query,id,text\n7,q,a,x\n");
    assert_eq!(twice.rankings()[0]["query_id"], "7");
    let lines = "{\"query\":\"q\",\"candidates\":[\"x\"]}\n\u{feff}{\"query\":\"r\",\"candidates\":[\"x\"]}\n";
    assert_eq!(read("a.jsonl", lines).rankings().len(), 2);
}

#[test]
fn an_id_with_a_byte_order_mark_reads_back() {
    for name in ["a.csv", "a.tsv"] {
        let files = Files::new();
        let (first, second) = (files.name(name), files.name("b.jsonl"));
        let lines = "{\"query_id\":\"\u{feff}7\",\"query\":\"q\",\"candidates\":[\"x\"]}\n";
        let input = files.write("a.jsonl", lines);
        assert_eq!(rerank(&["--model", "fake", "--input", &input, "--output", &first]).status, 0);
        let run = rerank(&["--model", "fake", "--input", &first, "--output", &second]);
        assert_eq!(run.status, 0, "{}", run.stderr);
        let ranking: Value = serde_json::from_str(files.read("b.jsonl").trim()).unwrap();
        assert_eq!(ranking["query_id"], "\u{feff}7");
    }
}

#[test]
fn other_encodings_are_named_with_the_place_and_the_command() {
    let command = "iconv -f WINDOWS-1252 -t UTF-8 FILE > NEW";
    read("a.csv", b"query,id,text\nq,a,sch\xf6n\n".as_slice())
        .fails(1, &["a.csv:2: ", "the column `text` is not UTF-8 at byte 4 of the cell", command]);
    read("a.csv", b"query,id,text,Stra\xdfe\nq,a,x,y\n".as_slice())
        .fails(1, &["a.csv:1: the header is not UTF-8 at byte 19", command]);
}

#[test]
fn a_null_of_a_database_is_noted() {
    let run = read("a.tsv", "query\tid\ttext\nq\ta\t\\N\nq\tb\t\\N\n");
    notes(&run, "a.tsv:2: a cell is `\\N`, with which PostgreSQL and MySQL write that there is no value");
    assert_eq!(run.stderr.matches("PostgreSQL and").count(), 1);
}

#[test]
fn texts_of_a_run_stand_in_json_over_any_number_of_lines() {
    let queries = r#"[{"_id":"7","text":"red planet"},{"_id":"8","text":"ice"}]"#;
    let documents =
        "[ {\"_id\":\"D1\",\n\"text\":\"same\"},\n  {\"_id\":\"D4\",\"title\":\"T\",\"text\":\"red planet\"}]\n";
    let pretty = documents.trim_start_matches('[').replace("},", "}").replace("}]", "}");
    for documents in [documents, &pretty] {
        let run = read_run(RUN, ("queries.json", queries), ("collection.json", documents));
        assert_eq!(ranks(&run), ["D4:2", "D1:1"]);
        let best = &run.rankings()[0]["results"][0];
        assert_eq!([&best["text"], &best["title"]], ["red planet", "T"]);
    }
    read_run(RUN, ("queries.json", "[{\"_id\":\"7\",\"text\":"), COLLECTION).fails(1, &["queries.json"]);
    read_run(RUN, QUERIES, ("c.json", "[{\"_id\":\"D1\",\"text\":\"x\"}\n")).fails(1, &["c.json", "truncated"]);
}

#[test]
fn tables_of_texts_say_how_they_are_understood() {
    let run = read_run(RUN, QUERIES, ("c.tsv", "D1\tsame\tA\nD4\tred planet\tB\n"));
    notes(&run, "c.tsv:1: there is no header: the three columns are read as id, text and title");
    let run = read_run(RUN, QUERIES, ("c.tsv", "id\ttext\ttitle\nD1\tsame\tA\nD4\tred planet\tB\n"));
    assert!(!run.stderr.contains("no header"), "{}", run.stderr);
    read_run(RUN, ("q.csv", "qid;query\n7;red, planet\n"), COLLECTION).fails(1, &["q.csv:1: ", "use --delimiter ';'"]);
    read_run(RUN, ("q.txt", "<top>\n<num> 7\n"), COLLECTION).fails(1, &["a file of TREC topics", "a tab"]);
}

#[test]
fn bytes_that_are_left_over_are_named() {
    let line = "{\"query\":\"q\",\"candidates\":[\"x\"]}\n";
    read("a.jsonl", format!("{line}\0\0\0\0")).fails(1, &["a.jsonl:2: ", "NUL bytes"]);
    read("a.jsonl", format!("\u{1e}{line}")).fails(1, &["a.jsonl:1: ", "record separators"]);
}
