//! `rerank eval`: whole evaluations of runs by judgements.

use serde_json::Value;

use crate::fixture::{Files, Run, rerank, rerank_on};

const QRELS: &str = "q1 0 a 2\nq1 0 b 0\nq1 0 c 1\nq2 0 a 1\nq2 0 x 0\nq3 0 a 1\n";
const RUN: &str = "q1 Q0 b 1 3.0 bm25\nq1 Q0 a 2 2.0 bm25\nq1 Q0 u 3 2.0 bm25\nq1 Q0 c 4 1.0 bm25\n\
                   q2 Q0 a 1 3.0 bm25\nq2 Q0 x 2 1.5 bm25\nq9 Q0 a 1 1 bm25\n";

fn eval(files: &Files, run: &str, arguments: &[&str]) -> Run {
    let (qrels, run) = (files.write("qrels.txt", QRELS), files.write("bm25.trec", run));
    rerank(&[&["eval", "--qrels", &qrels, &run], arguments].concat())
}

fn objects(run: &Run) -> Vec<Value> {
    run.rankings()
}

#[test]
fn a_table_has_the_values_and_standard_error_what_was_left_out() {
    let run = eval(&Files::new(), RUN, &["--measures", "RR@10, AP P_2"]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    // Behind b comes u and then a: ties are ordered by descending id.
    assert_eq!(
        run.stdout,
        "run   queries   ties   RR@10      AP     P@2\nbm25        2  25.0%  0.6667  0.7083  0.2500\n"
    );
    let coverage = "bm25: has 2 of 3 queries that were judged, the others do not count (--complete counts them with empty \
                    rankings); 1 query of the run has no judgements\n";
    assert_eq!(run.stderr, coverage);
}

#[test]
fn the_readme_shows_the_table_of_a_first_stage_and_its_reranking() {
    let files = Files::new();
    let output = files.name("ranked.jsonl");
    let candidates = "testdata/candidates.jsonl";
    assert_eq!(
        rerank(&["--model", "testdata/tiny-reranker", "--dtype", "f32", candidates, "--output", &output]).status,
        0
    );
    let run =
        rerank(&["eval", "--qrels", "testdata/candidates.qrels", "--measures", "nDCG@10,RR", candidates, &output]);
    let readme = std::fs::read_to_string("README.md").unwrap();
    let expected = run.stderr + &run.stdout;
    assert!(readme.contains(&expected), "README.md should show:\n{expected}");
}

#[test]
fn missing_queries_count_with_empty_rankings_if_that_is_wanted() {
    let files = Files::new();
    let run = eval(&files, RUN, &["--measures", "RR", "--complete", "--format", "jsonl", "--per-query"]);
    assert!(run.stderr.contains("the others count with empty rankings;"), "{}", run.stderr);
    let objects = objects(&run);
    assert_eq!(objects[2]["query_id"], "q3");
    assert_eq!(objects[2]["RR"], 0.0);
    assert_eq!((&objects[3]["queries"], &objects[3]["queries_lacking"]), (&3.into(), &1.into()));
    assert!((objects[3]["RR"].as_f64().unwrap() - 4. / 9.).abs() < 1e-12, "{}", objects[3]);
    let quiet = eval(&files, RUN, &["--quiet"]);
    assert_eq!((quiet.status, quiet.stderr.as_str()), (0, ""));
}

#[test]
fn depth_and_level_are_those_of_trec_eval() {
    let files = Files::new();
    let value = |arguments: &[&str]| {
        let run = eval(&files, RUN, &[&["--measures", "RR", "--format", "csv"], arguments].concat());
        run.stdout.lines().last().unwrap().rsplit_once(',').unwrap().1.parse::<f64>().unwrap()
    };
    assert!((value(&[]) - (1. / 3. + 1.) / 2.).abs() < 1e-12);
    assert!((value(&["-M", "2"]) - 0.5).abs() < 1e-12);
    assert!((value(&["-l", "2"]) - 1. / 6.).abs() < 1e-12);
}

/// Our own outputs of one ranking, and what others make of it, have the same values.
#[test]
fn all_forms_of_a_ranking_have_the_same_values() {
    let files = Files::new();
    let mut runs = Vec::new();
    for name in ["r.jsonl.gz", "r.trec", "r.csv", "r.tsv.zst", "m.msmarco"] {
        let output = files.name(name);
        let format: &[&str] = if name == "m.msmarco" { &["--output-format", "msmarco"] } else { &[] };
        let arguments = [&["--model", "fake", "--output", &output, "testdata/candidates.jsonl"], format].concat();
        assert_eq!(rerank(&arguments).status, 0);
        runs.push(format!("{name}={output}"));
    }
    let ranking = rerank(&["--model", "fake", "testdata/candidates.jsonl"]).rankings();
    let mut qrels = String::new();
    for query in &ranking {
        for (place, result) in query["results"].as_array().unwrap().iter().enumerate() {
            qrels += &format!(
                "{}\t0\t{}\t{}\n",
                query["query_id"].as_str().unwrap(),
                result["id"].as_str().unwrap(),
                place % 3
            );
        }
    }
    let qrels = files.write("qrels", qrels);
    let runs: Vec<&str> = runs.iter().map(String::as_str).collect();
    let run = rerank(
        &[
            &["eval", "--qrels", &qrels, "--measures", "nDCG AP RR(rel=2) Bpref", "--format", "csv", "--test", "none"],
            &runs[..],
        ]
        .concat(),
    );
    assert_eq!(run.status, 0, "{}", run.stderr);
    let values: Vec<&str> = run.stdout.lines().skip(1).map(|line| line.split_once(",all,").unwrap().1).collect();
    assert_eq!(values.len(), 5);
    assert!(values.iter().all(|other| *other == values[0] && other.split(',').count() == 4), "{}", run.stdout);
}

#[test]
fn runs_are_compared_over_the_queries_that_all_have() {
    let files = Files::new();
    let query = |query: usize, good: bool| {
        let [first, second] = if good { ["a", "b"] } else { ["b", "a"] };
        format!("{query} Q0 {first} 1 2 t\n{query} Q0 {second} 2 1 t\n")
    };
    let qrels = files.write("qrels", (0..12).map(|query| format!("{query} 0 a 1\n")).collect::<String>());
    let worse = files.write("worse.trec", (0..12).map(|number| query(number, number == 0)).collect::<String>());
    let better = files.write("better.trec", (0..11).map(|number| query(number, number != 1)).collect::<String>());
    let arguments = ["eval", "--qrels", &qrels, "--measures", "RR", &worse, &better];
    let run = rerank(&[&arguments[..], &["--format", "jsonl"]].concat());
    assert!(
        run.stderr.contains("note: the runs are compared over the 11 queries that all of them have"),
        "{}",
        run.stderr
    );
    let found = objects(&run);
    let difference = &found[1]["comparison"]["measures"]["RR"];
    assert_eq!(found[1]["comparison"]["baseline"], "worse");
    assert!(found[0].get("comparison").is_none());
    assert_eq!([&difference["wins"], &difference["ties"], &difference["losses"]], [9, 2, 0]);
    assert!((difference["difference"].as_f64().unwrap() - 4.5 / 11.).abs() < 1e-12, "{difference}");
    assert!(difference["p"].as_f64().unwrap() < 0.001, "{difference}");
    let exact =
        rerank(&[&arguments[..], &["--format", "jsonl", "--test", "randomisation", "--baseline", "better"]].concat());
    let difference = &objects(&exact)[0]["comparison"]["measures"]["RR"];
    // All nine differences have one sign in 2 of 2⁹ draws.
    assert!((difference["p"].as_f64().unwrap() - 2. / 512.).abs() < 1e-12, "{difference}");
    assert_eq!(difference["losses"], 9);
    let table = rerank(&arguments);
    assert!(table.stdout.contains("against worse  measure  difference"), "{}", table.stdout);
    assert!(table.stdout.contains("9/2/0") && table.stdout.contains("* marks p < 0.05"), "{}", table.stdout);
    let complete = objects(&rerank(&[&arguments[..], &["--format", "jsonl", "--complete"]].concat()));
    assert_eq!((&complete[0]["queries"], &complete[1]["queries"]), (&12.into(), &12.into()));
}

#[test]
fn what_runs_differ_by_is_what_the_table_shows() {
    let files = Files::new();
    let (qrels, run) = (files.write("qrels", QRELS), files.write("bm25.trec", RUN));
    let other = files.write("other.trec", "q1 Q0 a 1 3 t\nq2 Q0 x 1 3 t\nq2 Q0 a 2 2 t\n");
    let arguments = ["eval", "--qrels", &qrels, "--measures", "gm_map NumRet", &run, &other];
    let found = objects(&rerank(&[&arguments[..], &["--format", "jsonl"]].concat()));
    let compared = &found[1]["comparison"]["measures"];
    assert_eq!((&found[0]["NumRet"], &found[1]["NumRet"]), (&6.into(), &3.into()));
    assert_eq!(compared["NumRet"]["difference"], -3.0);
    assert!(found[1]["gm_map"].is_number() && compared.get("gm_map").is_none(), "{compared}");
    let table = rerank(&arguments).stdout;
    assert!(table.contains("not compared: gm_map,") && table.contains("95% confidence by Student's t\n"), "{table}");
}

#[test]
fn a_name_that_was_given_stands_in_trec_evals_layout() {
    let files = Files::new();
    let (qrels, run) = (files.write("qrels", QRELS), files.write("bm25.trec", RUN));
    let named = format!("mine={run}");
    let printed = rerank(&["eval", "--qrels", &qrels, "--format", "trec", "--measures", "RR", &run, &named]).stdout;
    let names: Vec<&str> = printed.lines().filter(|line| line.starts_with("runid")).collect();
    assert!(names[0].ends_with("\tbm25") && names[1].ends_with("\tmine"), "{printed}");
}

#[test]
fn standard_input_is_a_run_or_the_judgements() {
    let files = Files::new();
    let (qrels, run) = (files.write("qrels", QRELS), files.write("bm25.trec", RUN));
    let expected = rerank(&["eval", "--qrels", &qrels, &run, "--format", "trec"]).stdout;
    assert!(expected.starts_with("runid                 \tall\tbm25\nnum_q                 \tall\t2\n"), "{expected}");
    assert_eq!(rerank_on(RUN, &["eval", "--qrels", &qrels, "-", "--format", "trec"]).stdout, expected);
    assert_eq!(rerank_on(QRELS, &["eval", "--qrels", "-", &run, "--format", "trec"]).stdout, expected);
    rerank(&["eval", "--qrels", "-", "-"]).fails(2, &["standard input can be one file"]);
}

#[test]
fn bad_files_and_options_are_named_with_the_remedy() {
    let files = Files::new();
    let (qrels, run) = (files.write("qrels", QRELS), files.write("bm25.trec", RUN));
    let other = files.write("other.trec", "301 Q0 a 1 2 t\n");
    let empty = files.write("empty.trec", "\n");
    let twice = files.write("twice.trec", "q1 Q0 a 1 2 t\nq1 Q0 a 2 1 t\n");
    let unknown = files.write("unknown.trec", "q1 Q0 doc-1 1 2 t\n");
    let parquet = files.write("qrels.parquet", "PAR1....");
    let short = files.write("short.trec", "q1 Q0 a 1 2\n");
    let comma = files.write("comma.trec", "q1 Q0 a 1 12,5 t\n");
    let again = files.write(
        "again.jsonl",
        "{\"query_id\":\"q1\",\"results\":[{\"id\":\"a\"}]}\n\n{\"query_id\":\"q1\",\"results\":[{\"id\":\"b\"}]}\n",
    );
    let large = files.write("large", "q1 0 a 1\nq1 0 c 2000\n");
    for (arguments, status, parts) in [
        (&["--qrels", &qrels, &other][..], 1, &["no query of", "such as \"301\"", "such as \"q1\""][..]),
        (&["--qrels", &qrels, &empty], 1, &["empty.trec is empty"]),
        (&["--qrels", &empty, &run], 1, &["empty.trec is empty: it holds no judgements"]),
        (
            &["--qrels", &qrels, &twice],
            1,
            &["twice.trec:2: query \"q1\" has the document \"a\" twice, first on line 1"],
        ),
        (&["--qrels", &run, &run], 1, &["a run is named without --qrels"]),
        (&["--qrels", &parquet, &run], 1, &["a Parquet file"]),
        (&["--qrels", "nowhere", &run], 2, &["--qrels: there is no file nowhere"]),
        (&["--qrels", &qrels, "nowhere"], 2, &["there is no file nowhere"]),
        (&["--qrels", &qrels, &run, "--measures", "nDGC@10"], 2, &["--measures nDGC@10", "nDCG"]),
        (&["--qrels", &qrels, &run, "--measures", "AP(rel=2)", "--level", "2"], 2, &["--level and rel= in --measures"]),
        (&["--qrels", &qrels, &run, "--baseline", "x"], 2, &["--baseline: there is one run"]),
        (&["--qrels", &qrels, &short], 1, &["short.trec:1: the line has 5 fields, a run has six"]),
        (&["--qrels", &qrels, &comma], 1, &["comma.trec:1: the score \"12,5\" is not a number", "decimal point"]),
        (&["--qrels", &qrels, &again], 1, &["again.jsonl:3: query \"q1\" stands here for the second time"]),
        (
            &["--qrels", &qrels, &run, "--input-format", "jsonl"],
            1,
            &["bm25.trec:1: is not JSON", "it looks like a line of a TREC run, which --input-format trec reads"],
        ),
        (&["--qrels", &qrels, &other, "--input-format", "jsonl"], 1, &["other.trec:1: the line is no JSON object"]),
        (
            &["--qrels", &large, &run, "--measures", "nDCG(dcg='exp-log2')@10"],
            1,
            &["large: query \"q1\" with the document \"c\": nDCG(dcg='exp-log2')@10", "the grade 2000"],
        ),
        (&["--qrels", &large, &run, "--measures", "ERR"], 1, &["\"c\": ERR", "max_rel=2000"]),
        (&["--qrels", &qrels, &run, "--test", "t"], 2, &["--test: there is one run"]),
        (&["--qrels", &qrels, &run, &other, "--test", "t", "--format", "trec"], 2, &["--test: trec_eval's layout"]),
        (&["--qrels", &qrels, &run, "--tune-fusion", "--measures", "gm_map"], 2, &["gm_map is none"]),
        (&["--qrels", &qrels, &run, &other, "--baseline", "x"], 2, &["--baseline x", "the runs are bm25, other"]),
        (&["--qrels", &qrels, &run, "--per-query", "--format", "latex"], 2, &["--per-query: the table in LaTeX"]),
        (&["--qrels", &qrels, &run, &run], 2, &["two runs are called"]),
        (&["--qrels", &qrels], 2, &["RUN"]),
        (&[&run], 2, &["--qrels"]),
    ] {
        rerank(&[&["eval"], arguments].concat()).fails(status, parts);
    }
    let run = rerank(&["eval", "--qrels", &qrels, &unknown]);
    assert_eq!(run.status, 0);
    assert!(
        run.stderr.contains("warning: no document of") && run.stderr.contains("same identifiers"),
        "{}",
        run.stderr
    );
}
