//! The page at `/`, whose files are parts of the program.

use std::sync::LazyLock;

use axum::body::Body;
use axum::http::{HeaderValue, Response, header};
use serde_json::json;

use crate::input::{Columns, Field, IDS_OF_TEXTS, Names};

/// The page's own files, and no others: nothing is fetched from elsewhere, and no text can become a script.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
                      form-action 'none'; base-uri 'none'; frame-ancestors 'none'";

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// Paths with their content types and contents.
static FILES: LazyLock<[(&str, &str, &str); 15]> = LazyLock::new(|| {
    [
        ("/", HTML, include_str!("page/index.html")),
        ("/assets/page.css", CSS, include_str!("page/page.css")),
        ("/assets/candidates.js", SCRIPT, include_str!("page/candidates.js")),
        ("/assets/curve.js", SCRIPT, include_str!("page/curve.js")),
        ("/assets/export.js", SCRIPT, include_str!("page/export.js")),
        ("/assets/fields.js", SCRIPT, include_str!("page/fields.js")),
        ("/assets/form.js", SCRIPT, include_str!("page/form.js")),
        ("/assets/model.js", SCRIPT, include_str!("page/model.js")),
        ("/assets/names.js", SCRIPT, NAMES.as_str()),
        ("/assets/page.js", SCRIPT, include_str!("page/page.js")),
        ("/assets/ranking.js", SCRIPT, include_str!("page/ranking.js")),
        ("/assets/results.js", SCRIPT, include_str!("page/results.js")),
        ("/assets/service.js", SCRIPT, include_str!("page/service.js")),
        ("/assets/tables.js", SCRIPT, include_str!("page/tables.js")),
        ("/assets/theme.css", CSS, include_str!("page/theme.css")),
    ]
});

/// The names of fields as the command line knows them: the page scores the same texts of a file.
static NAMES: LazyLock<String> = LazyLock::new(|| {
    let names = json!({
        "text": Field::Text.aliases(),
        "title": Field::Title.aliases(),
        "id": Field::Id.aliases(),
        "query": Field::Query.aliases(),
        "queryId": Field::QueryId.aliases(),
        "groupQueryId": Names::new(&Columns::default()).group_query_id(),
        "instruction": Field::Instruction.aliases(),
        "list": Field::Candidates.aliases(),
        "ids": IDS_OF_TEXTS,
    });
    format!(
        "// The names under which files keep queries and candidates, the preferred ones first.\n\nexport const NAMES = {names};\n"
    )
});

/// The file at a path.
pub(super) fn file(path: &str) -> Option<Response<Body>> {
    let (_, kind, content) = FILES.iter().find(|(name, ..)| *name == path)?;
    let mut response = Response::new(Body::from(*content));
    let headers = [
        (header::CONTENT_TYPE, *kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        // A newer version of the program has newer files at the same paths.
        (header::CACHE_CONTROL, "no-cache"),
    ];
    response.headers_mut().extend(headers.map(|(name, value)| (name, HeaderValue::from_static(value))));
    Some(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_knows_fields_by_the_names_of_the_command_line() {
        let script = FILES.iter().find(|(path, ..)| *path == "/assets/names.js").unwrap().2;
        let names = script.split("NAMES = ").nth(1).unwrap().trim_end().trim_end_matches(';');
        let names: serde_json::Value = serde_json::from_str(names).unwrap();
        assert_eq!(names["text"], json!(Field::Text.aliases()));
        let used = include_str!("page/candidates.js");
        for (field, known) in names.as_object().unwrap() {
            assert!(
                known.as_array().is_some_and(|known| !known.is_empty()) && used.contains(&format!("\"{field}\"")),
                "{field}"
            );
        }
    }

    #[test]
    fn what_the_page_names_is_there() {
        let names = |content: &str, before: &str| -> Vec<String> {
            let parts = content.split(before).skip(1);
            parts.filter_map(|part| part.split('"').next()).map(str::to_owned).collect()
        };
        let mut named: Vec<String> = names(FILES[0].2, "\"assets/");
        for (_, _, script) in FILES.iter().filter(|(_, kind, _)| *kind == SCRIPT) {
            named.extend(names(script, "from \"./"));
        }
        assert!(named.len() > 10, "{named:?}");
        for name in &named {
            assert!(file(&format!("/assets/{name}")).is_some(), "{name}");
        }
        for (path, ..) in &FILES[1..] {
            assert!(named.iter().any(|name| path.ends_with(name)), "{path} is not used");
        }
    }
}
