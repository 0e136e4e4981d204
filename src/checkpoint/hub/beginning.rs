//! Reads the beginning of a file on the hub, where the rest is not needed.

use anyhow::{Result, ensure};
use indicatif::HumanBytes;
use ureq::http::StatusCode;

use super::download::{IN_BETWEEN, asked, facts_of};
use super::failure::Failure;
use super::{Client, Hub};

/// The bytes of the first request. Each further one asks for three times what is there.
const FIRST: u64 = 256 << 10;
/// More than what stands before the tensors of any model takes.
const MOST: u64 = 64 << 20;

/// The beginning of a file.
pub(in crate::checkpoint) struct Beginning {
    pub(in crate::checkpoint) bytes: Vec<u8>,
    /// The bytes of the whole file.
    pub(in crate::checkpoint) size: u64,
}

impl Hub {
    /// The beginning of a file, as long as is needed; none while offline. The cache does not keep it.
    ///
    /// # Errors
    /// If the hub does not give it.
    pub(in crate::checkpoint) fn beginning(
        &self,
        file: &str,
        is_enough: impl Fn(&[u8]) -> bool,
    ) -> Result<Option<Beginning>> {
        let Some(client) = &self.client else { return Ok(None) };
        let facts = facts_of(self, client, file)?;
        let size = facts.size;
        self.report(&format!("reading the metadata of {file} of {}, which has {}", self.name, HumanBytes(size)));
        let mut bytes = Vec::new();
        while (bytes.len() as u64) < size.min(MOST) && !is_enough(&bytes) {
            let from = bytes.len() as u64;
            let end = size.min((4 * from).max(FIRST));
            bytes.extend(self.part(client, (file, &facts.address), from, end)?);
        }
        Ok(Some(Beginning { bytes, size }))
    }

    /// The bytes from one place of a file to another.
    fn part(&self, client: &Client, (file, address): (&str, &str), from: u64, end: u64) -> Result<Vec<u8>> {
        let what = format!("{file} of model {}", self.name);
        let range = format!("bytes={from}-{}", end - 1);
        let part = client.persist(
            &what,
            |message| self.report(message),
            || {
                let answer = client.get(address, Some(&range), &asked(self, client, file, &self.revision))?;
                match answer.status {
                    // What has as many bytes as a limit allows is refused, too.
                    StatusCode::PARTIAL_CONTENT => client.bytes(answer, end - from + 1),
                    _ => Err(Failure::lasting("it sent all of the file, of which a part was requested", IN_BETWEEN)),
                }
            },
        )?;
        ensure!(
            part.len() as u64 == end - from,
            "cannot get {what} from {}: it sent {} bytes of {}; {IN_BETWEEN}",
            client.name,
            part.len(),
            end - from
        );
        Ok(part)
    }
}
