//! Addresses of objects: which paths are addresses, and how they are shown.
//!
//! An address travels through the program as a path. What is secret in one (a password, the query of a signed address) is taken out
//! when the options are resolved, so that no message, no record and no figure can have it.

#[cfg(feature = "stores")]
use std::collections::HashMap;
use std::path::{Path, PathBuf};
#[cfg(feature = "stores")]
use std::sync::{Mutex, PoisonError};

use anyhow::{Result, bail, ensure};

/// The schemes of object stores, and what an address of each looks like.
const STORES: [(&str, &str); 8] = [
    ("s3", "s3://BUCKET/KEY"),
    ("s3a", "s3://BUCKET/KEY"),
    ("gs", "gs://BUCKET/KEY"),
    ("az", "az://CONTAINER/KEY"),
    ("azure", "az://CONTAINER/KEY"),
    ("adl", "az://CONTAINER/KEY"),
    ("abfs", "abfss://CONTAINER@ACCOUNT.dfs.core.windows.net/KEY"),
    ("abfss", "abfss://CONTAINER@ACCOUNT.dfs.core.windows.net/KEY"),
];

/// The schemes of the web.
const WEB: [&str; 2] = ["http", "https"];

/// What stands in the queries that sign an address for S3, Google Cloud Storage, Azure and CloudFront, in lower case.
const SIGNATURES: [&str; 4] = ["sig=", "signature=", "x-amz-", "x-goog-"];

/// What ends an address in a sentence.
const PUNCTUATION: [char; 8] = [':', ';', ',', '.', ')', '"', '\'', '`'];

#[cfg(feature = "stores")]
/// Full addresses by what is shown of them, where the two differ.
static SECRET: Mutex<Option<HashMap<PathBuf, String>>> = Mutex::new(None);

/// Whether a path is the address of an object, or of a prefix of objects.
pub fn is_address(path: &Path) -> bool {
    scheme(path).is_some_and(|scheme| is_of_store(&scheme) || WEB.contains(&&*scheme))
}

/// Whether a path is an address on the web, which can be read and not be listed or written.
pub fn is_web(path: &Path) -> bool {
    scheme(path).is_some_and(|scheme| WEB.contains(&&*scheme))
}

/// Whether an address is that of a prefix, as a directory is that of files.
pub fn is_prefix(path: &Path) -> bool {
    is_address(path) && text(path).ends_with('/')
}

/// The path under which an input is read: the path itself, or of an address what can be shown of it. Every address of an object
/// becomes the same one, so that an object that is read under one name is not written under another.
///
/// # Errors
/// If it is an address that can't be read: of another scheme, of the wrong form, with a password where none belongs; or if this build
/// reads no addresses.
pub fn public(path: &Path) -> Result<PathBuf> {
    let Some(scheme) = scheme(path) else { return Ok(path.to_owned()) };
    if !is_address(path) {
        ensure!(
            path.exists(),
            "{scheme}:// is no address that is read here: name a local file, or an address that begins with s3://, gs://, az://, \
             abfss://, https:// or http://"
        );
        return Ok(path.to_owned());
    }
    ensure!(
        cfg!(feature = "stores"),
        "{scheme}://…: this build of rerank reads and writes no objects in stores: build it with the feature `stores`, or download \
         the file"
    );
    if WEB.contains(&&*scheme) { public_on_web(path) } else { of_store(path) }
}

/// The path of an output: the path itself, or the address of an object.
///
/// # Errors
/// If it is an address that can't be written, or as [`public`].
pub fn written(path: &Path, option: &str) -> Result<PathBuf> {
    ensure!(
        !is_web(path),
        "{option} {}: files on the web can be read, and not written; name a local file, or an object in a store",
        without_secrets(text(path))
    );
    public(path)
}

/// The path of a directory of shards; of an address, that of the prefix.
///
/// # Errors
/// As [`written`].
pub fn directory(path: &Path, option: &str) -> Result<PathBuf> {
    if !is_address(path) || text(path).ends_with('/') {
        return written(path, option);
    }
    written(Path::new(&format!("{}/", text(path))), option)
}

/// Refuses an address where only a local file can be named.
///
/// # Errors
/// If the path is an address.
pub fn check_local(path: &Path, option: &str) -> Result<()> {
    let shown = without_secrets(text(path));
    ensure!(!is_address(path), "{option} {shown}: this file is local and no object in a store; name a local file");
    Ok(())
}

/// The text of a command-line argument without what is secret in an address: names and passwords, and the query of a signed one.
pub fn without_secrets(text: &str) -> String {
    match text.split_once('?').filter(|(_, query)| is_web(Path::new(text)) || is_signature(query)) {
        Some((place, _)) => without_passwords(place) + "?…",
        None => without_passwords(text),
    }
}

/// A text without what is secret in the addresses in it: names and passwords, the queries of files on the web, and queries that sign
/// an address. What stands before the @ of Azure's `abfss://` is no user.
pub fn without_passwords(text: &str) -> String {
    let (mut kept, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once("://") {
        let (address, further) = split_before(after, char::is_whitespace);
        let (host, path) = split_before(address, |end| end == '/');
        let names_container = before.ends_with("abfs") || before.ends_with("abfss");
        let shown = match host.rsplit_once('@') {
            Some((name, _)) if names_container && !name.contains([':', '@']) => host,
            Some((_, host)) => host,
            None => host,
        };
        kept.extend([before, "://"]);
        let whole = format!("{shown}{path}");
        let is_of_web = WEB.iter().any(|scheme| before.to_ascii_lowercase().ends_with(scheme));
        // Punctuation at the end is that of the sentence.
        let sentence = |query: &str| query.len() - query.trim_end_matches(PUNCTUATION).len();
        let is_secret = |query: &str| (is_of_web || is_signature(query)) && sentence(query) < query.len();
        if let Some((place, query)) = whole.split_once('?').filter(|(_, query)| is_secret(query)) {
            kept.extend([place, "?…", query.get(query.len() - sentence(query)..).unwrap_or_default()]);
            rest = further;
        } else {
            kept += shown;
            rest = after.get(host.len()..).unwrap_or_default();
        }
    }
    kept + rest
}

/// The text up to the first of these characters, and the rest.
fn split_before(text: &str, is_end: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(is_end).unwrap_or(text.len()))
}

/// Whether a query signs an address, so that whoever reads it can read the object.
fn is_signature(query: &str) -> bool {
    let query = query.to_ascii_lowercase();
    SIGNATURES.iter().any(|signature| query.contains(signature))
}

#[cfg(feature = "stores")]
/// The whole of an address, with what is not shown of it.
pub(super) fn whole(path: &Path) -> String {
    let known = SECRET.lock().unwrap_or_else(PoisonError::into_inner);
    known.as_ref().and_then(|known| known.get(path)).cloned().unwrap_or_else(|| text(path).to_owned())
}

/// The parts of a store's address: its beginning up to the bucket, and the key.
pub(super) fn parts(path: &Path) -> (&str, &str) {
    let text = text(path);
    let Some((scheme, rest)) = text.split_once("://") else { return (text, "") };
    let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
    (text.get(..scheme.len() + "://".len() + bucket.len()).unwrap_or(text), key)
}

/// Checks the form of a store's address, and writes it as all are written: under the first of the names of its scheme.
fn of_store(path: &Path) -> Result<PathBuf> {
    let (base, key) = parts(path);
    let (scheme, bucket) = base.split_once("://").unwrap_or((base, ""));
    let scheme = scheme.to_ascii_lowercase();
    let form = STORES.iter().find(|(known, _)| *known == scheme).map_or("", |(_, form)| form);
    let names_account = scheme.starts_with("abfs");
    if bucket.contains('@') && (!names_account || bucket.split('@').next().is_some_and(|name| name.contains(':'))) {
        bail!(
            "an address has no name and no password in it, and this one of {scheme}:// has something in front of an @; it has the form \
             {form}, and credentials stand in variables of the environment (see README)"
        );
    }
    let shown = without_secrets(text(path));
    ensure!(
        !text(path).split_once('?').is_some_and(|(_, query)| is_signature(query)),
        "{shown}: behind the ? stands a signature, and an address of {scheme}:// has none; name the signed address that begins with \
         https://, or {form} and credentials in variables of the environment (see README)"
    );
    ensure!(!bucket.is_empty(), "{shown} is no address: it has the form {form}");
    ensure!(
        !key.is_empty() || text(path).ends_with('/'),
        "{shown} names a bucket and no object: name one, as in {form}, or all of them, as {shown}/"
    );
    ensure!(
        !key.starts_with('/'),
        "{shown}: a key that begins with a / can't be named; leave one of the two out if that is the object, or copy it to another key"
    );
    let name = match scheme.as_str() {
        "s3a" => "s3",
        "azure" | "adl" => "az",
        // Without an account, Azure's address names a container alone.
        "abfs" | "abfss" if bucket.contains('@') => "abfss",
        "abfs" | "abfss" => "az",
        known => known,
    };
    Ok(PathBuf::from(format!("{name}://{bucket}{}", text(path).get(base.len()..).unwrap_or_default())))
}

#[cfg(feature = "stores")]
fn public_on_web(path: &Path) -> Result<PathBuf> {
    let hidden = without_secrets(text(path));
    let Ok(mut url) = url::Url::parse(text(path)) else { bail!("{hidden} is no address on the web") };
    ensure!(url.host_str().is_some(), "{hidden} is no address on the web: it has no host");
    ensure!(
        url.fragment().is_none(),
        "{hidden}: what stands behind a # is no part of a file's address; write %23, or leave it out"
    );
    let full = url.to_string();
    // An address without a password can be shown without one.
    let _ = url.set_username("").and_then(|()| url.set_password(None));
    url.set_query(None);
    let shown = PathBuf::from(url.to_string());
    if *shown != *full {
        let mut known = SECRET.lock().unwrap_or_else(PoisonError::into_inner);
        let earlier = known.get_or_insert_default().insert(shown.clone(), full.clone());
        ensure!(
            earlier.is_none_or(|earlier| earlier == full),
            "two addresses that are read differ only in what is not shown of them: {} has several queries or passwords; download one",
            shown.display()
        );
    }
    Ok(shown)
}

#[cfg(not(feature = "stores"))]
fn public_on_web(path: &Path) -> Result<PathBuf> {
    Ok(path.to_owned())
}

fn is_of_store(scheme: &str) -> bool {
    STORES.iter().any(|(known, _)| *known == scheme)
}

/// What stands in front of `://`, if that has the form of a scheme, in lower case.
fn scheme(path: &Path) -> Option<String> {
    let (scheme, _) = text(path).split_once("://")?;
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    is_scheme.then(|| scheme.to_ascii_lowercase())
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_from_paths() {
        for (path, is) in [
            ("s3://b/k", true),
            ("abfss://c@a.dfs.core.windows.net/k", true),
            ("https://h/k?x", true),
            ("./s3:/b", false),
            ("a:b", false),
            ("hdfs://h/k", false),
        ] {
            assert_eq!(is_address(Path::new(path)), is, "{path}");
        }
        assert!(public(Path::new("hdfs://h/k")).unwrap_err().to_string().contains("hdfs://"));
    }

    #[test]
    #[cfg(feature = "stores")]
    fn nothing_secret_is_shown() {
        for address in ["https://me:secret@host/in.jsonl?X-Sig=secret", "http://host/in.jsonl?secret"] {
            let shown = public(Path::new(address)).unwrap();
            assert!(!shown.display().to_string().contains("secret"), "{}", shown.display());
            assert_eq!(whole(&shown), address);
            assert!(!without_secrets(address).contains("secret"));
        }
        for address in [
            "s3://key:secret@bucket/k",
            "s3://secret@bucket",
            "abfss://c:secret@account/k",
            "az://c/x.jsonl?sv=1&sig=secret",
            "s3://b/x?X-Amz-Signature=secret",
            "gs://b?x-goog-signature=secret",
        ] {
            for shown in
                [public(Path::new(address)), check_local(Path::new(address), "--stats").map(|()| PathBuf::new())]
            {
                assert!(!shown.unwrap_err().to_string().contains("secret"));
            }
        }
        for address in ["abfss://container@account/k", "s3://bucket/a@b/k?x", "a path?", "s3://bucket", "abfss://c@a"] {
            assert_eq!(without_secrets(address), address);
        }
        assert_eq!(
            without_passwords("--model s3://key:pass@word@bucket/m: no (https://me@host:1/a@b, abfss://c:d@account)"),
            "--model s3://bucket/m: no (https://host:1/a@b, abfss://account)"
        );
        assert_eq!(
            without_passwords(
                "no https://u:p?@h/m?sig=secret, \"HTTP://h?token=secret\" or s3://b/?.jsonl?Signature=secret: no https://h/?"
            ),
            "no https://h/m?…, \"HTTP://h?…\" or s3://b/?…: no https://h/?"
        );
    }

    #[test]
    #[cfg(feature = "stores")]
    fn an_object_has_one_name() {
        for (given, name) in [
            ("s3a://b/k/", "s3://b/k/"),
            ("S3://b/K", "s3://b/K"),
            ("adl://c/k", "az://c/k"),
            ("azure://c/k", "az://c/k"),
            ("abfs://c/k", "az://c/k"),
            ("abfs://c@a.dfs.core.windows.net/k", "abfss://c@a.dfs.core.windows.net/k"),
            ("HTTP://Host:80/K", "http://host/K"),
        ] {
            assert_eq!(public(Path::new(given)).unwrap(), Path::new(name), "{given}");
        }
        assert!(public(Path::new("s3://b//k")).unwrap_err().to_string().contains("s3://b//k"));
    }
}
