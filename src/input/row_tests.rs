use super::*;

/// The rows of a text with their lines, and what stopped reading.
fn rows(text: &str, dialect: Dialect) -> (Vec<(u64, Vec<String>)>, Step) {
    let (mut row, mut reader, mut rows) = (Row::default(), text.as_bytes(), Vec::new());
    loop {
        match row.read(&mut reader, dialect, 100).unwrap() {
            Step::Row => {
                assert!(text.as_bytes()[row.offset() as usize..].starts_with(row.raw()), "{text:?}");
                rows.push((row.line(), row.cells().map(|cell| String::from_utf8_lossy(cell).into_owned()).collect()));
            }
            step => return (rows, step),
        }
    }
}

fn cells(text: &str, dialect: Dialect) -> Vec<Vec<String>> {
    let (rows, step) = rows(text, dialect);
    assert_eq!(step, Step::End, "{text:?}");
    rows.into_iter().map(|(_, cells)| cells).collect()
}

#[test]
fn quotes_hold_a_cell_together_in_csv_and_are_text_in_tsv() {
    assert_eq!(
        cells("a,\"b, \"\"c\"\"\r\nd\",\r\n\"\",e", Dialect::CSV),
        [vec!["a", "b, \"c\"\r\nd", ""], vec!["", "e"]]
    );
    assert_eq!(cells("a\t\"b\"\t\"c\n\"\t\rd\t\r\n", Dialect::TSV), [vec!["a", "\"b\"", "\"c"], vec!["\"", "\rd", ""]]);
    assert_eq!(cells("a 5\" screen,7\"\n", Dialect::CSV), [["a 5\" screen", "7\""]]);
    assert_eq!(cells("a, \"b, c\" ,d\n", Dialect::CSV), [["a", "b, c", "d"]]);
}

#[test]
fn white_space_is_dropped_where_that_is_set_and_never_in_quotes() {
    let trim = Dialect { trim: true, ..Dialect::CSV };
    assert_eq!(cells(" a ,\" b \", ,c\n", trim), [["a", " b ", "", "c"]]);
    assert_eq!(cells(" a ,\" b \"\n", Dialect::CSV), [[" a ", " b "]]);
}

#[test]
fn a_row_knows_its_line() {
    let (rows, _) = rows("\n\na,\"b\n\n\"\n\r\n  \nc\n", Dialect::CSV);
    assert_eq!(rows.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [3, 8]);
}

#[test]
fn malformed_quoting_is_named_with_its_line() {
    for (text, line, problem) in [
        ("a\nb,\"c\nd", 2, UNCLOSED),
        ("a\nb,\"c\nd\"e,f\n", 3, TEXT_BEHIND),
        ("\"a \"b\" c\",d\n", 1, TEXT_BEHIND),
        ("a,b\rc,\"d\"", 1, LONE_RETURN),
    ] {
        assert_eq!(rows(text, Dialect::CSV).1, Step::Malformed { line, problem }, "{text:?}");
    }
}

#[test]
fn a_long_row_ends_what_is_quoted_and_is_skipped_where_it_is_raw() {
    let long = "x".repeat(200);
    assert_eq!(rows(&format!("\"{long}"), Dialect::CSV).1, Step::TooLong);
    assert_eq!(rows(&format!("\"{}", "x\n".repeat(60)), Dialect::CSV).1, Step::TooLong);
    let (mut row, text) = (Row::default(), format!("{long}\nb\n"));
    let mut reader = text.as_bytes();
    assert_eq!(row.read(&mut reader, Dialect::TSV, 100).unwrap(), Step::TooLong);
    assert_eq!(row.read(&mut reader, Dialect::TSV, 100).unwrap(), Step::Row);
    assert_eq!((row.line(), row.cell(0)), (2, Some(&b"b"[..])));
}
