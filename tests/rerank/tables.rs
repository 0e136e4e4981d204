//! How tables are written, and what their headers say.

use crate::fixture::{Files, Run, rerank, rerank_on};

/// The texts of the results, by their identifiers, as `id=text`.
#[track_caller]
fn texts(run: &Run) -> Vec<String> {
    let mut texts = Vec::new();
    for ranking in run.rankings() {
        for result in ranking["results"].as_array().unwrap() {
            texts.push(format!("{}={}", result["id"].as_str().unwrap(), result["text"].as_str().unwrap()));
        }
    }
    texts.sort();
    texts
}

#[track_caller]
fn read(name: &str, content: impl AsRef<[u8]>, arguments: &[&str]) -> Run {
    let files = Files::new();
    let input = files.write(name, content);
    rerank(&[&["--model", "fake", "--input", &input], arguments].concat())
}

#[test]
fn a_quote_in_tsv_is_text() {
    let rows = "qid\tquery\tpid\tpassage\nq1\tred\ta\t\"Red\" is a word.\nq1\tred\tb\t\"Red, said the guide.\nq1\tred\tc\t\"\"\n";
    let expected = ["a=\"Red\" is a word.", "b=\"Red, said the guide.", "c=\"\""];
    for run in
        [read("a.tsv", rows, &[]), read("a.tsv", rows, &["--quotes", "none"]), rerank_on(rows, &["--model", "fake"])]
    {
        assert_eq!(texts(&run), expected);
        assert!(!run.stderr.contains("--quotes"), "{}", run.stderr);
    }
    let commas = "query|id|text\nred|a|\"Red\" is\nred|b|\"x\n";
    assert_eq!(texts(&read("a.csv", commas, &["--quotes", "none", "--delimiter", "|"])), ["a=\"Red\" is", "b=\"x"]);
}

#[test]
fn tsv_that_a_csv_writer_wrote_is_noticed_once_and_read_when_asked() {
    let rows = "query\tid\ttext\nred\ta\t\"say \"\"red\"\" now\"\nred\tb\t\"say \"\"blue\"\"\"\n";
    let run = read("a.tsv", rows, &[]);
    assert_eq!(texts(&run), ["a=\"say \"\"red\"\" now\"", "b=\"say \"\"blue\"\"\""]);
    assert_eq!(run.stderr.matches("--quotes csv").count(), 1, "{}", run.stderr);
    assert!(run.stderr.contains("a.tsv:2: "), "{}", run.stderr);
    let run = read("a.tsv", rows, &["--quotes", "csv"]);
    assert_eq!(texts(&run), ["a=say \"red\" now", "b=say \"blue\""]);
    assert!(!run.stderr.contains("--quotes"), "{}", run.stderr);
    // What R and pandas write with quotes around everything.
    assert_eq!(texts(&read("a.tsv", "\"query\"\t\"text\"\n\"red\"\t\"a \"\"b\"\"\n\tc\"\n", &[])), ["1=a \"b\"\n\tc"]);
    read("a.tsv", "\"query\"\ttext\nred\tblue\n", &[]).fails(1, &["--quotes csv"]);
    read("a.tsv", "query\ttext\tid\nred\t\"two\nlines\"\ta\n", &[]).fails(1, &["a.tsv:2: ", "--quotes csv"]);
}

#[test]
fn malformed_quotes_in_csv_are_errors_with_their_line() {
    for (rows, line, part) in [
        ("red,a,\"Red\" is\n", 2, "behind a closing double quote"),
        ("red,a,\"one\ntwo\" three\nred,b,x\n", 3, "behind a closing double quote"),
        ("red,z,ok\nred,a,\"Red, it\nred,b,blue\n", 3, "never closed"),
        ("red,a,say \"red\nand blue\"\nred,b,x\n", 2, "a double quote stands inside a cell"),
        ("red,a,b\rred,c,\"d\"\n", 2, "carriage return"),
    ] {
        for on_error in ["fail", "skip"] {
            let run = read("a.csv", format!("query,id,text\n{rows}"), &["--on-error", on_error]);
            run.fails(1, &[&format!("a.csv:{line}: "), part]);
            assert_eq!(run.stdout, "", "{rows}");
        }
    }
    assert_eq!(
        texts(&read("a.csv", "query,id,text\nred,a,a 5\" screen\nred,b,\"\"\"Red\"\" is\"\n", &[])),
        ["a=a 5\" screen", "b=\"Red\" is"]
    );
}

#[test]
fn white_space_around_cells_is_dropped_where_the_header_has_some() {
    let rows = "query, id, text\nred, a, blue red \nred, b, \" x, y\"\n";
    assert_eq!(texts(&read("a.csv", rows, &[])), ["a=blue red", "b= x, y"]);
    assert_eq!(texts(&read("a.csv", "query,id,text\nred,a, blue red \n", &[])), ["a= blue red "]);
    assert_eq!(texts(&read("a.tsv", "query\tid\ttext \nred\ta\t blue\n", &[])), ["a=blue"]);
    assert_eq!(texts(&read("a.tsv", "query\tid\ttext\nred\ta\t blue \n", &[])), ["a= blue "]);
}

#[test]
fn other_delimiters_are_obeyed_and_suggested() {
    for (delimiter, typed) in [(";", "';'"), ("|", "'|'"), ("\t", "tab")] {
        let rows = ["query", "text\nred", "red, blue\n"].join(delimiter);
        read("a.csv", &rows, &[]).fails(1, &["--delimiter", typed]);
        let argument = typed.trim_matches('\'');
        assert_eq!(texts(&read("a.csv", &rows, &["--delimiter", argument])), ["1=red, blue"]);
        if delimiter != "\t" {
            rerank_on(&rows, &["--model", "fake"]).fails(1, &["--delimiter", typed]);
        }
        assert_eq!(texts(&rerank_on(&rows, &["--model", "fake", "--delimiter", argument])), ["1=red, blue"]);
    }
    read("a.tsv", "query,text\nred,blue\n", &[]).fails(1, &["--delimiter ','"]);
    let excel = "sep=;\r\nquery;text\r\nred;\"a;b\"\r\n";
    for run in [read("a.csv", excel, &[]), read("a.tsv", excel, &[]), rerank_on(excel, &["--model", "fake"])] {
        assert_eq!(texts(&run), ["1=a;b"]);
    }
    let run = read("a.csv", "sep=;\nquery,text\nred,blue\n", &["--delimiter", ","]);
    assert_eq!(texts(&run), ["1=blue"]);
    assert!(run.stderr.contains("as --delimiter sets"), "{}", run.stderr);
    rerank(&["--model", "fake", "--delimiter", ";;"]).fails(2, &["one ASCII character"]);
}

#[test]
fn options_of_tables_are_refused_elsewhere() {
    let line = r#"{"query":"red","candidates":["red"]}"#;
    for arguments in [["--quotes", "none"], ["--delimiter", ";"]] {
        read("a.jsonl", line, &arguments).fails(2, &["--delimiter and --quotes belong to tables"]);
    }
    read("a.jsonl", line, &["--no-header", "--columns", "query,text"])
        .fails(2, &["--no-header belongs to CSV and TSV"]);
}

#[test]
fn a_table_without_a_header() {
    let rows = "1\t7\tred planet\tMars is red.\n1\t8\tred planet\t\"Venus\"\n";
    let columns = ["--no-header", "--columns", "query_id,id,query,text"];
    let run = read("top1000.tsv", rows, &columns);
    assert_eq!(texts(&run), ["7=Mars is red.", "8=\"Venus\""]);
    assert_eq!(run.rankings()[0]["query_id"], "1");
    let named = ["--no-header", "--columns", "qid,,question,passage"];
    assert_eq!(
        texts(&read("a.csv", rows.replace('\t', ",").replace("\"Venus\"", "Venus"), &named)),
        ["1=Mars is red.", "2=Venus"]
    );
    read("top1000.tsv", rows, &[]).fails(1, &["--no-header --columns query_id,id,query,text"]);
    read("top1000.tsv", rows, &["--no-header"]).fails(2, &["--columns"]);
    read("top1000.tsv", rows, &["--no-header", "--columns", "text=x"]).fails(2, &["--no-header needs the names"]);
    read("top1000.tsv", rows, &["--columns", "query,text"]).fails(2, &["--no-header"]);
    read("top1000.tsv", rows, &["--no-header", "--columns", "query,text"]).fails(1, &["top1000.tsv:1: ", "4 fields"]);
    let headed = format!("qid\tpid\tquery\tpassage\n{rows}");
    read("top1000.tsv", headed, &columns).fails(1, &["top1000.tsv:1: ", "leave --no-header out"]);
}

#[test]
fn of_two_id_columns_the_one_that_is_used_is_named() {
    let rows = "qid,docid,docno,query,text\n1,17,D17,red,red\n1,18,D18,red,blue\n";
    let run = read("a.csv", rows, &[]);
    assert_eq!(texts(&run), ["D17=red", "D18=blue"]);
    assert_eq!(run.stderr.matches("`docno` (D17)").count(), 1, "{}", run.stderr);
    assert!(run.stderr.contains("--columns id=docid"), "{}", run.stderr);
    let run = read("a.csv", rows, &["--columns", "id=docid"]);
    assert_eq!(texts(&run), ["17=red", "18=blue"]);
    assert!(!run.stderr.contains("docno"), "{}", run.stderr);
}

#[test]
fn numbers_as_people_write_them() {
    let run = read("a.csv", "query,text,score,rank\nred,red,81.27,1.0\n", &[]);
    assert_eq!(run.rankings()[0]["results"][0]["original_score"], 81.27);
    assert_eq!(run.rankings()[0]["results"][0]["original_rank"], 1);
    for score in ["\"1,234.5\"", "\"12,5\"", "1'234"] {
        read("a.csv", format!("query,text,score\nred,red,{score}\n"), &[]).fails(1, &["a.csv:2: ", "decimal point"]);
    }
}

#[test]
fn rows_are_gathered_when_asked() {
    let rows = "qid,query,id,text\n1,red,a,red\n2,blue,b,red\n1,red,c,blue\n";
    read("a.csv", rows, &[]).fails(1, &["a.csv:4: ", "comes back"]);
    let run = read("a.csv", rows, &["--group"]);
    assert_eq!(texts(&run), ["a=red", "b=red", "c=blue"]);
    assert_eq!(run.rankings().len(), 2);
    assert!(run.stderr.contains("they were gathered"), "{}", run.stderr);
    let pairs =
        "{\"query\":\"red\",\"text\":\"a\"}\n{\"query\":\"blue\",\"text\":\"b\"}\n{\"query\":\"red\",\"text\":\"c\"}\n";
    assert_eq!(read("a.jsonl", pairs, &["--group"]).rankings().len(), 2);
}
