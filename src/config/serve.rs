//! Resolves the options of `rerank serve`.

use std::env::VarError;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::{resolve_session, resolve_verbosity};
use crate::cli::{AddressArguments, LimitArguments, LogFormat, ServeArguments};
use crate::serve::{Address, Dialect, ServeConfig, ServiceLimits};

/// The variable that has keys, where no file is named.
const KEYS: &str = "RERANK_API_KEY";

/// Resolves the options of `rerank serve`.
///
/// # Errors
/// A sentence with the remedy for options that contradict each other or name something that isn't there.
pub fn resolve_serve(arguments: &ServeArguments) -> Result<ServeConfig> {
    let ServeArguments { address, limits, model, recipe, batch, cache, running } = arguments;
    ensure!(
        address.port != 0 || !running.verbosity.quiet,
        "--port 0: with --quiet, nobody would learn which port is taken; name one, or leave --quiet out"
    );
    let session = resolve_session(model, recipe, batch, cache, running.threads)?;
    let names = names(address, &model.model)?;
    let address = resolve_address(address)?;
    Ok(ServeConfig {
        limits: resolve_service_limits(limits)?,
        model: session.model,
        names,
        cache: session.cache,
        is_json_log: running.log_format == LogFormat::Json,
        metrics_alias: running.metrics_alias,
        verbosity: resolve_verbosity(&running.verbosity),
        notes: session.notes.into_iter().chain(note_on_keys(&address.keys)).collect(),
        address,
    })
}

fn resolve_address(arguments: &AddressArguments) -> Result<Address> {
    let AddressArguments { host, port, api_key_file, cors, dialect, .. } = arguments;
    let keys = match api_key_file {
        Some(path) => keys(&read(path)?).with_context(|| format!("--api-key-file {}", path.display()))?,
        None => match std::env::var(KEYS) {
            Ok(text) => keys(&text).context(KEYS)?,
            Err(VarError::NotPresent) => Vec::new(),
            Err(VarError::NotUnicode(_)) => bail!("{KEYS}: it is not UTF-8; use letters, digits and signs of ASCII"),
        },
    };
    let dialect = match dialect {
        None => None,
        Some(name) => Some(Dialect::from_name(name).with_context(|| {
            let names: Vec<&str> = Dialect::names().collect();
            format!("--dialect {name}: it is one of {}", names.join(", "))
        })?),
    };
    for origin in cors.iter().filter(|origin| *origin != "*") {
        let is_origin = ["http://", "https://"].iter().any(|scheme| {
            let host = origin.strip_prefix(scheme);
            host.is_some_and(|host| !host.is_empty() && !host.contains('/') && host.bytes().all(is_of_host))
        });
        ensure!(
            is_origin,
            "--cors {origin}: an origin has a scheme and a host in lower case, as https://example.org, and no path; a host with \
             other letters than ASCII's is written as browsers send it, with xn--"
        );
    }
    Ok(Address { host: host.clone(), port: *port, keys, cors: cors.clone(), dialect })
}

/// Whether a byte can stand in the host and port that a browser sends.
fn is_of_host(byte: u8) -> bool {
    byte.is_ascii_graphic() && !byte.is_ascii_uppercase()
}

/// The names of the model: those that are given, or that of `--model`, for a hub's id also without its owner.
fn names(address: &AddressArguments, model: &str) -> Result<Vec<String>> {
    if !address.served_model_name.is_empty() {
        let is_name = |name: &String| !name.trim().is_empty();
        ensure!(
            address.served_model_name.iter().all(is_name),
            "--served-model-name: one of the names is empty; write names with commas between them, or leave it out"
        );
        return Ok(address.served_model_name.clone());
    }
    let path = model.trim_end_matches('/');
    let last = path.rsplit('/').next().unwrap_or(path);
    // A directory's path is nobody else's business.
    let mut names = if Path::new(model).is_dir() { vec![last] } else { vec![model, last] };
    names.dedup();
    Ok(names.into_iter().map(str::to_owned).collect())
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("--api-key-file: cannot read {}", path.display()))
}

/// The keys of a text, one a line. They are in no message.
fn keys(text: &str) -> Result<Vec<String>> {
    let mut keys = Vec::new();
    for (index, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let (number, key) = (index + 1, line.trim());
        // A key that somebody has put out of use must not let anybody in.
        ensure!(
            !key.starts_with('#'),
            "line {number} begins with #, and comments are not possible: remove the line, or choose a key that begins with another \
             sign"
        );
        ensure!(
            key.bytes().all(|byte| byte.is_ascii_graphic()),
            "line {number} has characters that a key can't have: write one key a line, of letters, digits and signs of ASCII, \
             without spaces"
        );
        keys.extend(Some(key.to_owned()).filter(|key| !key.is_empty()));
    }
    ensure!(!keys.is_empty(), "there is no key in it; write one key a line, or leave it out to serve everybody");
    Ok(keys)
}

/// What the user should know of keys: several are often written with commas.
fn note_on_keys(keys: &[String]) -> Option<String> {
    let has_comma = keys.iter().any(|key| key.contains(','));
    has_comma.then(|| "a key with a comma in it is one key; several are written one a line".to_owned())
}

fn resolve_service_limits(arguments: &LimitArguments) -> Result<ServiceLimits> {
    let LimitArguments { max_body, max_documents, max_queue_pairs, max_queue_size, .. } = *arguments;
    ensure!(max_body > 0, "--max-body 0: no request would be taken; name a size from 1 byte on, as 32MiB");
    ensure!(
        max_queue_pairs >= max_documents,
        "--max-queue-pairs {max_queue_pairs}: a request of {max_documents} documents would never be taken; raise it, or lower \
         --max-documents"
    );
    ensure!(
        max_queue_size >= max_body,
        "--max-queue-size {max_queue_size}: a request of {max_body} bytes would never be taken; raise it, or lower --max-body"
    );
    Ok(ServiceLimits {
        body_bytes: max_body as usize,
        documents: max_documents as usize,
        characters: arguments.max_characters as usize,
        queue_pairs: max_queue_pairs as usize,
        queue_bytes: max_queue_size as usize,
        connections: arguments.max_connections as usize,
        request: Duration::from_secs(arguments.request_timeout),
        drain: Duration::from_secs(arguments.drain_timeout),
    })
}
