use std::io::Cursor;

use super::*;

fn read(text: &str) -> Result<Run> {
    let mut source = Source::from_reader("run".into(), Box::new(Cursor::new(text.to_owned()))).unwrap();
    let line = source.peek_line(1000)?;
    Run::of_source(source, RunFileFormat::of_content(&line, "run")?)
}

fn order(run: &Run, query: &str) -> Vec<String> {
    run.documents(query).unwrap().iter().map(|(id, _)| id.to_owned()).collect()
}

#[test]
fn all_formats_hold_the_same_run() {
    for text in [
        "q1 Q0 a 7 0.5 t\nq2 Q0 c 1 1 t\nq1 Q0 b 9 1.5 t more\n",
        "q1 Q0 a first 0.5 t\nq2 Q0 c 1 1 t\nq1 Q0 b 9 1.5 t\n",
        "q1\ta\t0.5\nq2\tc\t1\nq1\tb\t1.5\n",
        "q1\tb\t1\nq2\tc\t1\nq1\ta\t2\n",
        "{\"query_id\":\"q1\",\"results\":[{\"id\":\"a\",\"logit\":0.5},{\"id\":\"b\",\"text\":\"x\",\"logit\":1.5}]}\n\
         {\"query_id\":\"q2\",\"results\":[{\"id\":\"c\",\"score\":1}]}",
        "{\"query_id\":\"q1\",\"query\":\"x\",\"candidates\":[{\"id\":\"b\"},{\"id\":\"a\"}]}\n\
         {\"query_id\":\"q2\",\"candidates\":[{\"id\":\"c\"}]}",
        "{\"q1\":{\"a\":0.5,\"b\":1.5},\"q2\":{\"c\":1}}",
        "{\"mteb_model_meta\":{\"revision\":{}},\n\"default\":{\"test\":{\"q1\":{\"a\":0.5,\"b\":1.5},\"q2\":{\"c\":1}}}}",
        "qid,docno,score\nq1,a,0.5\nq2,c,1\nq1,b,1.5\n",
        "query_id\tid\trank\nq1\ta\t2\nq2\tc\t1\nq1\tb\t1\n",
    ] {
        let run = read(text).unwrap();
        assert_eq!(run.queries().iter().map(|query| &*query.id).collect::<Vec<_>>(), ["q1", "q2"], "{text}");
        assert_eq!((order(&run, "q1"), order(&run, "q2")), (vec!["b".into(), "a".into()], vec!["c".into()]), "{text}");
    }
}

#[test]
fn logits_count_before_scores_and_ties_stay_as_they_are_listed() {
    let text = r#"{"query_id":1,"results":[{"id":"a","score":1,"logit":20},{"id":"c","score":1,"logit":30},{"id":7,"score":1,"logit":30}]}"#;
    assert_eq!(order(&read(text).unwrap(), "1"), ["c", "7", "a"]);
    let text = "query_id,id,score,logit\nq,a,1,20\nq,b,1,30\nq,c,1,30\n";
    assert_eq!(order(&read(text).unwrap(), "q"), ["b", "c", "a"]);
}

#[test]
fn the_fused_score_of_a_run_orders_it() {
    let text = r#"{"query_id":1,"results":[{"id":"a","logit":3,"fused":0.1},{"id":"b","logit":2,"fused":0.9}]}"#;
    assert_eq!(order(&read(text).unwrap(), "1"), ["b", "a"]);
    let text = "query_id,id,score,logit,fused\nq,a,1,3,0.1\nq,b,1,2,0.9\n";
    assert_eq!(order(&read(text).unwrap(), "q"), ["b", "a"]);
}

#[test]
fn scores_that_are_equal_as_f32_are_ties() {
    let run = read("q Q0 a 1 1.00000001 t\nq Q0 b 2 1.0 t\n").unwrap();
    assert_eq!(order(&run, "q"), ["b", "a"]);
}

#[test]
fn bad_runs_are_named_with_the_place_and_the_remedy() {
    for (text, message) in [
        ("q Q0 a 1 2 t\nq Q0 b 1\n", "run:2: the line has 4 fields, a run has six"),
        ("q Q0 a 1 2 t\nq Q0 b 1 NaN t\n", "run:2: the score NaN is not a finite number"),
        ("q Q0 a 1 2 t\nq Q0 b 1 -inf t\n", "run:2: the score -inf is not a finite number"),
        ("q Q0 a 1 2 t\nq Q0 b 1 x t\n", "run:2: the score \"x\" is not a number"),
        (
            "q Q0 a 1 2 t\n\np Q0 a 1 2 t\nq Q0 a 2 1 t\n",
            "run:4: query \"q\" has the document \"a\" twice, first on line 1",
        ),
        ("q\ta\t1\nq\tb\t2.5\n", "--input-format tevatron"),
        ("q\ta\t12\n", "--input-format msmarco takes it for ranks"),
        (
            "{\"query_id\":\"q\",\"results\":[{\"id\":\"a\"},{\"id\":\"a\"}]}",
            "run:1: query \"q\" has the document \"a\" twice:",
        ),
        (
            "{\"query_id\":\"q\",\"results\":[{\"id\":\"a\",\"logit\":1},{\"id\":\"b\"}]}",
            "run:1: the document \"b\" has no `logit`",
        ),
        ("{\"query_id\":\"q\"}", "run:1: the record has neither `results` nor `candidates`"),
        ("{\"query_id\":\"q\",\"results\":[{\"score\":1}]}", "run:1: result 1 has no `id`"),
        ("{\"results\":[]}", "run:1: the record has no `query_id`"),
        ("{\"query_id\":\"q\",\"results\":[{\"id\":\"a\",\"score\":NaN}]}", "run:1: is not JSON"),
        ("{\"q\":{\"a\":1,\"a\":2}}", "run: query \"q\" has the document \"a\" twice:"),
        ("{\"q\":{\"a\":\"b\"}}", "not a JSON object of scores"),
        (
            "{\"de\":{\"test\":{\"q\":{\"a\":1}}},\"en\":{\"test\":{\"q\":{\"a\":1}}}}",
            "several splits, de/test and en/test",
        ),
        ("[{\"query_id\":\"q\"}]", "`jq -c '.[]'`"),
        ("query_id,text\nq,a\n", "the header has no column `id`"),
        ("query_id,id,logit\nq,a\n", "run:2: the row has 2 fields"),
        ("query_id,id,logit\nq,a,nan\n", "run:2: the score nan is not a finite number"),
        ("query_id,id,logit\n", "run is empty"),
        ("hello\n", "the format of run can't be recognised"),
    ] {
        let error = read(text).unwrap_err().to_string();
        assert!(error.contains(message), "{text:?}: {error}");
    }
}
