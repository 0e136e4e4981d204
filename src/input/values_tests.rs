use super::*;

fn rest(text: &str) -> String {
    let fields = Object::parse(text).unwrap().rest(|name| name == "known");
    fields.iter().map(|(name, value)| format!("{name}={value};")).collect()
}

#[test]
fn of_a_key_that_stands_twice_the_last_value_counts() {
    let text = r#"{"a": 1, "b": 2, "a": 3, "\u0061": "x"}"#;
    assert_eq!(Object::parse(text).unwrap().take_text(&["a"]), Ok(Some("x".into())));
    assert_eq!(rest(text), "b=2;a=\"x\";");
}

#[test]
fn carried_values_keep_their_bytes_and_stand_on_one_line() {
    assert_eq!(rest(r#"{"z": 1.50, "a": [1,  2], "n": null, "known": null}"#), "z=1.50;a=[1,  2];n=null;");
    assert_eq!(rest("{\"a\": {\r\n \"b c\": [\"d  \\\" e\\\\\", 1e5]\n}}"), "a={\"b c\":[\"d  \\\" e\\\\\",1e5]};");
}

#[test]
fn ids_are_strings_or_integers_of_any_size() {
    let text = r#"{"a": 123456789012345678901234567890, "b": -7, "c": "", "d": 1.0, "e": [1], "f": "x"}"#;
    let id = |name: &str| Object::parse(text).unwrap().take_id(&[name]);
    assert_eq!(id("a").unwrap().unwrap(), "123456789012345678901234567890");
    assert_eq!(id("b").unwrap().unwrap(), "-7");
    assert_eq!(id("c").unwrap(), None);
    assert!(id("d").unwrap_err().contains(
        "it is a number, a string or an integer is expected; where some are missing, pandas makes numbers as 1.0"
    ));
    assert!(id("e").unwrap_err().contains("it is a list"));
    assert_eq!(id("f").unwrap().unwrap(), "x");
}

#[test]
fn the_first_name_with_a_value_is_taken() {
    let mut object = Object::parse(r#"{"contents": "c", "content": "b", "text": null}"#).unwrap();
    assert_eq!(object.take_text(&["text", "content", "contents"]), Ok(Some("b".into())));
}

fn raw(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned()).unwrap()
}

#[test]
fn a_score_is_a_finite_number_or_its_text() {
    let score = |text: &str| score("s", &raw(text));
    for (text, value) in [("15.780599594116211", 15.780_599_594_116_211), ("\"81.27\"", 81.27), ("\" -1e3 \"", -1000.)]
    {
        assert_eq!(score(text), Ok(Some(value)), "{text}");
    }
    assert_eq!((score("null"), score("\"\"")), (Ok(None), Ok(None)));
    for text in ["1e999", "\"nan\"", "\"-inf\""] {
        assert!(score(text).unwrap_err().contains("not a finite number"), "{text}");
    }
    assert!(score("\"one\"").unwrap_err().contains("is not a number"));
    assert!(score("[1]").unwrap_err().contains("it is a list, a number is expected"));
}

#[test]
fn a_rank_is_an_integer_or_its_text() {
    let rank = |text: &str| rank("r", &raw(text));
    for (text, value) in [("3", 3), ("\"3\"", 3), ("3.0", 3), ("\" 3.0 \"", 3)] {
        assert_eq!(rank(text), Ok(Some(value)), "{text}");
    }
    for text in ["1.5", "\"1.5\"", "\"first\""] {
        assert!(rank(text).unwrap_err().contains("not an integer"), "{text}");
    }
    assert!(rank("true").unwrap_err().contains("an integer is expected"));
}

#[test]
fn a_text_is_a_string_or_a_number_or_a_list_of_one() {
    let text = |value: &str| text("t", &raw(value));
    for (value, read) in [("\"a\"", "a"), ("7", "7"), ("1.50", "1.50"), ("[\"a\"]", "a"), ("[7]", "7"), ("\"\"", "")] {
        assert_eq!(text(value).as_deref(), Ok(read), "{value}");
    }
    assert!(text("[\"a\",\"b\"]").unwrap_err().contains("it is a list, a string is expected: it has 2 parts"));
    for value in ["true", "{}", "[]", "[[\"a\"]]"] {
        assert!(text(value).unwrap_err().contains("a string is expected"), "{value}");
    }
}

#[test]
fn text_that_is_not_json_is_reported_with_its_column_and_a_hint() {
    let problem = |text: &str| Object::parse(text).unwrap_err();
    for text in [r#"{"a": NaN}"#, r#"{"a": -Infinity}"#, r#"{"a": Infinity}"#, "{\n\"é\": NaN}"] {
        assert!(problem(text).contains("which Python writes"), "{}", problem(text));
    }
    assert_eq!(problem("{\"a\": 1"), "is not JSON: it ends inside an object (column 7)");
    assert!(problem("{\n\"a\" 1}").contains("line 2 of the record"));
    assert!(problem("{} x").contains("behind the end of the value"));
    assert!(problem(" [1]").contains("a list: an object is expected"));
    assert!(problem("").contains("not JSON"));
}

#[test]
fn a_lone_surrogate_is_a_problem_of_its_own_field() {
    let mut object = Object::parse(r#"{"a": "\ud800", "b": "x"}"#).unwrap();
    assert_eq!(object.take_text(&["b"]), Ok(Some("x".into())));
    let problem = object.take_text(&["a"]).unwrap_err();
    assert!(problem.starts_with("`a` holds a lone surrogate, `\\ud800`, as its character 1"), "{problem}");
}
