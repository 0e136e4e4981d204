//! Candidates and queries that are ids alone: their texts stand in the files that `--queries` and `--collection` name.

use serde_json::{Value, json};

use crate::fixture::{Files, Run, rankings, rerank};

const INPUT: &str = r#"{"query_id":"q","query":"red planet","candidates":[{"id":"a","text":"blue"},{"id":"7","text":"red"}]}
{"query_id":"r","query":"blue","candidates":[{"id":"a","text":"blue"}]}
"#;

const QUERIES: &str = "q\tred planet\nr\tblue\n";

const COLLECTION: &str = r#"{"_id":"a","text":"blue"}
{"_id":"7","text":"red"}
{"_id":"t","text":"red","title":"Planet"}
"#;

/// Ranks an input of this name and content with texts from both files, and further options.
fn ranked(name: &str, input: &str, options: &[&str]) -> Run {
    let files = Files::in_memory();
    let input = files.write(name, input);
    let (queries, collection) = (files.write("queries.tsv", QUERIES), files.write("corpus.jsonl", COLLECTION));
    let named = ["--model", "fake", &input, "--queries", &queries, "--collection", &collection];
    rerank(&[&named, options].concat())
}

/// The ids and texts of rankings, query by query.
fn texts(run: &Run) -> Value {
    let results = |ranking: &Value| {
        let results = ranking["results"].as_array().unwrap().iter();
        json!([ranking["query"], results.map(|result| json!([result["id"], result["text"]])).collect::<Vec<_>>()])
    };
    rankings(&run.stdout).iter().map(results).collect()
}

/// What all inputs here are ranked to.
fn expected() -> Value {
    json!([["red planet", [["7", "red"], ["a", "blue"]]], ["blue", [["a", "blue"]]]])
}

#[test]
fn every_format_names_documents_and_queries_by_ids() {
    for (name, input) in [
        (
            "list.jsonl",
            "{\"qid\":\"q\",\"hits\":[{\"docid\":\"a\",\"score\":2},{\"docid\":7,\"score\":1}]}\n{\"qid\":\"r\",\"hits\":[{\"docid\":\"a\"}]}\n",
        ),
        (
            "pairs.jsonl",
            "{\"query_id\":\"q\",\"id\":\"a\"}\n{\"query_id\":\"q\",\"id\":7}\n{\"query_id\":\"r\",\"docid\":\"a\"}\n",
        ),
        ("ids.jsonl", "{\"query_id\":\"q\",\"docids\":[\"a\",7],\"scores\":[2,1]}\n{\"id\":\"r\",\"ids\":[\"a\"]}\n"),
        (
            "value.json",
            "[{\"query_id\":\"q\",\"corpus-ids\":[\"a\",\"7\"]},\n {\"query_id\":\"r\",\"corpus-ids\":[\"a\"]}]",
        ),
        ("table.csv", "query_id,id,score\nq,a,2\nq,7,1\nr,a,1\n"),
        ("table.tsv", "qid\tdocno\nq\ta\nq\t7\nr\ta\n"),
        ("scores.json", "{\"q\":{\"a\":2.5,\"7\":1},\"r\":{\"a\":1}}"),
        ("pretty.json", "{\n  \"q\": {\n    \"a\": 2.5,\n    \"7\": 1\n  },\n  \"r\": {\"a\": 1}\n}\n"),
        (
            "mteb.json",
            "{\"mteb_model_meta\":{\"name\":\"m\"},\"default\":{\"test\":{\"q\":{\"a\":2,\"7\":1},\"r\":{\"a\":1}}}}",
        ),
        ("run.trec", "q Q0 a 1 2 x\nq Q0 7 2 1 x\nr Q0 a 1 1 x\n"),
    ] {
        let run = ranked(name, input, &[]);
        assert_eq!((run.status, texts(&run)), (0, expected()), "{name}: {}", run.stderr);
        let [first, second] = [0, 1].map(|index| run.rankings()[0]["results"][index]["original_rank"].clone());
        assert_eq!((first, second), (2.into(), 1.into()), "{name}");
    }
}

#[test]
fn ids_stand_where_tools_put_them() {
    for (input, options) in [
        (r#"{"query_id":"q","documents":["a","7"],"scores":[1,2]}"#, &[][..]),
        (r#"{"query_id":"q","documents":[],"ids":["a","7"]}"#, &[]),
        (r#"{"query_id":"q","found":[7,"a"]}"#, &["--columns", "candidates=found"]),
        (r#"{"query_id":"q","candidates":[{"document":"a"},{"document":"7"}]}"#, &["--columns", "id=document"]),
        (r#"{"query_id":"q","candidates":[{"id":"a","text":null},{"id":"7","text":" "}]}"#, &[]),
        (r#"{"query_id":"q","hits":{"hits":[{"_id":"a"},{"_id":"7","_source":{"url":"u"}}]}}"#, &[]),
        (r#"{"query_id":"q","source_nodes":[{"node":{"id_":"a"}},{"node":{"id_":"7"}}]}"#, &[]),
        (r#"{"query_id":"q","pos":["7"],"neg":["a"]}"#, &[]),
        ("{\"query\":\"red planet\",\"id\":\"a\"}\n{\"query\":\"red planet\",\"id\":\"7\"}", &[]),
    ] {
        let run = ranked("in.jsonl", input, options);
        assert_eq!((run.status, texts(&run)), (0, json!([expected()[0]])), "{input}: {}", run.stderr);
    }
    // An empty cell is no text, as a null is none.
    let run = ranked("in.csv", "query_id,query,id,text\nq,,a,\nq,,7,\n", &[]);
    assert_eq!(texts(&run), json!([expected()[0]]), "{}", run.stderr);
}

#[test]
fn rankings_without_texts_are_read_again() {
    let names: &[&str] = &["out.jsonl", "out.csv", "out.tsv", "out.trec", "out.parquet"];
    for name in names.iter().filter(|name| cfg!(feature = "parquet") || !name.ends_with("parquet")) {
        let files = Files::in_memory();
        let (input, output) = (files.write("in.jsonl", INPUT), files.name(name));
        let run = rerank(&["--model", "fake", "--input", &input, "--output", &output, "--no-text"]);
        assert_eq!(run.status, 0, "{}", run.stderr);
        let (queries, collection) = (files.write("queries.tsv", QUERIES), files.write("corpus.jsonl", COLLECTION));
        let both = ["--model", "fake", &output, "--collection", &collection, "--queries", &queries];
        for options in [&both[..], &both[..5]] {
            let run = rerank(options);
            // A TREC run has no texts of queries either.
            if name.ends_with("trec") && options.len() == 5 {
                run.fails(2, &["--queries is needed, too"]);
                continue;
            }
            assert_eq!((run.status, texts(&run)), (0, expected()), "{name}: {}", run.stderr);
            assert_eq!(run.rankings()[0]["results"][0]["original_rank"], 1, "{name}");
            let is_noted = run.stderr.contains("the record has its query's text, which is used");
            assert_eq!(is_noted, options.len() > 5 && !name.ends_with("trec"), "{name}: {}", run.stderr);
        }
        let alone = rerank(&["--model", "fake", &output]);
        assert!(alone.status != 0 && alone.stderr.contains("--collection"), "{name}: {}", alone.stderr);
    }
}

#[test]
fn texts_and_titles_come_from_one_place() {
    for own in [r#"{"id":"a","text":"own"}"#, r#"{"document":"a"}"#] {
        let own = format!(r#"{{"query_id":"q","candidates":[{own}]}}"#);
        ranked("in.jsonl", &own, &[]).fails(2, &["in.jsonl:1", "leave --collection (or --beir) out", "id=NAME"]);
    }
    let later = r#"{"query_id":"q","candidates":[{"id":"a"},{"id":"7","text":"own"}]}"#;
    ranked("in.jsonl", later, &[]).fails(1, &["candidate \"7\"", "others before it have none"]);
    let skipped = ranked("in.jsonl", later, &["--on-error", "skip"]);
    assert_eq!(texts(&skipped), json!([["red planet", [["a", "blue"]]]]));
    // In whichever file it stands.
    let files = Files::in_memory();
    let (first, second) = (
        files.write("1.jsonl", r#"{"query_id":"q","ids":["a"]}"#),
        files.write("2.jsonl", r#"{"query_id":"r","candidates":[{"id":"7","text":"own"}]}"#),
    );
    let (queries, collection) = (files.write("queries.tsv", QUERIES), files.write("corpus.jsonl", COLLECTION));
    let named = ["--queries", &queries, "--collection", &collection, "--on-error", "skip"];
    let skipped = rerank(&[&["--model", "fake", &first, &second], &named[..]].concat());
    assert_eq!(texts(&skipped), json!([["red planet", [["a", "blue"]]], ["blue", []]]), "{}", skipped.stderr);
    // A title of the record stands for a document that has none, and no other one.
    let titles = r#"{"query_id":"q","candidates":[{"id":"a","title":"A"},{"id":"t","title":"B"}]}"#;
    let run = ranked("in.jsonl", titles, &[]);
    let results = &run.rankings()[0]["results"];
    assert_eq!((&results[0]["title"], &results[1]["title"]), (&"Planet".into(), &"A".into()), "{}", run.stderr);
    assert!(run.stderr.contains("in.jsonl:1: the candidate's title is that of the collection"), "{}", run.stderr);
}

#[test]
fn several_files_share_what_their_texts_are_read_from() {
    let files = Files::in_memory();
    let (first, second) = (
        files.write("1.jsonl", "{\"query_id\":\"q\",\"docids\":[\"a\",\"7\"]}\n"),
        files.write("2.csv", "query_id,id\nr,a\n"),
    );
    let queries = files.write("queries.tsv", QUERIES);
    // How a table of three columns without a header is understood, is noted.
    let collection = files.write("corpus.tsv", "a\tblue\t\n7\tred\t\n");
    let run = rerank(&["--model", "fake", &first, &second, "--queries", &queries, "--collection", &collection]);
    assert_eq!(texts(&run), expected(), "{}", run.stderr);
    let about = run.stderr.lines().filter(|line| line.contains("corpus.tsv")).count();
    assert_eq!(about, 1, "{}", run.stderr);
}

/// Without files of texts, plain values are texts and no ids, as ever.
#[test]
fn without_a_collection_nothing_is_taken_for_an_id() {
    let files = Files::in_memory();
    let input = "{\"query\":\"x\",\"hits\":[],\"contexts\":[\"x\"]}\n{\"query\":\"x\",\"documents\":[\"a\",2],\"ids\":[\"3\"]}\n";
    let run = rerank(&["--model", "fake", &files.write("in.jsonl", input), "--on-error", "skip"]);
    assert_eq!(texts(&run), json!([["x", []], ["x", [["1", "a"]]]]), "{}", run.stderr);
    assert_eq!(rankings(&run.stdout)[0]["contexts"], json!(["x"]));
    assert!(run.stderr.contains("the candidate is a number"), "{}", run.stderr);
}

#[test]
fn queries_alone_may_stand_in_another_file() {
    let files = Files::in_memory();
    let queries = files.write("queries.tsv", QUERIES);
    let input =
        "{\"query_id\":\"q\",\"documents\":[\"x\"]}\n{\"query_id\":\"r\",\"query\":\"own\",\"documents\":[\"y\"]}\n";
    let run = rerank(&["--model", "fake", &files.write("in.jsonl", input), "--queries", &queries]);
    assert_eq!(texts(&run), json!([["red planet", [["1", "x"]]], ["own", [["1", "y"]]]]), "{}", run.stderr);
    assert!(run.stderr.contains("in.jsonl:2: the record has its query's text, which is used"), "{}", run.stderr);
}

#[test]
fn what_is_in_no_file_is_reported_with_its_name() {
    for (input, problem) in [
        (r#"{"query_id":"q","candidates":[{"id":"z"}]}"#, "candidate \"z\": the collection "),
        (r#"{"query_id":"z","candidates":[{"id":"a"}]}"#, "have no query \"z\""),
        (r#"{"query_id":"q","candidates":[{"score":1}]}"#, "neither a text nor an id by which --collection has one"),
        (r#"{"candidates":[{"id":"a"}]}"#, "neither a text nor an id by which --queries has one"),
        (r#"{"query_id":"q","docids":["a"],"scores":[1,2]}"#, "`scores` has 2 values and `docids` has 1"),
        (r#"{"query_id":"q","docids":["a"],"ids":["7"]}"#, "`ids` and `docids` are both lists of candidates"),
        (r#"{"z":{"a":1}}"#, "have no query \"z\""),
        (r#"{"test":{"q":{"a":1}},"dev":{"q":{"a":1}}}"#, "several splits, test and dev: take one out"),
        (r#"{"q":{"a":1,"b":"high"}}"#, "there is no query"),
    ] {
        ranked("in.json", input, &[]).fails(1, &[problem]);
    }
    let run = ranked("in.json", r#"{"z":{"a":1},"q":{"z":2,"a":1,"7":1},"r":{}}"#, &["--on-error", "skip"]);
    assert_eq!(texts(&run), json!([["red planet", [["7", "red"], ["a", "blue"]]], ["blue", []]]));
    assert_eq!(rankings(&run.stdout)[0]["results"][0]["original_rank"], 3, "ties are ordered by id, descending");
}

#[test]
fn files_of_texts_that_are_missing_are_named() {
    let files = Files::in_memory();
    let (queries, collection) = (files.write("queries.tsv", QUERIES), files.write("corpus.jsonl", COLLECTION));
    let texts = ["--queries", &queries, "--collection", &collection];
    let scores = files.write("scores.json", "{\"q\":{\"a\":1}}");
    for (texts, needed) in [
        (&texts[..0], "--queries and --collection are needed"),
        (&texts[..2], "--collection is needed, too"),
        (&texts[2..], "--queries is needed, too"),
    ] {
        let run = rerank(&[&["--model", "fake", &scores], texts].concat());
        run.fails(2, &[&format!("is a run in JSON, which holds no text: {needed}")]);
    }
    rerank(&[&["--model", "fake", &scores, "--columns", "id=x"], &texts[..]].concat()).fails(2, &["--columns"]);
    for (name, content, problem) in [
        ("a.jsonl", "{\"query_id\":\"q\",\"docids\":[\"a\"]}", "if `docids` are the candidates"),
        (
            "b.jsonl",
            "{\"query\":\"x\",\"candidates\":[{\"id\":\"a\"}]}",
            "; name the file of the texts with --collection",
        ),
        ("c.csv", "query,id\nq,a\n", "or the file of the texts with --collection"),
    ] {
        rerank(&["--model", "fake", &files.write(name, content)]).fails(1, &[problem]);
    }
    let table = files.write("d.csv", "query_id,score\nq,1\n");
    let run = rerank(&[&["--model", "fake", &table], &texts[..]].concat());
    run.fails(1, &["name it with --columns id=NAME; the columns"]);
}

#[test]
fn what_begins_like_a_run_in_json_is_read_as_ever() {
    let (text, numbers) = ("long ".repeat(20_000), "\"n\":1,".repeat(12_000));
    for beginning in [
        r#""meta":{"year":2020},"#.to_owned(),
        r#""meta":{"year":2020,"geo":{"lat":1.5}},"#.to_owned(),
        r#""usage":{"tokens":5},"features":{"title":{"len":3}},"#.to_owned(),
        format!(r#""meta":{{"year":2020}},"note":"{text}","#),
        format!(r#""features":{{{numbers}"m":1}},"#),
    ] {
        let record = format!("{{{beginning}\"query\":\"x\",\"documents\":[\"x\"]}}");
        for (name, record) in [("in.jsonl", record.clone()), ("in.json", record.replacen('{', "{\n", 1))] {
            let files = Files::in_memory();
            // Numbers that fill all that is looked at can't be told from scores.
            if name == "in.json" && beginning.len() > 1 << 16 && beginning.contains("\"m\"") {
                continue;
            }
            let run = rerank(&["--model", "fake", &files.write(name, &record)]);
            assert_eq!(run.status, 0, "{name}: {}: {}", &beginning[..20], run.stderr);
        }
    }
    // Only one object alone is a run.
    let files = Files::in_memory();
    let bulk = "{\"index\":{\"_id\":1}}\n{\"query\":\"x\",\"documents\":[\"x\"]}\n";
    for name in ["bulk.jsonl", "bulk.json"] {
        let run = rerank(&["--model", "fake", &files.write(name, bulk), "--on-error", "skip"]);
        assert_eq!((run.status, rankings(&run.stdout).len()), (1, 1), "{name}: {}", run.stderr);
    }
    let blank = files.write("blank.json", format!("{{\n{}\"query\":\"x\",\"documents\":[\"x\"]}}", " ".repeat(70_000)));
    assert_eq!(rerank(&["--model", "fake", &blank]).rankings().len(), 1);
    let cut = files.write("cut.jsonl", "{\"meta\":{\"year\":2020},\"query\":\"x");
    rerank(&["--model", "fake", &cut]).fails(1, &["it is truncated"]);
}

#[test]
fn a_long_run_in_json_is_known_by_its_beginning() {
    let documents: Vec<String> = (0..20_000).map(|number| format!("    \"d{number}\": {number}.5")).collect();
    let scores = format!("{{\n  \"q\": {{\n{}\n  }},\n  \"r\": {{\"a\": 1}}\n}}\n", documents.join(",\n"));
    let run = ranked("scores.json", &scores, &["--on-error", "skip", "--quiet"]);
    assert_eq!(texts(&run), json!([["red planet", []], ["blue", [["a", "blue"]]]]));
    assert!(run.stderr.contains("scores.json:1: query \"q\", candidate \"d19999\": the collection "));
}

#[test]
fn rows_of_ids_are_gathered_and_passed_over_when_a_run_goes_on() {
    let rows = "query_id,id\nq,a\nr,a\nq,7\n";
    let gathered = ranked("in.csv", rows, &["--group"]);
    assert_eq!(texts(&gathered), expected(), "{}", gathered.stderr);
    for (name, input) in
        [("in.json", "{\"q\":{\"a\":2,\"7\":1},\"r\":{\"a\":1}}"), ("in.csv", "query_id,id\nq,a\nq,7\nr,a\n")]
    {
        let files = Files::in_memory();
        let input = files.write(name, input);
        let (queries, collection) = (files.write("queries.tsv", QUERIES), files.write("corpus.jsonl", COLLECTION));
        let output = files.name("out.jsonl");
        let options =
            ["--model", "fake", &input, "--queries", &queries, "--collection", &collection, "--output", &output];
        assert_eq!(rerank(&options).status, 0);
        let whole = std::fs::read_to_string(&output).unwrap();
        std::fs::write(&output, &whole[..whole.find('\n').unwrap() + 1]).unwrap();
        let resumed = rerank(&[&options[..], &["--resume"]].concat());
        assert_eq!((resumed.status, std::fs::read_to_string(&output).unwrap()), (0, whole), "{}", resumed.stderr);
    }
}
