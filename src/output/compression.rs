//! Compression of the output, which the file's name determines.

use std::io::{self, Write};
use std::path::Path;

use anyhow::Result;
use flate2::write::GzEncoder;
use zstd::stream::write::Encoder as ZstdEncoder;

use crate::exit::UsageError;

/// A gzip member or a Zstandard frame ends with the ranking that makes it this long. Complete rankings can then be read
/// without the rest of the file, and short ones are still compressed together.
pub(crate) const MEMBER_BYTES: usize = 32 << 10;

/// The compression that a file's last extension names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// Not compressed.
    #[default]
    None,
    /// `.gz`.
    Gzip,
    /// `.zst`.
    Zstandard,
}

impl Compression {
    /// The compression, and the name without its extension.
    ///
    /// # Errors
    /// If the extension is that of another compression, which can't be written.
    pub fn of(path: &Path) -> Result<(Self, &Path)> {
        let stem = path.file_stem().map_or(path, Path::new);
        let compression = match extension(path).as_deref() {
            Some("gz" | "gzip") => Self::Gzip,
            Some("zst" | "zstd") => Self::Zstandard,
            Some(name @ ("xz" | "bz2" | "lz4" | "lzma" | "br" | "zip" | "7z" | "z" | "tar" | "tgz")) => {
                let problem = format!(
                    "--output {}: .{name} files are not written; name it .gz or .zst, or pipe the output through a program",
                    path.display()
                );
                return Err(UsageError::new(problem).into());
            }
            _ => return Ok((Self::None, path)),
        };
        if matches!(Self::of(stem), Err(_) | Ok((Self::Gzip | Self::Zstandard, _))) {
            let problem = format!("--output {}: a file is compressed once; name one compression", path.display());
            return Err(UsageError::new(problem).into());
        }
        Ok((compression, stem))
    }
}

/// A name's last extension in lower case.
pub fn extension(path: &Path) -> Option<String> {
    path.extension().map(|extension| extension.to_string_lossy().to_lowercase())
}

/// Compresses rankings one after the other. At any time, the bytes that were returned so far can be decompressed to all
/// rankings so far.
pub(crate) enum Compressor {
    None,
    Gzip { encoder: Option<GzEncoder<Vec<u8>>>, taken: usize },
    Zstandard { encoder: Option<ZstdEncoder<'static, Vec<u8>>>, taken: usize },
}

impl Compressor {
    pub(crate) fn new(compression: Compression) -> Self {
        match compression {
            Compression::None => Self::None,
            Compression::Gzip => Self::Gzip { encoder: None, taken: 0 },
            Compression::Zstandard => Self::Zstandard { encoder: None, taken: 0 },
        }
    }

    /// Replaces the bytes of a ranking by the compressed bytes for the file.
    pub(crate) fn compress(&mut self, bytes: &mut Vec<u8>) -> io::Result<()> {
        let is_full = match self {
            Self::None => return Ok(()),
            Self::Gzip { encoder, taken } => {
                let open = || GzEncoder::new(Vec::new(), flate2::Compression::default());
                let encoder = encoder.get_or_insert_with(open);
                encoder.write_all(bytes)?;
                encoder.flush()?;
                *taken += bytes.len();
                *bytes = std::mem::take(encoder.get_mut());
                *taken >= MEMBER_BYTES
            }
            Self::Zstandard { encoder, taken } => {
                if encoder.is_none() {
                    let mut opened = ZstdEncoder::new(Vec::new(), zstd::DEFAULT_COMPRESSION_LEVEL)?;
                    opened.include_checksum(true)?;
                    *encoder = Some(opened);
                }
                let Some(encoder) = encoder else { return Ok(()) };
                encoder.write_all(bytes)?;
                encoder.flush()?;
                *taken += bytes.len();
                *bytes = std::mem::take(encoder.get_mut());
                *taken >= MEMBER_BYTES
            }
        };
        if is_full {
            bytes.append(&mut self.end()?);
        }
        Ok(())
    }

    /// The bytes that end the open member or frame, if there is one.
    pub(crate) fn end(&mut self) -> io::Result<Vec<u8>> {
        match self {
            Self::None => Ok(Vec::new()),
            Self::Gzip { encoder, taken } => {
                *taken = 0;
                encoder.take().map_or_else(|| Ok(Vec::new()), GzEncoder::finish)
            }
            Self::Zstandard { encoder, taken } => {
                *taken = 0;
                encoder.take().map_or_else(|| Ok(Vec::new()), ZstdEncoder::finish)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn read(compression: Compression, mut bytes: &[u8]) -> (Vec<u8>, bool) {
        let mut content = Vec::new();
        let end = match compression {
            Compression::None => bytes.read_to_end(&mut content),
            Compression::Gzip => flate2::read::MultiGzDecoder::new(bytes).read_to_end(&mut content),
            Compression::Zstandard => zstd::stream::read::Decoder::new(bytes).unwrap().read_to_end(&mut content),
        };
        (content, end.is_ok())
    }

    #[test]
    fn rankings_so_far_can_be_read_before_the_end_and_after() {
        for compression in [Compression::None, Compression::Gzip, Compression::Zstandard] {
            let mut compressor = Compressor::new(compression);
            let (mut file, mut whole) = (Vec::new(), Vec::new());
            for index in 0..2000 {
                let line = format!("ranking {index} of a run\n").repeat(1 + index % 5);
                whole.extend_from_slice(line.as_bytes());
                let mut bytes = line.into_bytes();
                compressor.compress(&mut bytes).unwrap();
                file.append(&mut bytes);
                if index % 100 == 0 {
                    assert_eq!(read(compression, &file).0, whole, "{compression:?} after {index}");
                }
            }
            file.append(&mut compressor.end().unwrap());
            assert_eq!(read(compression, &file), (whole.clone(), true));
            assert!(compression == Compression::None || file.len() * 3 < whole.len(), "{}", file.len());
        }
    }

    #[test]
    fn a_long_ranking_is_complete_in_itself() {
        for compression in [Compression::Gzip, Compression::Zstandard] {
            let text = "a long text ".repeat(MEMBER_BYTES / 10).into_bytes();
            let mut bytes = text.clone();
            Compressor::new(compression).compress(&mut bytes).unwrap();
            assert_eq!(read(compression, &bytes), (text, true));
        }
    }

    #[test]
    fn the_compression_follows_the_extension() {
        let of = |name: &'static str| Compression::of(Path::new(name)).unwrap();
        assert_eq!(of("a.jsonl.gz"), (Compression::Gzip, Path::new("a.jsonl")));
        assert_eq!(of("a/b.trec.ZST"), (Compression::Zstandard, Path::new("b.trec")));
        assert_eq!(of("a.csv"), (Compression::None, Path::new("a.csv")));
        for name in ["a.xz", "a.jsonl.bz2", "a.jsonl.gz.zst", "a.xz.gz"] {
            assert!(Compression::of(Path::new(name)).unwrap_err().to_string().contains(name));
        }
    }
}
