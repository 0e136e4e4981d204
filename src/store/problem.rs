//! What went wrong at a store, as a sentence with a remedy.

use std::error::Error;
use std::path::Path;

use anyhow::anyhow;
use object_store::Error as StoreError;
use object_store::path::Error as PathError;

use super::address;
use super::client::LONGEST_ATTEMPTS;
use super::service::Transport;
use crate::exit::UsageError;

/// The longest text of a server that is passed on.
const MOST_WORDS: usize = 300;

/// How a request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// There is no such object.
    Missing,
    /// The object is another one than that which was read before.
    Changed,
    /// There is an object already.
    Exists,
    /// A range stands behind the object's end.
    Range,
    /// The server can't read from the middle of a file.
    NoRanges,
    /// Anything else.
    Other,
}

/// How a request failed.
pub(super) fn kind(error: &StoreError) -> Kind {
    match error {
        StoreError::NotFound { .. } => Kind::Missing,
        StoreError::Precondition { .. } => Kind::Changed,
        StoreError::AlreadyExists { .. } => Kind::Exists,
        _ => match (status(error), &*innermost(error)) {
            (Some(416), _) => Kind::Range,
            (_, text) if text.contains("non-partial response") || text.contains("Range request not supported") => {
                Kind::NoRanges
            }
            _ => Kind::Other,
        },
    }
}

/// Whether a bucket has no such object; a bucket that is not there is another matter.
pub(super) fn is_missing_key(error: &StoreError) -> bool {
    kind(error) == Kind::Missing && !matches!(code(error).as_deref(), Some("NoSuchBucket" | "ContainerNotFound"))
}

/// Why a request failed, as the end of a sentence that names the address, with the remedy.
pub(super) fn reason(path: &Path, error: &StoreError) -> String {
    if let Some(problem) = no_credentials(path, error) {
        return problem;
    }
    let code = code(error);
    let code = code.as_deref().unwrap_or_default();
    let is_web = address::is_web(path);
    match (error, code, status(error)) {
        (_, "NoSuchBucket" | "ContainerNotFound", _) => {
            format!("there is no {}; check its name, and the endpoint and the region in the environment", bucket(path))
        }
        (_, "ExpiredToken" | "InvalidAccessKeyId" | "SignatureDoesNotMatch" | "AuthenticationFailed", _) => format!(
            "the store does not accept the credentials ({code}): renew them, and check the variables of the environment that have them \
             (see README)"
        ),
        (StoreError::NotFound { .. }, _, _) if is_web => "there is no such file (404); check the address".to_owned(),
        (StoreError::NotFound { .. }, ..) => {
            "there is no such object; check its key (a prefix, read as a directory is, ends in /)".to_owned()
        }
        (StoreError::Precondition { .. }, ..) => "it was changed while it was read; run again".to_owned(),
        (StoreError::AlreadyExists { .. }, ..) => "there is such an object already".to_owned(),
        (_, _, Some(401 | 403)) if is_web => {
            "the server does not permit it (401 or 403); check the address, and whether a signed one has expired"
                .to_owned()
        }
        (StoreError::PermissionDenied { .. } | StoreError::Unauthenticated { .. }, ..) | (_, _, Some(401 | 403)) => {
            format!(
                "access is denied{}: check the credentials in the environment (see README), and what they permit",
                in_brackets(code)
            )
        }
        (_, _, Some(301 | 307)) => format!("{} is in another region: name it with AWS_REGION", bucket(path)),
        (_, _, Some(status)) => {
            let long = LONGEST_ATTEMPTS.as_secs();
            let long = if status >= 500 { format!(", and was for {long} seconds") } else { String::new() };
            format!("the answer is {status}{}{long}; try again later, or check the address", in_brackets(code))
        }
        _ => other(path, error),
    }
}

/// An error of a request: what could not be done, and why. What is not there is a matter of the options.
pub(super) fn failed(what: &str, path: &Path, error: &StoreError) -> anyhow::Error {
    let problem = format!("{what} {}: {}", path.display(), reason(path, error));
    match kind(error) {
        Kind::Missing => UsageError::new(problem).into(),
        _ => anyhow!(problem),
    }
}

/// What is wrong with the settings of a store.
pub(super) fn of_settings(path: &Path, error: &StoreError) -> String {
    let text = innermost(error);
    let text = text.trim_end_matches('.');
    // The library's words about what is not in base64 name neither what it has read nor where.
    if ["Invalid symbol", "Invalid padding", "Invalid last", "Invalid input"].iter().any(|word| text.starts_with(word))
    {
        let place = if path.to_str().unwrap_or_default().starts_with("gs") {
            "the private key in the file that GOOGLE_APPLICATION_CREDENTIALS names"
        } else {
            "the value of the variable AZURE_STORAGE_ACCOUNT_KEY (or AZURE_STORAGE_ACCESS_KEY)"
        };
        return format!("{}: {place} is no key: it is not in base64; copy it anew", path.display());
    }
    format!("{}: the settings of the environment are no settings of a store: {text}", path.display())
}

/// That there are no credentials, if the machine's own service for them was asked in vain.
fn no_credentials(path: &Path, error: &StoreError) -> Option<String> {
    const SERVICES: [&str; 3] = ["169.254.169.254", "metadata.google.internal", "169.254.170.2"];
    let chain = chain(error);
    SERVICES.iter().any(|service| chain.contains(service)).then(|| {
        let variables = match path.to_str().unwrap_or_default() {
            path if path.starts_with("s3") => {
                "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (profiles in ~/.aws are not read)"
            }
            path if path.starts_with("gs") => "GOOGLE_APPLICATION_CREDENTIALS",
            _ => "AZURE_STORAGE_ACCOUNT_NAME with AZURE_STORAGE_ACCOUNT_KEY or AZURE_STORAGE_SAS_TOKEN",
        };
        format!(
            "there are no credentials: set {variables}; this machine's own service for them has none ({})",
            innermost(error).trim()
        )
    })
}

/// A request that got no answer.
fn other(path: &Path, error: &StoreError) -> String {
    let (text, chain) = (innermost(error), chain(error));
    if chain.contains("redirect without LOCATION") {
        return format!("{} is in another region: name it with AWS_REGION", bucket(path));
    }
    if chain.contains("Content-Length Header missing") {
        return "the server does not say how long the file is (no Content-Length), so that a break would not be seen; download it, or \
                pipe it into rerank (curl -f … | rerank)"
            .to_owned();
    }
    if kind(error) == Kind::NoRanges {
        return "the server has sent the whole file where it was asked for a part; download it, or pipe it into rerank (curl -f … | \
                rerank)"
            .to_owned();
    }
    if let StoreError::InvalidPath { source } = error {
        return match source {
            PathError::EmptySegment { path: key } | PathError::BadSegment { path: key, .. } => format!(
                "the key {key:?} there has an empty part between two slashes, a part that is . or .., or a control character, and \
                 can't be read; copy that object to another key, or remove it"
            ),
            other => format!("a key there can't be read: {}", plain(&other.to_string())),
        };
    }
    format!("{text}; check the address, the network and the proxy (HTTPS_PROXY), and run again")
}

fn bucket(path: &Path) -> String {
    let (bucket, _) = address::parts(path);
    format!("bucket or container {bucket}")
}

fn in_brackets(code: &str) -> String {
    if code.is_empty() { String::new() } else { format!(" ({code})") }
}

/// The last of the causes of an error, on one line. What the library puts in front of it, means nothing to users.
fn innermost(error: &StoreError) -> String {
    let mut cause: &dyn Error = error;
    while let Some(source) = cause.source() {
        cause = source;
        if let Some(Transport(problem)) = cause.downcast_ref() {
            return problem.clone();
        }
    }
    plain(&cause.to_string())
}

/// A text without control characters, not too long.
fn plain(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { ' ' } else { character }).take(MOST_WORDS).collect()
}

fn chain(error: &StoreError) -> String {
    let mut text = String::new();
    let mut cause: Option<&dyn Error> = Some(error);
    while let Some(error) = cause {
        text += &error.to_string();
        cause = error.source();
    }
    text
}

/// The status of the answer. The library's type of it is private, and its text begins so.
fn status(error: &StoreError) -> Option<u16> {
    let text = chain(error);
    let (_, rest) = text.split_once("status code: ")?;
    rest.get(..3)?.parse().ok()
}

/// The code of a store's answer in XML, such as `AccessDenied`.
fn code(error: &StoreError) -> Option<String> {
    let text = chain(error);
    let (_, rest) = text.split_once("<Code>")?;
    let (code, _) = rest.split_once("</Code>")?;
    Some(code.chars().filter(char::is_ascii_alphanumeric).take(MOST_WORDS).collect())
}
