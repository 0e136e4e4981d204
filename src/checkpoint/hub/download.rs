//! Downloads one file from the hub into the cache: its facts are requested, the cache is locked, the file is fetched in as many
//! parts as it takes, and then published.

use std::cell::Cell;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use indicatif::HumanBytes;
use ureq::http::{HeaderMap, StatusCode};

use super::Hub;
use super::cache::{ELSEWHERE, is_plain};
use super::client::{Answer, Client, encoded};
use super::failure::{Asked, Failure};
use super::patience;
use super::progress::{Downloads, Progress, print};
use crate::slices::first;
use crate::transport::is_timeout;

/// The facts that the hub states about a file before it is fetched.
pub(super) struct Facts {
    pub(super) address: String,
    commit: String,
    etag: String,
    pub(super) size: u64,
}

/// Downloads a file that the cache lacks.
///
/// # Errors
/// If the hub does not give it, or the cache can't be written.
pub(super) fn download(hub: &Hub, client: &Client, file: &str) -> Result<PathBuf> {
    let facts = facts_of(hub, client, file)?;
    let on_wait = || hub.report(&format!("another process is downloading {file} of {}; waiting for it", hub.name));
    let lock = hub.place.lock(&facts.etag, on_wait)?;
    let content = hub.place.content(&facts.etag);
    if fs::metadata(&content).is_ok_and(|found| found.len() == facts.size) {
        return hub.place.publish(file, &facts.commit, &facts.etag);
    }
    let mut part = content.as_os_str().to_owned();
    part.push(".incomplete");
    let part = PathBuf::from(part);
    fetch(hub, client, (file, &facts), &part)?;
    fs::rename(&part, &content).with_context(|| format!("cannot write {}", content.display()))?;
    let path = hub.place.publish(file, &facts.commit, &facts.etag)?;
    drop(lock);
    Ok(path)
}

/// The facts about a file. Files of one model are of one commit: a branch that has moved since the others were downloaded is not
/// mixed with them.
///
/// # Errors
/// If the hub does not state them.
pub(super) fn facts_of(hub: &Hub, client: &Client, file: &str) -> Result<Facts> {
    let facts = ask(hub, client, (file, &hub.revision))?;
    match hub.place.commit().filter(|commit| *commit != facts.commit) {
        Some(commit) => ask(hub, client, (file, &commit)),
        None => Ok(facts),
    }
}

/// Asks for the file's first byte: the answer has its size, its commit and its content's name.
fn ask(hub: &Hub, client: &Client, (file, revision): (&str, &str)) -> Result<Facts> {
    let address = format!("{}/{}/resolve/{}/{file}", client.endpoint, hub.id, encoded(revision));
    let what = format!("{file} of model {}", hub.name);
    let answer = client.persist(
        &what,
        |message| hub.report(message),
        || client.get(&address, Some("bytes=0-0"), &asked(hub, client, file, revision)),
    )?;
    let plain = |name: Option<&String>| {
        let name = name.map(|name| name.trim_start_matches("W/").replace('"', ""));
        name.filter(|name| is_plain(name))
    };
    let (commit, etag) = (plain(answer.commit.as_ref()), plain(answer.etag.as_ref()));
    let size = answer.linked_size.or(size(&answer));
    let lacks = match (is_page(&answer, file), &commit, &etag, size) {
        (true, ..) => Some("the answer is a web page"),
        (_, None, ..) => Some("the answer lacks the commit (X-Repo-Commit)"),
        (_, _, None, _) => Some("the answer lacks the content's name (ETag)"),
        (.., None) => Some("the answer lacks the size (Content-Length)"),
        _ => None,
    };
    let (None, Some(commit), Some(etag), Some(size)) = (lacks, commit, etag, size) else {
        bail!("cannot get {what} from {}: {}; {IN_BETWEEN}", client.name, lacks.unwrap_or_default())
    };
    Ok(Facts { address, commit, etag, size })
}

/// What is asked for, for messages.
pub(super) fn asked<'a>(hub: &'a Hub, client: &'a Client, file: &'a str, revision: &'a str) -> Asked<'a> {
    Asked { id: &hub.id, revision, file: Some(file), endpoint: &client.name, with_token: client.has_token() }
}

/// The remedy where an answer can't be the hub's.
pub(super) const IN_BETWEEN: &str =
    "a proxy or a login page may stand in between, or HF_ENDPOINT names another kind of server";

/// Whether a server sent a page for people instead of a file.
fn is_page(answer: &Answer, file: &str) -> bool {
    header(&answer.headers, "content-type").is_some_and(|kind| kind.starts_with("text/html")) && !file.ends_with("html")
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// The size of the whole file.
fn size(answer: &Answer) -> Option<u64> {
    match answer.status {
        StatusCode::PARTIAL_CONTENT => header(&answer.headers, "content-range")?.rsplit_once('/')?.1.parse().ok(),
        _ => header(&answer.headers, "content-length")?.parse().ok(),
    }
}

/// Fetches what of the file is not there yet.
fn fetch(hub: &Hub, client: &Client, (file, facts): (&str, &Facts), part: &Path) -> Result<()> {
    let failed = || format!("cannot write {}", part.display());
    let mut opened = File::options().append(true).create(true).read(true).open(part).with_context(failed)?;
    let there = opened.metadata().with_context(failed)?.len();
    if there > facts.size {
        opened.set_len(0).with_context(failed)?;
    }
    let there = if there > facts.size { 0 } else { there };
    let progress = Progress::begin(hub.downloads, (file, &hub.name), facts.size, there);
    let at = Cell::new(there);
    let mut local = None;
    let fetched = client.persist(
        &format!("{file} of model {}", hub.name),
        |message| progress.print(message),
        || {
            if at.get() == facts.size {
                return Ok(());
            }
            let from = format!("bytes={}-", at.get());
            let answer = client.get(&facts.address, Some(&from), &asked(hub, client, file, &hub.revision))?;
            if is_page(&answer, file) {
                return Err(Failure::lasting("the answer is a web page", IN_BETWEEN));
            }
            if size(&answer).is_some_and(|size| size != facts.size) {
                return Err(Failure::lasting("the file has another size than the hub states", IN_BETWEEN));
            }
            receive(client, answer, facts, (&mut opened, &at, &progress)).inspect_err(|failure| {
                // A failure on this machine is reported as it is, and not as one of the hub.
                if let Failure::Final { problem, remedy: None } = failure {
                    local = Some(problem.clone());
                }
            })
        },
    );
    match local {
        Some(problem) => bail!("cannot write {}: {problem}; {ELSEWHERE}", part.display()),
        None => fetched?,
    }
    opened.sync_all().with_context(failed)?;
    ensure!(opened.metadata().with_context(failed)?.len() == facts.size, "{} has changed meanwhile", part.display());
    Ok(())
}

/// Appends what one answer brings.
fn receive(
    client: &Client,
    answer: Answer,
    facts: &Facts,
    (file, at, progress): (&mut File, &Cell<u64>, &Progress),
) -> Result<(), Failure> {
    let on_disk = |error: std::io::Error| Failure::Final { problem: error.to_string(), remedy: None };
    if answer.etag.as_ref().is_some_and(|etag| etag.trim_start_matches("W/").replace('"', "") != facts.etag) {
        return Err(Failure::lasting("the file was replaced while it was downloaded", "run again"));
    }
    let range = header(&answer.headers, "content-range").unwrap_or_default();
    let resumed = range.trim_start_matches("bytes ").split('-').next().and_then(|first| first.parse().ok());
    if answer.status != StatusCode::PARTIAL_CONTENT || resumed != Some(at.get()) {
        if answer.status == StatusCode::PARTIAL_CONTENT && at.get() > 0 {
            file.set_len(0).map_err(on_disk)?;
            at.set(0);
            return Err(Failure::passing("it sent another part of the file than was requested"));
        }
        file.set_len(0).map_err(on_disk)?;
        at.set(0);
    }
    let began = at.get();
    let mut reader = answer.body.into_reader();
    let mut buffer = vec![0u8; 256 << 10];
    loop {
        let broken = |what: String| Failure::Passing {
            problem: format!("{what} after {} of {}", HumanBytes(at.get()), HumanBytes(facts.size)),
            pause: None,
            moved: at.get() - began >= patience::PROGRESS,
        };
        match reader.read(&mut buffer) {
            Ok(0) if at.get() < facts.size => return Err(broken("the download broke off".to_owned())),
            Ok(0) => return Ok(()),
            Ok(count) => {
                if at.get() + count as u64 > facts.size {
                    file.set_len(0).map_err(on_disk)?;
                    at.set(0);
                    return Err(Failure::lasting("the file is longer than was announced", "run again"));
                }
                file.write_all(first(&buffer, count)).map_err(on_disk)?;
                at.set(at.get() + count as u64);
                progress.reach(at.get());
            }
            Err(error) if is_timeout(&error) => {
                return Err(broken(format!("the download stalled: nothing came for {:?}", client.patience.data)));
            }
            Err(error) => return Err(broken(format!("the download broke off ({error})"))),
        }
    }
}

impl Hub {
    /// Prints a message, unless downloads are not to be shown.
    pub(super) fn report(&self, message: &str) {
        if self.downloads != Downloads::Silent {
            print(message);
        }
    }
}
