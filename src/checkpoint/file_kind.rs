//! Recognises what a file is, if it is not what its name promises.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use crate::slices::first;

/// As much of a file's beginning as is needed to recognise what it is.
const HEAD: u64 = 512;

/// A file that is not what its name promises, as after a download that went wrong.
#[derive(Debug)]
pub(crate) struct Damaged(pub(super) String);

impl std::fmt::Display for Damaged {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for Damaged {}

/// Reads a file of JSON that must not be larger than `most` bytes.
///
/// # Errors
/// If it can't be read, is larger, or is something else than JSON.
pub(crate) fn read_text(path: &Path, most: u64) -> Result<String> {
    let text = read_bytes(path, most)?;
    let text = String::from_utf8(text).map_err(|error| error.into_bytes());
    let other = match &text {
        Ok(text) if text.trim_start_matches('\u{feff}').trim_start().starts_with(['{', '[']) => None,
        Ok(text) => Some(text.as_bytes()),
        Err(bytes) => Some(bytes.as_slice()),
    };
    if let Some(bytes) = other {
        let problem = describe(first(bytes, HEAD as usize));
        bail!(Damaged(format!("{} is not JSON: {problem}", path.display())));
    }
    Ok(text.unwrap_or_default().trim_start_matches('\u{feff}').to_owned())
}

/// Reads a file of a person's text, such as a template, that must not be larger than `most` bytes.
///
/// # Errors
/// If it can't be read, is larger, or is something else than text.
pub(crate) fn read_plain_text(path: &Path, most: u64) -> Result<String> {
    let bytes = read_bytes(path, most)?;
    if let Some(problem) = known(first(&bytes, HEAD as usize)) {
        bail!(Damaged(format!("{} can't be read: {problem}", path.display())));
    }
    let text = String::from_utf8(bytes).with_context(|| format!("{} is not text in UTF-8", path.display()))?;
    Ok(text.trim_start_matches('\u{feff}').to_owned())
}

fn read_bytes(path: &Path, most: u64) -> Result<Vec<u8>> {
    let failed = || format!("cannot read {}", path.display());
    let file = File::open(path).with_context(failed)?;
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes).with_context(failed)?;
    ensure!(
        bytes.len() as u64 <= most,
        "{} has more than {} MiB, which no such file of a model has",
        path.display(),
        most >> 20
    );
    Ok(bytes)
}

/// The first bytes of a file.
///
/// # Errors
/// If it can't be read.
pub(super) fn head(path: &Path) -> Result<Vec<u8>> {
    let failed = || format!("cannot read {}", path.display());
    let mut bytes = Vec::new();
    File::open(path).with_context(failed)?.take(HEAD).read_to_end(&mut bytes).with_context(failed)?;
    Ok(bytes)
}

/// Names what a file with this beginning is, and the remedy, as the end of a sentence.
pub(super) fn describe(head: &[u8]) -> String {
    known(head).map_or_else(|| beginning(head), str::to_owned)
}

/// As [`describe`], for the kinds that can be recognised for sure.
pub(super) fn known(head: &[u8]) -> Option<&'static str> {
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    let text = head.trim_ascii_start();
    let lower = text.to_ascii_lowercase();
    let starts = |prefixes: &[&[u8]]| prefixes.iter().any(|prefix| head.starts_with(prefix));
    Some(match () {
        () if head.is_empty() => "it is empty; download it again",
        () if text.starts_with(b"version https://git-lfs.github.com/spec/") => {
            "it is a Git LFS pointer, which only names the file; run `git lfs install` and `git lfs pull` in its \
             repository, or download it with `hf download`"
        }
        () if text.starts_with(b"# xet version") => {
            "it is a Xet pointer, which only names the file; download it with `hf download`"
        }
        () if [&b"<!doctype"[..], b"<html", b"<head", b"<?xml", b"<!--"].iter().any(|tag| lower.starts_with(tag)) => {
            "it is a web page, as a browser or a proxy saves it in place of the file; download the file itself (on the hub, \
             its address has /resolve/ and not /blob/)"
        }
        () if head.starts_with(b"GGUF") => GGUF,
        () if starts(&[b"PK\x03\x04", b"PK\x05\x06"]) => {
            "it is a zip archive, as torch.save writes PyTorch checkpoints; unpack it if it is a download, or convert the \
             checkpoint to safetensors with save_pretrained() of transformers"
        }
        () if starts(&[b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"]) => PICKLE,
        () if head.starts_with(b"\x89HDF") => "it is an HDF5 file of TensorFlow or Keras; rerank reads safetensors",
        () if starts(&[b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\xfd7zXZ", b"BZh", b"7z\xbc\xaf"]) => {
            "it is compressed; unpack it first"
        }
        () if head.get(257..262) == Some(b"ustar") => "it is a tar archive; unpack it first",
        () if starts(&[b"PAR1", b"ARROW1"]) => "it is a table of data (Parquet or Arrow), and no part of a model",
        () if starts(&[b"\xff\xfe", b"\xfe\xff"]) => "it is text in UTF-16; convert it with `iconv -f UTF-16 -t UTF-8`",
        () if is_safetensors(head) => "it is a safetensors file, which has the weights",
        () if is_onnx(head) => ONNX,
        () if head.iter().all(|byte| *byte == 0) => {
            "it holds only zeros, as a download leaves it that broke off; download it again"
        }
        () => return None,
    })
}

const GGUF: &str =
    "it is a GGUF file; give it a name that ends with .gguf, as it was published, and name it with --model";
pub(super) const ONNX: &str =
    "it is an ONNX file, which is for ONNX Runtime; name a directory with the model's safetensors, which rerank reads";
pub(super) const PICKLE: &str = "it is a PyTorch checkpoint in Python's pickle format, which can run any program while it is \
     read; convert it to safetensors with save_pretrained() of transformers";

fn is_safetensors(head: &[u8]) -> bool {
    matches!(head, [_, _, _, _, _, _, 0, 0, b'{', b'"', ..])
}

/// A protocol buffer whose first field is a small version number, and whose second is the producer's name or a graph.
fn is_onnx(head: &[u8]) -> bool {
    matches!(head, [8, 1..32, 0x12 | 0x3a | 0x42, _, ..])
}

/// How an unknown file begins, in quotes where it is text.
fn beginning(head: &[u8]) -> String {
    let text = String::from_utf8_lossy(head);
    let start: String = text.trim_start().chars().take(60).collect();
    if start.chars().any(|character| character == '\u{fffd}' || character.is_control() && !character.is_whitespace()) {
        return "it is a binary file of another kind".to_owned();
    }
    format!("it begins with {start:?}; download it again")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_called_what_they_are() {
        for (head, named) in [
            (&b""[..], "empty"),
            (b"version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 9\n", "git lfs pull"),
            (b"\n <!DOCTYPE html><html>", "web page"),
            (b"GGUF\x03\0\0\0", "ends with .gguf"),
            (b"PK\x03\x04abc", "zip archive"),
            (b"\x80\x02}q\0", "pickle"),
            (b"\x89HDF\r\n", "HDF5"),
            (b"\x1f\x8b\x08", "compressed"),
            (b"\x30\0\0\0\0\0\0\0{\"a\":", "safetensors"),
            (b"\x08\x08\x12\x07pytorch", "ONNX"),
            (&[0; 64], "zeros"),
            (b"Entry not found", "\"Entry not found\""),
            (b"\x01\x02\x03\xfe", "another kind"),
        ] {
            assert!(describe(head).contains(named), "{head:?}: {}", describe(head));
        }
    }
}
