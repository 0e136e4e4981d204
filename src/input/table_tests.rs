use crate::input::testing::{events, events_with, groups};

#[test]
fn a_table_is_read_with_its_unknown_columns() {
    let text =
        "qid,Question,docid,contents,title,score,rank,url\n1,q,d,\"a \"\"b\"\"\n,c\",T, 1.5 ,3,u\"v\n1,q,,t,,,,\n";
    let group = groups("x.csv", text.as_bytes()).remove(0);
    let [first, second] = &group.candidates[..] else { panic!("{group:?}") };
    assert_eq!((first.id.as_str(), first.text.as_str(), first.title.as_deref()), ("d", "a \"b\"\n,c", Some("T")));
    assert_eq!((first.original_score, first.original_rank), (Some(1.5), 3));
    assert_eq!((first.fields[0].0.as_str(), first.fields[0].1.get()), ("url", r#""u\"v""#));
    assert_eq!((second.id.as_str(), second.original_score, second.original_rank), ("2", None, 2));
}

#[test]
fn a_row_knows_the_line_on_which_it_starts() {
    for end in ["\n", "\r\n"] {
        let text = ["query,text,score", "q,\"a", "b\",1", "", "", "q,c,x", "q,\"", "\",y", "q,d,z"].join(end);
        let lines: Vec<_> = events("x.csv", text.as_bytes())
            .iter()
            .map(|described| described.chars().take(8).collect::<String>())
            .collect();
        assert_eq!(lines, ["x.csv:6:", "x.csv:7:", "x.csv:9:", "1: 1"], "{end:?}");
    }
}

#[test]
fn a_row_s_line_is_right_in_every_chunk_of_the_file() {
    for end in ["\n", "\r\n"] {
        let text = format!("query,text{end}") + &format!("q,\"{end}\",x{end}").repeat(30_000);
        let described = events("x.csv", text.as_bytes());
        let expected = (0..30_000).map(|row| format!("x.csv:{}: the row has 3 fields", 2 + 2 * row));
        assert!(described.iter().zip(expected).all(|(message, start)| message.starts_with(&start)), "{end:?}");
    }
}

#[test]
fn a_bad_row_is_reported_and_the_next_one_read() {
    let described = events("x.csv", b"qid,query,id,text,score\na,q,d1,t,1\na,q,d2\na,q,d3,t,inf\na,q,d4,t,high\na,q,d5,\xff,1\na,q,d6,,\na,q,d6,t,2\n");
    for (message, start) in described.iter().zip([
        "x.csv:3: query \"a\": the row has 3 fields, the header has 5",
        "x.csv:4: query \"a\", candidate \"d3\": the score inf is not a finite number",
        "x.csv:5: query \"a\", candidate \"d4\": the score \"high\" is not a number",
        "x.csv:6: query \"a\", candidate \"d5\": the column `text` is not UTF-8",
        "x.csv:8: query \"a\", candidate \"d6\": this candidate id stands on line 7 already",
        "a: d1 d6",
    ]) {
        assert!(message.starts_with(start), "{message}");
    }
    assert_eq!(described.len(), 6);
}

#[test]
fn a_header_alone_or_one_that_lacks_a_column_is_an_error() {
    assert_eq!(events("x.csv", b"query,text\n"), ["fatal x.csv holds no rows below its header"]);
    let described = events("x.csv", b"query,page\na,b\n");
    assert!(
        described[0].starts_with("fatal x.csv: the header can't be used: no column is known as the text"),
        "{described:?}"
    );
    assert_eq!(events_with("x.csv", b"query,page\na,b\n", "text=page", 1000), ["1: 1"]);
}

#[test]
fn a_quote_that_is_never_closed_is_an_error_that_names_its_row() {
    let rows = "q,t\n".repeat(9000);
    for text in [format!("query,text\nq,t\nq,\"t\n{rows}"), format!("query,text\r\nq,t\r\nq,\"t\n{rows}")] {
        for limit in [1000, 1_000_000] {
            let described = events_with("x.csv", text.as_bytes(), "", limit);
            assert!(
                described[0].starts_with("fatal x.csv:3: ") && described[0].contains("never closed"),
                "{described:?}"
            );
            assert_eq!(described.len(), 1);
        }
    }
}

#[test]
fn a_quoted_line_break_at_the_end_of_the_file_is_no_error() {
    for end in ["", "\n", "\r\n"] {
        assert_eq!(events("x.csv", format!("query,text\nq,\"t\n\"{end}").as_bytes()), ["1: 1"]);
    }
}

#[test]
fn docno_stands_before_docid_and_the_choice_is_reported_once() {
    let text = "qid,docid,docno,rank,score,query,text\n1,17,D17,0,12.5,q,t\n1,18,D18,1,11.5,q,u\n";
    let read = events("x.csv", text.as_bytes());
    assert!(read[0].starts_with("note x.csv:2: `docno` (D17) is used as the id and `docid` (17) is only carried"));
    assert_eq!(read[1..], ["1: D17 D18"]);
    assert_eq!(events_with("x.csv", text.as_bytes(), "id=docid", 1000), ["1: 17 18"]);
    assert_eq!(events("x.csv", b"id,docid,query,text\n1,1,q,t\n"), ["1: 1"]);
}
