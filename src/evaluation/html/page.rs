//! The page: one file that needs no other.

use anyhow::Result;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest, Sha256};

use super::data::Data;

const HTML: &str = include_str!("page/report.html");
/// The colors are those of the service's page.
const STYLES: [&str; 2] = [include_str!("../../serve/page/theme.css"), include_str!("page/report.css")];
/// One module: each file uses what stands in those before it.
const SCRIPTS: [&str; 6] = [
    include_str!("page/elements.js"),
    include_str!("page/tables.js"),
    include_str!("page/bars.js"),
    include_str!("page/queries.js"),
    include_str!("page/scores.js"),
    include_str!("page/report.js"),
];

/// The page with this data.
///
/// Nothing is fetched, and nothing runs but the script that stands here: the policy names its hash, so that a text which became
/// markup could still do nothing.
///
/// # Errors
/// If the data can't be written as JSON.
pub(super) fn render(data: &Data) -> Result<String> {
    let (style, script) = (STYLES.concat(), SCRIPTS.concat());
    let hash = |text: &str| format!("'sha256-{}'", BASE64_STANDARD.encode(Sha256::digest(text)));
    let policy = format!(
        "default-src 'none'; script-src {}; style-src {}; img-src data:; base-uri 'none'; form-action 'none'",
        hash(&script),
        hash(&style)
    );
    // No `<` is left, so that no text can end the element.
    let data = serde_json::to_string(data)?.replace('<', "\\u003c");
    let mut page = String::with_capacity(HTML.len() + style.len() + script.len() + data.len() + policy.len());
    for part in HTML.split_inclusive("}}") {
        let (before, content) = match part.rsplit_once("{{") {
            Some((before, "policy}}")) => (before, &policy),
            Some((before, "style}}")) => (before, &style),
            Some((before, "data}}")) => (before, &data),
            Some((before, "script}}")) => (before, &script),
            _ => (part, &String::new()),
        };
        page += before;
        page += content;
    }
    Ok(page)
}
