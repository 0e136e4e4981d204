//! The settings of stores in variables of the environment. The library that makes requests ends with a panic on values that fit into no
//! request, so that they are looked at before it has them.

use std::str::FromStr;

use anyhow::{Context, Result, ensure};
use ureq::http::Uri;
use url::Url;

use crate::exit::UsageError;

/// The variables whose values are paths, by what their names contain: a path may have any characters.
const PATHS: [&str; 3] = ["file", "credentials", "service_account"];

/// The settings of a store: the names and the values of the variables that begin with a text, such as `AWS_`, or have a further name,
/// and that the library knows. A variable that is empty counts as unset.
///
/// # Errors
/// If a value fits into no request. The error names the variable, and never its value, which may be secret.
pub(super) fn settings<Name: FromStr>(beginning: &str, further: &str) -> Result<Vec<(Name, String)>> {
    let mut settings = Vec::new();
    for (variable, value) in std::env::vars_os() {
        let Some(variable) = variable.to_str() else { continue };
        let is_setting = variable.starts_with(beginning) || variable == further;
        let name = variable.to_ascii_lowercase().parse().ok().filter(|_| is_setting && !value.is_empty());
        let Some(name) = name else { continue };
        let text = value.to_str().with_context(|| format!("the value of the variable {variable} is not in UTF-8"));
        let text = text.and_then(|text| check(variable, text).map(|()| text.to_owned()));
        settings.push((name, text.map_err(|error| UsageError::new(error.to_string()))?));
    }
    Ok(settings)
}

/// Refuses a value that fits into no request.
fn check(variable: &str, value: &str) -> Result<()> {
    let name = variable.to_ascii_lowercase();
    // A key of a service account is a file's JSON, and no header.
    if name.ends_with("service_account_key") {
        return Ok(());
    }
    ensure!(
        !value.contains(char::is_control),
        "the value of the variable {variable} has a line break or another control character in it; set it anew without that"
    );
    ensure!(
        value.trim() == value,
        "the value of the variable {variable} begins or ends with white space; set it anew without that"
    );
    ensure!(
        value.is_ascii() || PATHS.iter().any(|path| name.contains(path)),
        "the value of the variable {variable} has characters in it that are not ASCII, which no request can have; set it anew"
    );
    let is_endpoint = (name.contains("endpoint") && !name.contains("use_")) || name.ends_with("base_url");
    ensure!(
        !is_endpoint || is_address_of_host(value),
        "the value of the variable {variable} is no address of a store: it has the form https://HOST or http://HOST:PORT"
    );
    Ok(())
}

fn is_address_of_host(value: &str) -> bool {
    let is_of_web = Url::parse(value).is_ok_and(|url| ["http", "https"].contains(&url.scheme()) && url.has_host());
    is_of_web && value.parse::<Uri>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_fits_into_no_request_is_refused_without_being_shown() {
        for (variable, value, reason) in [
            ("AWS_ACCESS_KEY_ID", "secret\n", "line break"),
            ("AWS_SESSION_TOKEN", "secret ", "white space"),
            ("AWS_SECRET_ACCESS_KEY", "secrét", "not ASCII"),
            ("AWS_ENDPOINT_URL", "secret:9000", "https://HOST"),
            ("AWS_ENDPOINT_URL_S3", "//secret", "https://HOST"),
            ("AZURE_STORAGE_ENDPOINT", "https://secret/a b", "https://HOST"),
        ] {
            let error = check(variable, value).unwrap_err().to_string();
            assert!(error.contains(variable) && error.contains(reason) && !error.contains("secr"), "{error}");
        }
        for (variable, value) in [
            ("AWS_ENDPOINT_URL", "http://127.0.0.1:9000/minio"),
            ("AZURE_USE_FABRIC_ENDPOINT", "true"),
            ("AWS_WEB_IDENTITY_TOKEN_FILE", "/tmp/é"),
        ] {
            check(variable, value).unwrap();
        }
    }
}
