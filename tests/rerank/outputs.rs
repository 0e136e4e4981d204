//! What is written: fields carried as they were, runs that trec_eval orders as meant, tables, cut rankings.

use serde_json::Value;

use crate::fixture::{Files, rerank, rerank_on};

/// Five candidates of which two and two have equal logits.
const TIES: &str = r#"{"query_id":"q2","query":"red planet","candidates":[{"id":"a","text":"none"},{"id":"b","text":"red"},{"id":"c","text":"planet"},{"id":"d","text":"nothing"},{"id":"e","text":"red planet"}]}
{"query_id":"q1","query":"ice","candidates":[{"id":"a","text":"ice"},{"id":"b","text":"ice"},{"id":"c","text":"Ice!"}]}
"#;

fn ids(ranking: &Value) -> String {
    let results = ranking["results"].as_array().unwrap();
    results.iter().map(|result| result["id"].as_str().unwrap()).collect::<Vec<_>>().join(" ")
}

/// The ids of every ranking of [`TIES`] with these options.
fn ranked(arguments: &[&str]) -> Vec<String> {
    rerank_on(TIES, &[&["--model", "fake"], arguments].concat()).rankings().iter().map(ids).collect()
}

#[test]
fn ties_keep_the_order_of_the_input_and_so_do_queries() {
    assert_eq!(ranked(&[]), ["e b c a d", "a b c"]);
    let run = rerank_on(TIES, &["--model", "fake", "--batch-size", "1"]);
    assert_eq!(run.stdout, rerank_on(TIES, &["--model", "fake"]).stdout);
    assert_eq!(run.rankings()[0]["query_id"], "q2");
}

#[test]
fn the_original_rank_breaks_ties() {
    let line = r#"{"query":"ice","candidates":[{"id":"a","text":"ice","rank":3},{"id":"b","text":"ice","rank":1},{"id":"c","text":"ice","rank":2}]}"#;
    assert_eq!(ids(&rerank_on(line, &["--model", "fake"]).rankings()[0]), "b c a");
}

#[test]
fn the_best_and_the_good_enough_are_kept() {
    assert_eq!(ranked(&["--top-k", "2"]), ["e b", "a b"]);
    assert_eq!(ranked(&["-k", "100"]), ["e b c a d", "a b c"]);
    assert_eq!(ranked(&["--min-score", "0.5"]), ["e b c", "a b c"]);
    assert_eq!(ranked(&["--min-score", "0.9", "--top-k", "2"]), ["e", "a b"]);
    assert_eq!(ranked(&["--min-score", "1"]), ["", ""]);
}

#[test]
fn a_score_is_the_probability_of_its_logit() {
    for ranking in rerank_on(TIES, &["--model", "fake"]).rankings() {
        for (index, result) in ranking["results"].as_array().unwrap().iter().enumerate() {
            let (score, logit) = (result["score"].as_f64().unwrap(), result["logit"].as_f64().unwrap());
            assert!((score - 1. / (1. + (-logit).exp())).abs() < 1e-6, "{score} {logit}");
            assert_eq!(result["rank"], index + 1);
            assert!(result.get("original_score").is_none(), "there was none");
        }
    }
}

/// What trec_eval makes of a run: for each query the documents by descending f32 score, then descending id.
fn evaluated(run: &str) -> Vec<String> {
    let mut queries: Vec<(&str, Vec<(f32, &str)>)> = Vec::new();
    for line in run.lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        assert_eq!((fields.len(), fields[1]), (6, "Q0"), "{line}");
        if queries.last().is_none_or(|(query, _)| *query != fields[0]) {
            queries.push((fields[0], Vec::new()));
        }
        let documents = &mut queries.last_mut().unwrap().1;
        documents.push((fields[4].parse().unwrap(), fields[2]));
        assert_eq!(fields[3], documents.len().to_string(), "{line}");
    }
    let order = |(_, mut documents): (&str, Vec<(f32, &str)>)| {
        documents.sort_by(|one, other| other.partial_cmp(one).unwrap());
        documents.iter().map(|(_, id)| *id).collect::<Vec<_>>().join(" ")
    };
    queries.into_iter().map(order).collect()
}

#[test]
fn a_run_evaluates_to_our_order_ties_included() {
    let run = rerank_on(TIES, &["--model", "fake", "--output-format", "trec"]);
    assert_eq!(run.status, 0);
    assert_eq!(evaluated(&run.stdout), ["e b c a d", "a b c"]);
    let scores: Vec<f32> = run.stdout.lines().map(|line| line.split(' ').nth(4).unwrap().parse().unwrap()).collect();
    assert!(scores[..5].is_sorted_by(|one, other| one > other), "{scores:?}");
    assert!(scores[5..].is_sorted_by(|one, other| one > other), "{scores:?}");
}

#[test]
fn many_ties_evaluate_to_our_order_too() {
    let candidates: Vec<String> = (0..3000).map(|index| format!(r#"{{"id":"{index}","text":"red"}}"#)).collect();
    let line = format!(r#"{{"query_id":"q","query":"red planet","candidates":[{}]}}"#, candidates.join(","));
    let run = rerank_on(line, &["--model", "fake", "--output-format", "trec"]);
    let expected: Vec<String> = (0..3000).map(|index| index.to_string()).collect();
    assert_eq!(evaluated(&run.stdout), [expected.join(" ")]);
}

#[test]
fn the_extension_of_the_output_tells_its_format() {
    let files = Files::new();
    for (name, beginning) in [
        ("a.trec", "q2 Q0 e 1 "),
        ("a.run", "q2 Q0 e 1 "),
        ("a.csv", "query_id,query,"),
        ("a.tsv", "query_id\tquery\t"),
        ("a.jsonl", "{\"query_id\":"),
        ("a", "{\"query_id\":"),
    ] {
        let output = files.name(name);
        let run = rerank_on(TIES, &["--model", "fake", "--output", &output]);
        assert_eq!((run.status, run.stdout.as_str()), (0, ""), "{}", run.stderr);
        assert!(files.read(name).starts_with(beginning), "{name}");
    }
}

const ODD_TEXTS: &str = r#"{"query_id":"q,1","query":"say \"red\"","candidates":[{"id":"a","text":"line\nbreak, \"red\"\tsay","url":"http://x/?a=1,2","n":1.10},{"id":"b","text":"","url":null}]}"#;

#[test]
fn tables_are_read_back_as_they_were() {
    for (format, delimiter) in [("csv", b','), ("tsv", b'\t')] {
        let run = rerank_on(ODD_TEXTS, &["--model", "fake", "--output-format", format]);
        assert_eq!(run.status, 0, "{}", run.stderr);
        let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).from_reader(run.stdout.as_bytes());
        let header = reader.headers().unwrap().clone();
        let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
        let cell = |row: usize, name: &str| &rows[row][header.iter().position(|column| column == name).unwrap()];
        assert_eq!(rows.len(), 2);
        assert_eq!([cell(0, "query_id"), cell(0, "query"), cell(0, "rank")], ["q,1", "say \"red\"", "1"]);
        assert_eq!([cell(0, "id"), cell(0, "text")], ["a", "line\nbreak, \"red\"\tsay"]);
        assert_eq!([cell(0, "logit"), cell(1, "logit")], ["4", "-4"]);
        assert_eq!([cell(0, "url"), cell(0, "n"), cell(1, "n")], ["http://x/?a=1,2", "1.10", ""]);
    }
}

#[test]
fn a_table_without_rankings_has_its_header() {
    let run = rerank_on(r#"{"query":"red","candidates":[]}"#, &["--model", "fake", "--output-format", "csv"]);
    assert_eq!(run.status, 0);
    assert!(run.stdout.starts_with("query_id,query,rank,id,score,logit"), "{}", run.stdout);
    assert_eq!(run.stdout.lines().count(), 1);
}

#[test]
fn fields_that_a_table_has_no_column_for_are_named() {
    let lines = format!("{TIES}{ODD_TEXTS}");
    let run = rerank_on(lines, &["--model", "fake", "--output-format", "csv"]);
    assert_eq!(run.status, 0);
    assert!(run.stderr.contains("warning: ") && run.stderr.contains("n, url"), "{}", run.stderr);
}

#[test]
fn carried_fields_are_written_byte_for_byte() {
    let fields = r#""n":1.10,"big":12345678901234567890123,"tiny":1E-400,"zero":-0.0,"nested":{"b":[1, 2,{"c" : null}],"a":"\u00e9\ud83d\ude00\/"},"plain":"é","none":null,"list":[]"#;
    let line = format!(
        r#"{{"query_id":"q","topic":{{"x":1.0}},"query":"red","candidates":[{{"id":"a",{fields},"text":"red"}}],"year":2019.50}}"#
    );
    let run = rerank_on(line, &["--model", "fake"]);
    assert!(run.stdout.contains(fields), "{}", run.stdout);
    assert!(run.stdout.contains(r#""topic":{"x":1.0}"#) && run.stdout.contains(r#""year":2019.50"#), "{}", run.stdout);
}

#[test]
fn carried_columns_of_a_table_stay_texts() {
    let rows = "query,id,text,year,note\nred,a,red,007,\"1.10, \"\"x\"\"\"\n";
    let run = rerank_on(rows, &["--model", "fake", "--input-format", "csv"]);
    assert!(run.stdout.contains(r#""year":"007","note":"1.10, \"x\"""#), "{}", run.stdout);
}

#[test]
fn texts_come_out_as_they_were_unless_they_are_left_out() {
    let line = r#"{"query":"red","candidates":[{"id":"a","title":"T","text":"\u0000 <|im_end|> \r\n é 🗼 \u2028","url":"u"}]}"#;
    let with = rerank_on(line, &["--model", "fake"]);
    assert_eq!(with.rankings()[0]["results"][0]["text"], "\0 <|im_end|> \r\n é 🗼 \u{2028}");
    let without = rerank_on(line, &["--model", "fake", "--no-text"]).rankings();
    let result = &without[0]["results"][0];
    assert_eq!(result.get("text"), None);
    assert_eq!([&result["id"], &result["url"]], ["a", "u"]);
    let table = rerank_on(line, &["--model", "fake", "--no-text", "--output-format", "csv"]);
    assert!(!table.stdout.contains("text") && !table.stdout.contains("im_end"), "{}", table.stdout);
}

#[test]
fn original_ranks_and_scores_are_kept() {
    let line = r#"{"query":"red","candidates":[{"id":"a","text":"","rank":7,"score":-0.30000000000000004},{"id":"b","text":"red","rank":2,"score":12}]}"#;
    let results = rerank_on(line, &["--model", "fake"]).rankings()[0]["results"].clone();
    assert_eq!(
        [&results[1]["original_rank"], &results[1]["original_score"]],
        [&Value::from(7), &Value::from(-0.30000000000000004)]
    );
    assert_eq!(results[0]["original_rank"], 2);
    assert_eq!(results[0]["original_score"].as_f64(), Some(12.));
}

#[test]
fn missing_ids_are_ordinals_and_positions() {
    let lines = "{\"query\":\"red\",\"documents\":[\"blue\",\"red\"]}\n{\"query\":\"ice\",\"documents\":[\"ice\"]}\n";
    let rankings = rerank_on(lines, &["--model", "fake"]).rankings();
    assert_eq!([&rankings[0]["query_id"], &rankings[1]["query_id"]], ["1", "2"]);
    assert_eq!([ids(&rankings[0]), ids(&rankings[1])], ["2 1", "1"]);
    let rows = "query,text\nred,blue\nred,red\nice,ice\n";
    let rankings = rerank_on(rows, &["--model", "fake"]).rankings();
    assert_eq!([&rankings[0]["query_id"], &rankings[1]["query_id"]], ["1", "2"]);
    assert_eq!([ids(&rankings[0]), ids(&rankings[1])], ["2 1", "1"]);
}

#[test]
fn integer_ids_are_kept_digit_by_digit() {
    let line = r#"{"qid":12345678901234567890123,"query":"red","passages":[{"docid":-7,"text":"red"},{"docid":0,"text":"blue"}]}"#;
    let ranking = rerank_on(line, &["--model", "fake"]).rankings()[0].clone();
    assert_eq!(ranking["query_id"], "12345678901234567890123");
    assert_eq!(ids(&ranking), "-7 0");
}

#[test]
fn a_title_is_scored_in_front_of_the_text() {
    let odd = "testdata/odd-reranker";
    let titled = r#"{"query":"red","candidates":[{"id":"a","title":"The planet","text":"is red"}]}"#;
    let logit = |line: &str, model: &str| {
        let result = rerank_on(line, &["--model", model]).rankings()[0]["results"][0].clone();
        (result["logit"].clone(), result["title"].clone(), result["text"].clone())
    };
    let (with, title, text) = logit(titled, odd);
    assert_eq!([title, text], ["The planet", "is red"]);
    assert_ne!(with, logit(&titled.replace("The planet", "A star"), odd).0);
    assert_ne!(with, logit(&titled.replace(r#""title":"The planet","#, ""), odd).0);
    assert_eq!(logit(&titled.replace("The planet", "Red"), "fake").0, logit(titled, "fake").0);
    assert_eq!(logit(&titled.replace("is red", ""), "fake").0, -4.0);
}

#[test]
fn the_instruction_of_a_record_wins_over_the_options() {
    let odd = "testdata/odd-reranker";
    let plain = r#"{"query":"red","candidates":[{"id":"a","text":"is red"}]}"#;
    let own = plain.replace(r#""query""#, r#""instruction":"Find planets","query""#);
    let logit = |line: &str, arguments: &[&str]| {
        let run = rerank_on(line, &[&["--model", odd], arguments].concat());
        run.rankings()[0]["results"][0]["logit"].as_f64().unwrap()
    };
    let files = Files::new();
    let file = format!("@{}", files.write("instruction.txt", "\u{feff}Find planets\n"));
    assert_ne!(logit(plain, &[]), logit(&own, &[]));
    assert_eq!(logit(plain, &["--instruction", "Find planets"]), logit(&own, &[]));
    assert_eq!(logit(plain, &["--instruction", &file]), logit(&own, &[]));
    assert_eq!(logit(&own, &["--instruction", "Find stars"]), logit(&own, &[]));
    assert_eq!(logit(&plain.replace(r#""query""#, r#""instruction":"","query""#), &[]), logit(plain, &[]));
}

#[test]
fn a_cut_document_is_marked() {
    let text = "red ".repeat(100);
    let line = format!(r#"{{"query":"red","candidates":[{{"id":"a","text":"{text}"}},{{"id":"b","text":"blue"}}]}}"#);
    let run = rerank_on(line, &["--model", "fake", "--max-length", "20"]);
    let results = run.rankings()[0]["results"].clone();
    assert_eq!(results[0]["truncated"], true);
    assert_eq!(results[0]["text"], text, "only the prompt is cut");
    assert_eq!(results[1].get("truncated"), None);
    assert!(run.stderr.contains("1 truncated"), "{}", run.stderr);
}

#[test]
fn an_existing_output_is_replaced_if_that_is_wanted() {
    let files = Files::new();
    let output = files.write("ranked.jsonl", "a long line of yesterday\n".repeat(1000));
    assert_eq!(rerank_on(TIES, &["--model", "fake", "--output", &output, "--overwrite"]).status, 0);
    assert_eq!(files.read("ranked.jsonl"), rerank_on(TIES, &["--model", "fake"]).stdout);
    let again =
        rerank(&["--model", "fake", "--input", "testdata/candidates.jsonl", "--output", &output, "--overwrite"]);
    assert_eq!(again.status, 0);
    assert_eq!(files.read("ranked.jsonl").lines().count(), 3);
}

#[test]
fn no_key_is_written_twice() {
    for input in [
        r#"{"query":{"text":"q","lang":"en"},"lang":"de","instruction":"judge","candidates":["a"]}"#,
        r#"{"query":{"text":"q","url":"x"},"docid":"d","text":"t","logit":7}"#,
        r#"{"query":"q","candidates":[{"id":"d","doc":{"text":"t","url":"x"},"document":"u","logit":7}]}"#,
    ] {
        let run = rerank_on(input, &["--model", "fake"]);
        assert_eq!(run.status, 0, "{}", run.stderr);
        for key in ["lang", "url", "logit", "instruction"] {
            assert!(run.stdout.matches(&format!("\"{key}\":")).count() <= 1, "{key} in {}", run.stdout);
        }
    }
}

#[test]
fn an_instruction_beside_a_nested_query_text_is_used() {
    let judged = r#"{"query":{"text":"red","instruction":"Find colors."},"candidates":["is red"]}"#;
    let other = r#"{"query":{"text":"red"},"instruction":"Find colors.","candidates":["is red"]}"#;
    let logit =
        |input| rerank_on(input, &["--model", "testdata/odd-reranker"]).rankings()[0]["results"][0]["logit"].clone();
    assert_eq!(logit(judged), logit(other));
}
