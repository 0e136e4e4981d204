//! What a chat template prints, as Python does: numbers, and the filter `tojson` as transformers has it.

use minijinja::value::{Kwargs, Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind, Output, State, escape_formatter};

/// Makes an environment print as Python does.
pub(super) fn print_like_python(environment: &mut Environment<'_>) {
    environment.set_formatter(print);
    environment.add_filter("tojson", to_json);
}

fn print(output: &mut Output, state: &mut State, value: &Value) -> Result<(), Error> {
    if let Some(number) = float(value) {
        return output.write_str(&float_text(number)).map_err(Error::from);
    }
    if let Some(number) = odd_float(value) {
        let problem = format!("it prints {} within a list or an object, which is not supported", float_text(number));
        return Err(Error::new(ErrorKind::InvalidOperation, problem));
    }
    escape_formatter(output, state, value)
}

fn float(value: &Value) -> Option<f64> {
    let is_float = value.kind() == ValueKind::Number && !value.is_integer();
    is_float.then(|| f64::try_from(value.clone()).ok()).flatten()
}

/// A number in a list or an object that is written in another way there than in Python.
fn odd_float(value: &Value) -> Option<f64> {
    if let Some(number) = float(value) {
        return (format!("{number:?}") != float_text(number)).then_some(number);
    }
    match value.kind() {
        ValueKind::Seq => value.try_iter().ok()?.find_map(|item| odd_float(&item)),
        ValueKind::Map => value.try_iter().ok()?.find_map(|key| odd_float(&value.get_item(&key).ok()?)),
        _ => None,
    }
}

/// The shortest text of a number, with an exponent where Python writes one.
fn float_text(number: f64) -> String {
    if number.is_nan() {
        return "nan".to_owned();
    }
    let scientific = format!("{number:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else { return scientific };
    match exponent.parse::<i32>() {
        Ok(exponent) if !(-4..16).contains(&exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.abs())
        }
        _ => format!("{number:?}"),
    }
}

/// How `json.dumps` writes.
struct Style {
    ascii: bool,
    indent: Option<usize>,
    item: String,
    key: String,
    sorted: bool,
}

/// `json.dumps`, which unlike Jinja's own filter escapes nothing for HTML.
fn to_json(value: &Value, arguments: Kwargs) -> Result<Value, Error> {
    let indent: Option<usize> = arguments.get("indent")?;
    let separators: Option<Vec<String>> = arguments.get("separators")?;
    let (item, key) = match separators.as_deref() {
        Some([item, key]) => (item.clone(), key.clone()),
        Some(_) => return Err(Error::new(ErrorKind::InvalidOperation, "separators of tojson are two texts")),
        None => (if indent.is_some() { "," } else { ", " }.to_owned(), ": ".to_owned()),
    };
    let style = Style {
        ascii: arguments.get::<Option<bool>>("ensure_ascii")?.unwrap_or(false),
        sorted: arguments.get::<Option<bool>>("sort_keys")?.unwrap_or(false),
        indent,
        item,
        key,
    };
    arguments.assert_all_used()?;
    let mut text = String::new();
    style.write(value, 0, &mut text)?;
    Ok(Value::from(text))
}

/// The most bytes that `tojson` writes, beside those of one value: as much as a rendering may make in all.
const MOST_JSON: usize = 4 << 20;
/// The deepest nesting that it writes.
const MOST_DEPTH: usize = 100;
/// The widest indentation.
const MOST_INDENT: usize = 100;

impl Style {
    fn write(&self, value: &Value, depth: usize, text: &mut String) -> Result<(), Error> {
        match value.kind() {
            ValueKind::None => text.push_str("null"),
            ValueKind::Bool => text.push_str(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number => text.push_str(&number(value)),
            ValueKind::String => text.push_str(&self.quoted(value.as_str().unwrap_or_default())),
            ValueKind::Seq | ValueKind::Iterable => {
                let items = value.try_iter()?.map(|item| (None, item)).collect();
                self.write_all(['[', ']'], items, depth, text)?;
            }
            ValueKind::Map => {
                let mut items = Vec::new();
                for key in value.try_iter()? {
                    items.push((Some(self.key(&key)?), value.get_item(&key)?));
                }
                if self.sorted {
                    items.sort_by(|one, other| one.0.cmp(&other.0));
                }
                self.write_all(['{', '}'], items, depth, text)?;
            }
            kind => {
                let problem = format!("tojson can't write what is {kind}");
                return Err(Error::new(ErrorKind::InvalidOperation, problem));
            }
        }
        Ok(())
    }

    fn write_all(
        &self,
        brackets: [char; 2],
        items: Vec<(Option<String>, Value)>,
        depth: usize,
        text: &mut String,
    ) -> Result<(), Error> {
        let line = |depth: usize| match self.indent {
            Some(indent) => format!("\n{}", " ".repeat(indent.min(MOST_INDENT) * depth)),
            None => String::new(),
        };
        if depth >= MOST_DEPTH {
            return Err(Error::new(ErrorKind::InvalidOperation, format!("tojson writes {MOST_DEPTH} levels at most")));
        }
        text.push(brackets[0]);
        let is_empty = items.is_empty();
        for (index, (key, item)) in items.into_iter().enumerate() {
            if index > 0 {
                text.push_str(&self.item);
            }
            if text.len() > MOST_JSON {
                return Err(Error::from(ErrorKind::OutOfFuel));
            }
            text.push_str(&line(depth + 1));
            if let Some(key) = key {
                text.push_str(&key);
                text.push_str(&self.key);
            }
            self.write(&item, depth + 1, text)?;
        }
        if !is_empty {
            text.push_str(&line(depth));
        }
        text.push(brackets[1]);
        Ok(())
    }

    fn key(&self, key: &Value) -> Result<String, Error> {
        let text = match key.kind() {
            ValueKind::String => key.as_str().unwrap_or_default().to_owned(),
            ValueKind::Number => number(key),
            ValueKind::None => "null".to_owned(),
            ValueKind::Bool => (if key.is_true() { "true" } else { "false" }).to_owned(),
            kind => {
                let problem = format!("tojson can't write a key that is {kind}");
                return Err(Error::new(ErrorKind::InvalidOperation, problem));
            }
        };
        Ok(self.quoted(&text))
    }

    fn quoted(&self, text: &str) -> String {
        let quoted = serde_json::Value::from(text).to_string();
        if !self.ascii {
            return quoted;
        }
        let mut escaped = String::new();
        for letter in quoted.chars() {
            if letter.is_ascii() {
                escaped.push(letter);
                continue;
            }
            let mut units = [0; 2];
            escaped.extend(letter.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")));
        }
        escaped
    }
}

fn number(value: &Value) -> String {
    match float(value) {
        Some(number) if number.is_nan() => "NaN".to_owned(),
        Some(number) if number.is_infinite() => (if number > 0. { "Infinity" } else { "-Infinity" }).to_owned(),
        Some(number) => float_text(number),
        None => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(template: &str) -> Result<String, Error> {
        let mut environment = Environment::new();
        print_like_python(&mut environment);
        environment.render_str(template, ())
    }

    /// The texts are those of transformers' environment.
    #[test]
    fn numbers_and_json_are_those_of_python() {
        for (template, expected) in [
            ("{{ 1e20 }} {{ 1e-7 }} {{ 1.5e16 }} {{ 0.0001 }}", "1e+20 1e-07 1.5e+16 0.0001"),
            ("{{ 1.0 }} {{ 10/4 }} {{ 123456789012345.5 }} {{ [1.5] }}", "1.0 2.5 123456789012345.5 [1.5]"),
            ("{{ '<a> & \"é\" \\' \\n'|tojson }}", "\"<a> & \\\"é\\\" ' \\n\""),
            ("{{ {'b': 1, 'a': [true, none, 1e20]}|tojson }}", "{\"b\": 1, \"a\": [true, null, 1e+20]}"),
            ("{{ 'é\u{1f600}'|tojson(ensure_ascii=true) }}", "\"\\u00e9\\ud83d\\ude00\""),
            (
                "{{ {'b': [1], 'a': []}|tojson(indent=2, sort_keys=true) }}",
                "{\n  \"a\": [],\n  \"b\": [\n    1\n  ]\n}",
            ),
            ("{{ [1, 2]|tojson(separators=(',', ':')) }}", "[1,2]"),
        ] {
            assert_eq!(rendered(template).unwrap(), expected, "{template}");
        }
        let nested = "{% set ns = namespace(x=[]) %}{% for i in range(101) %}{% set ns.x = [ns.x] %}{% endfor %}";
        assert!(rendered(&format!("{nested}{{{{ ns.x|tojson }}}}")).unwrap_err().to_string().contains("100 levels"));
        assert!(rendered("{{ range(100000)|list|tojson(indent=1000000000) }}").is_err());
        assert!(rendered("{{ [1e20] }}").unwrap_err().to_string().contains("1e+20 within a list"));
    }
}
