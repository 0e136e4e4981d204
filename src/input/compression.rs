//! Compressed streams, recognised by their first bytes so that it works on a pipe too, and unpacked while they are read.

use std::fmt;
use std::io::{self, BufRead, BufReader, ErrorKind, Read};

use bzip2::bufread::MultiBzDecoder;
use flate2::bufread::GzDecoder;
use lzma_rust2::XzReader;

/// The most bytes that a decoder returns at once.
const BUFFER_BYTES: usize = 64 * 1024;

/// The most memory that unpacking an .xz file may take, in KiB; `xz -9` needs 65 MiB.
const XZ_MEMORY_KIBIBYTES: u32 = 1 << 20;

/// The extensions of compressed files.
pub const EXTENSIONS: [&str; 5] = [".gz", ".zst", ".zstd", ".xz", ".bz2"];

/// How a stream is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// gzip, with any number of members.
    Gzip,
    /// Zstandard, with any number of frames.
    Zstandard,
    /// xz, with any number of streams.
    Xz,
    /// bzip2, with any number of streams.
    Bzip2,
}

impl Compression {
    /// Recognises the compression by the first bytes of a stream.
    pub fn of(head: &[u8]) -> Option<Self> {
        match head {
            [0x1f, 0x8b, ..] => Some(Self::Gzip),
            // The second one is a skippable frame, with which pzstd starts its files.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Self::Zstandard),
            [0xfd, b'7', b'z', b'X', ..] => Some(Self::Xz),
            // Behind the level stands the start of a block, or the end of an empty stream: a text may begin with BZh1.
            [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, 0x59, ..]
            | [b'B', b'Z', b'h', b'1'..=b'9', 0x17, 0x72, 0x45, ..] => Some(Self::Bzip2),
            _ => None,
        }
    }

    /// Unpacks a stream.
    ///
    /// # Errors
    /// The decoder can't be made.
    pub fn unpack(self, packed: impl BufRead + Send + 'static) -> io::Result<impl BufRead + Send + 'static> {
        let decoder: Box<dyn Read + Send> = match self {
            Self::Gzip => Box::new(Members(Some(GzDecoder::new(packed)))),
            Self::Zstandard => Box::new(zstd::stream::read::Decoder::with_buffer(packed)?),
            Self::Xz => Box::new(XzReader::new_mem_limit(packed, true, XZ_MEMORY_KIBIBYTES)),
            Self::Bzip2 => Box::new(MultiBzDecoder::new(packed)),
        };
        Ok(BufReader::with_capacity(BUFFER_BYTES, Unpacked { decoder, compression: self, any: false }))
    }

    fn program(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstandard => "zstd",
            Self::Xz => "xz",
            Self::Bzip2 => "bzip2",
        }
    }
}

/// The reason why a compressed stream can't be unpacked further.
#[derive(Debug)]
pub struct Damage {
    compression: Compression,
    kind: DamageKind,
}

#[derive(Debug, PartialEq, Eq)]
enum DamageKind {
    Truncated,
    /// Other bytes stand behind complete compressed data.
    Trailing,
    /// The stream needs more memory than a decoder gets.
    TooLarge,
    /// The decoder's own words.
    Corrupt(String),
}

impl fmt::Display for Damage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let program = self.compression.program();
        match &self.kind {
            DamageKind::Truncated => formatter
                .write_str("ends in the middle of its compressed data: it is truncated, fetch or compress it again"),
            DamageKind::Trailing => write!(
                formatter,
                "holds bytes behind the end of its {program} data that are no {program} data: something was appended to \
                 it; cut that off, or unpack both and join them"
            ),
            DamageKind::TooLarge => write!(
                formatter,
                "needs more memory to be unpacked than is given to it here: pipe it through `{program} -dc`, with the \
                 options that {program} names"
            ),
            DamageKind::Corrupt(reason) => write!(
                formatter,
                "holds damaged {program} data ({reason}): fetch or compress it again; `{program} -t` tests it"
            ),
        }
    }
}

impl std::error::Error for Damage {}

/// A decoder whose errors state what is wrong with the stream, unless the stream could not be read.
struct Unpacked {
    decoder: Box<dyn Read + Send>,
    compression: Compression,
    /// Whether anything was unpacked.
    any: bool,
}

impl Read for Unpacked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.decoder.read(buffer);
        self.any |= read.as_ref().is_ok_and(|&read| read > 0);
        read.map_err(|error| self.explain(error))
    }
}

impl Unpacked {
    fn explain(&self, error: io::Error) -> io::Error {
        if error.raw_os_error().is_some() || error.kind() == ErrorKind::Interrupted {
            return error;
        }
        let reason = error.to_string();
        let has = |words: &[&str]| words.iter().any(|word| reason.to_lowercase().contains(word));
        let kind = match error.kind() {
            ErrorKind::UnexpectedEof => DamageKind::Truncated,
            ErrorKind::OutOfMemory => DamageKind::TooLarge,
            _ if has(&["requires too much memory"]) => DamageKind::TooLarge,
            _ if self.any
                && has(&[TRAILING, "unknown frame", "after stream", "bz2 header missing", "bzip2 header"]) =>
            {
                DamageKind::Trailing
            }
            _ => DamageKind::Corrupt(reason),
        };
        io::Error::new(error.kind(), Damage { compression: self.compression, kind })
    }
}

const TRAILING: &str = "no gzip member";

/// gzip's members one after another. flate2's own reader of several takes whatever stands behind the last one for a
/// damaged member, or for a truncated one; gzip itself passes by zeros, with which tapes and some uploads are filled up.
struct Members<R>(Option<GzDecoder<R>>);

impl<R: BufRead> Read for Members<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let Some(member) = &mut self.0 else { return Ok(0) };
            let read = member.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            let Some(member) = self.0.take() else { return Ok(0) };
            let mut packed = member.into_inner();
            self.0 = match skip_zeros(&mut packed)? {
                None => return Ok(0),
                Some(0x1f) => Some(GzDecoder::new(packed)),
                Some(_) => return Err(io::Error::other(TRAILING)),
            };
        }
    }
}

fn skip_zeros(reader: &mut impl BufRead) -> io::Result<Option<u8>> {
    loop {
        let available = reader.fill_buf()?;
        let zeros = available.iter().position(|&byte| byte != 0).unwrap_or(available.len());
        let (found, ended) = (available.get(zeros).copied(), available.is_empty());
        reader.consume(zeros);
        if found.is_some() || ended {
            return Ok(found);
        }
    }
}
