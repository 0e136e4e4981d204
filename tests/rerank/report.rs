//! `rerank eval --report`: the page, by the data that stands in it.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::fixture::{Files, rerank, rerank_on};

/// What stands between two parts of a text.
fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    text.split_once(before).unwrap().1.split_once(after).unwrap().0
}

fn data(page: &str) -> Value {
    serde_json::from_str(between(page, "<script type=\"application/json\" id=\"data\">", "</script>")).unwrap()
}

/// Qrels and two runs of so many queries with four documents each, whose order differs.
fn runs(files: &Files, queries: usize) -> [String; 3] {
    let (mut qrels, mut first, mut second) = (String::new(), String::new(), String::new());
    for query in 0..queries {
        for (place, document) in ["a", "b", "c", "d"].into_iter().enumerate() {
            qrels += &format!("q{query} 0 {document} {}\n", (query + place) % 3);
            first += &format!("q{query} Q0 {document} 1 {} t\n", 9 - place);
            second += &format!("q{query} Q0 {document} 1 {} t\n", (query * 7 + place * 5) % 11);
        }
    }
    [files.write("qrels", qrels), files.write("first.trec", first), files.write("second.trec", second)]
}

#[test]
fn a_page_has_the_numbers_of_the_evaluation() {
    let files = Files::new();
    let [qrels, first, second] = runs(&files, 30);
    let page = files.name("report.html");
    let arguments = [
        "eval",
        "--qrels",
        &qrels,
        &first,
        &second,
        "--format",
        "jsonl",
        "--per-query",
        "-m",
        "nDCG@3 RR(rel=2) NumRet",
    ];
    let run = rerank(&[&arguments[..], &["--report", &page]].concat());
    assert_eq!((run.status, &run.stdout), (0, &rerank(&arguments).stdout), "{}", run.stderr);
    let data = data(&files.read("report.html"));
    let objects = run.rankings();
    assert_eq!(
        (&data["baseline"], &data["queries"], &data["test"]),
        (&0.into(), &Value::Null, &"two-sided paired t-test".into())
    );
    for (place, name) in ["first", "second"].into_iter().enumerate() {
        let shown = &data["runs"][place];
        let summary = objects.iter().find(|object| object["run"] == name && object.get("query_id").is_none()).unwrap();
        let queries: Vec<&Value> =
            objects.iter().filter(|object| object["run"] == name && object.get("query_id").is_some()).collect();
        for (measure, named) in ["nDCG@3", "RR(rel=2)", "NumRet"].into_iter().enumerate() {
            assert_eq!(data["measures"][measure]["name"], named);
            assert_eq!(shown["summary"][measure].as_f64(), summary[named].as_f64(), "{name} {named}");
            for (query, object) in queries.iter().enumerate() {
                assert_eq!(data["query_ids"][query], object["query_id"]);
                let (value, exact) = (&shown["values"][measure][query], &object[named]);
                assert!((value.as_f64().unwrap() - exact.as_f64().unwrap()).abs() < 1e-6, "{name} {named} {query}");
            }
            let differences = &shown["differences"][measure];
            if name == "second" {
                assert_eq!(differences, &summary["comparison"]["measures"][named]);
            }
        }
    }
}

#[test]
fn a_page_fetches_nothing_and_runs_nothing_but_its_own_script() {
    let files = Files::new();
    let [qrels, first, second] = runs(&files, 3);
    assert_eq!(rerank(&["eval", "--qrels", &qrels, &first, &second, "--report", &files.name("report.html")]).status, 0);
    let page = files.read("report.html");
    let hash = |text: &str| format!("'sha256-{}'", BASE64_STANDARD.encode(Sha256::digest(text)));
    let policy = between(&page, "Content-Security-Policy\" content=\"", "\"");
    let (script, style) =
        (between(&page, "<script type=\"module\">", "</script>"), between(&page, "<style>", "</style>"));
    assert!(policy.starts_with("default-src 'none';"), "{policy}");
    assert!(
        policy.contains(&format!("script-src {};", hash(script)))
            && policy.contains(&format!("style-src {};", hash(style))),
        "{policy}"
    );
    for address in page.split("http").skip(1).filter(|rest| rest.starts_with("://") || rest.starts_with("s://")) {
        assert!(address.starts_with("://www.w3.org/2000/svg"), "{}", &address[..60.min(address.len())]);
    }
    assert!(!page.contains("@import") && !page.contains("url("));
}

#[test]
fn a_single_run_is_compared_with_its_first_stage() {
    let files = Files::new();
    let input = "testdata/candidates.jsonl";
    let ranked = files.name("ranked.jsonl");
    assert_eq!(rerank(&["--model", "fake", "--output", &ranked, input]).status, 0);
    let mut qrels = String::new();
    for query in rerank(&["--model", "fake", input]).rankings() {
        for (place, result) in query["results"].as_array().unwrap().iter().enumerate() {
            qrels += &format!(
                "{} 0 {} {}\n",
                query["query_id"].as_str().unwrap(),
                result["id"].as_str().unwrap(),
                place % 3
            );
        }
    }
    let (qrels, page) = (files.write("qrels", qrels), files.name("report.html"));
    let arguments = ["eval", "--qrels", &qrels, "--measures", "nDCG AP", "--format", "jsonl"];
    let run = rerank(&[&arguments[..], &[&ranked, "--report", &page]].concat());
    assert_eq!((run.status, run.rankings().len()), (0, 1), "{}", run.stderr);
    let shown = data(&files.read("report.html"));
    // What was ranked is a run too: that of the first stage.
    let expected = rerank(&[&arguments[..], &[input, &ranked]].concat()).rankings();
    assert_eq!((&shown["runs"][0]["name"], &shown["baseline"]), (&"first stage".into(), &0.into()));
    for (measure, name) in ["nDCG", "AP"].into_iter().enumerate() {
        for (place, object) in expected.iter().enumerate() {
            assert_eq!(shown["runs"][place]["summary"][measure], object[name], "{place} {name}");
        }
        assert_eq!(shown["runs"][1]["differences"][measure], expected[1]["comparison"]["measures"][name]);
    }
    let details = &shown["details"][0];
    let text = shown["query_texts"][details["query"].as_u64().unwrap() as usize].as_str().unwrap();
    assert!(std::fs::read_to_string(input).unwrap().contains(text) && !text.is_empty());
    for document in details["documents"].as_array().unwrap() {
        assert!(
            document["ranks"][0].is_u64() && document["ranks"][1].is_u64() && document["text"].is_string(),
            "{document}"
        );
    }

    let cut = files.name("cut.jsonl");
    assert_eq!(rerank(&["--model", "fake", "--top-k", "2", "--output", &cut, input]).status, 0);
    let run = rerank(&[&arguments[..], &[&cut, "--report", &page]].concat());
    assert!(
        run.stderr.contains("note: the report has nothing to compare with") && run.stderr.contains("--top-k"),
        "{}",
        run.stderr
    );
    let shown = data(&files.read("report.html"));
    assert_eq!((&shown["baseline"], shown["runs"].as_array().unwrap().len()), (&Value::Null, 1));
    assert!(shown["no_baseline"].as_str().unwrap().contains("2 results"), "{}", shown["no_baseline"]);
}

#[test]
fn texts_stay_texts() {
    let files = Files::new();
    let attack = "</script><img src=x onerror=alert(1)><!--<script>\u{2028}\"'&{{data}}";
    let line = serde_json::json!({"query_id": attack, "query": attack, "results": [
        {"id": attack, "score": 0.75, "logit": 1.1, "title": attack, "text": attack, "original_rank": 2},
        {"id": "b", "score": 0.5, "logit": 0.0, "original_rank": 1},
    ]});
    let ranked = files.write("ranked.jsonl", line.to_string());
    let qrels = files.write("qrels", serde_json::json!({attack: {attack: 1, "b": 0}}).to_string());
    // A run's name ends at the first equals sign.
    let name = attack.replace('=', ":");
    let run = rerank(&["eval", "--qrels", &qrels, &format!("{name}={ranked}"), "--report", &files.name("report.html")]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    let page = files.read("report.html");
    assert!(!page.contains("<img") && page.matches("</script").count() == 2, "a text became markup");
    let shown = data(&page);
    assert_eq!(
        (&shown["query_ids"][0], &shown["query_texts"][0], &shown["runs"][1]["name"]),
        (&attack.into(), &attack.into(), &name.into())
    );
    let document = &shown["details"][0]["documents"][0];
    assert_eq!(
        (&document["id"], &document["title"], &document["text"]),
        (&attack.into(), &attack.into(), &attack.into())
    );
    assert_eq!((&document["ranks"], &document["grade"]), (&serde_json::json!([2, 1]), &1.into()));
    // 0.75 for the relevant one, 0.5 for the other one.
    assert_eq!(shown["runs"][1]["calibration"]["error"], 0.375);
    assert_eq!(shown["runs"][0]["calibration"], Value::Null);
    assert_eq!(shown["runs"][0]["distribution"]["is_rank"], true);
}

#[test]
fn a_page_of_many_queries_stays_small() {
    let files = Files::new();
    let [qrels, first, second] = runs(&files, 7000);
    let word = "text ".repeat(100);
    let queries = files.write("queries.tsv", (0..7000).map(|query| format!("q{query}\t{word}\n")).collect::<String>());
    let run = rerank(&[
        "eval",
        "--qrels",
        &qrels,
        &first,
        &second,
        "--queries",
        &queries,
        "--report",
        &files.name("report.html"),
        "-m",
        "all_trec",
    ]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    let page = files.read("report.html");
    assert!(page.len() < 5_000_000, "{} bytes", page.len());
    let shown = data(&page);
    assert_eq!((shown["query_ids"].as_array().unwrap().len(), &shown["measures_by_query"]), (7000, &10.into()));
    assert!(shown["details"].as_array().unwrap().len() <= 400 && shown["measures"].as_array().unwrap().len() > 60);
}

#[test]
fn texts_come_from_named_files_and_what_these_lack_is_reported() {
    let files = Files::new();
    let [qrels, first, second] = runs(&files, 3);
    let queries = files.write("queries.tsv", "q0\tzero\nq2\ttwo\n");
    let collection = files.write(
        "corpus.jsonl",
        "{\"_id\":\"a\",\"title\":\"A\",\"text\":\"first letter\"}\n{\"_id\":\"b\",\"text\":\"second\"}\n",
    );
    let run = rerank(&[
        "eval",
        "--qrels",
        &qrels,
        &first,
        &second,
        "--queries",
        &queries,
        "--collection",
        &collection,
        "--report",
        &files.name("r.html"),
    ]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    assert!(
        run.stderr.contains("queries.tsv has no text for 1 of 3 queries") && run.stderr.contains("corpus.jsonl lacks"),
        "{}",
        run.stderr
    );
    let shown = data(&files.read("r.html"));
    assert_eq!(shown["query_texts"], serde_json::json!(["zero", null, "two"]));
    let documents = shown["details"][0]["documents"].as_array().unwrap();
    let a = documents.iter().find(|document| document["id"] == "a").unwrap();
    assert_eq!((&a["title"], &a["text"]), (&"A".into(), &"first letter".into()));
}

#[test]
fn what_can_not_be_written_or_read_twice_is_refused() {
    let files = Files::new();
    let [qrels, first, second] = runs(&files, 3);
    let page = files.name("report.html");
    let eval = |arguments: &[&str]| rerank_on("", &[&["eval", "--qrels", &qrels], arguments].concat());
    eval(&["-", "--report", &page]).fails(2, &["--report: the runs are read twice", "standard input"]);
    eval(&[&first, "--report", &files.name("report.pdf")]).fails(2, &["report.pdf", "name it .html"]);
    eval(&[&first, "--queries", &second]).fails(2, &["--report"]);
    eval(&[&first, "--report", &page, "--queries", "nowhere"]).fails(2, &["--queries: there is no file nowhere"]);
    eval(&[&first, "--report", "nowhere/report.html"]).fails(2, &["cannot write to nowhere/report.html"]);
    let run = files.write("run.html", files.read("first.trec"));
    eval(&[&run, &second, "--report", &run]).fails(2, &["is read and would be written over"]);
    // A report that fails leaves none, and the next one replaces the last.
    assert!(!files.path("report.html").exists());
    for _ in 0..2 {
        assert_eq!(eval(&[&first, &second, "--report", &page]).status, 0);
    }
    let qrels_from_stdin =
        rerank_on(files.read("qrels"), &["eval", "--qrels", "-", &first, &second, "--report", &page]);
    assert_eq!(qrels_from_stdin.status, 0, "{}", qrels_from_stdin.stderr);
}
