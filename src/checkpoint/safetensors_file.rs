//! One safetensors file: where its tensors are.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result, bail};
use memmap2::Mmap;
use safetensors::{Dtype, SafeTensorError, SafeTensors};
use serde_json::Value;

use super::file_kind::{self, Damaged};
use crate::slices::first;

/// A file, read where it is needed.
pub(super) struct Mapped {
    pub(super) memory: Mmap,
    pub(super) tensors: HashMap<String, Entry>,
}

/// A tensor's place.
pub(super) struct Entry {
    pub(super) dtype: Dtype,
    pub(super) shape: Vec<usize>,
    /// Where its bytes are in the file.
    pub(super) start: usize,
    pub(super) length: usize,
}

impl Mapped {
    /// Maps a file and reads its header. The header's sizes are checked against each other and the file's before they are
    /// used.
    ///
    /// # Errors
    /// If it can't be read, is cut off or something else than safetensors.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
        // SAFETY: as for every mapped file, another program that cuts it meanwhile ends this one. Downloaded models are
        // files that nobody changes.
        let memory = unsafe { Mmap::map(&file) }.with_context(|| format!("cannot read {}", path.display()))?;
        match entries(&memory) {
            Ok(tensors) => Ok(Self { memory, tensors }),
            Err(error) => {
                let problem = problem(&memory, &error);
                bail!(Damaged(format!("{} is not a complete safetensors file: {problem}", path.display())))
            }
        }
    }

    #[expect(clippy::indexing_slicing, reason = "places of this file, checked against its size when it was opened")]
    pub(super) fn bytes(&self, entry: &Entry) -> &[u8] {
        &self.memory[entry.start..entry.start + entry.length]
    }
}

fn entries(bytes: &[u8]) -> Result<HashMap<String, Entry>, SafeTensorError> {
    let base = bytes.as_ptr() as usize;
    let tensors = SafeTensors::deserialize(bytes)?;
    let entry = |(name, view): (String, safetensors::tensor::TensorView<'_>)| {
        let start = view.data().as_ptr() as usize - base;
        (name, Entry { dtype: view.dtype(), shape: view.shape().to_vec(), start, length: view.data().len() })
    };
    Ok(tensors.tensors().into_iter().map(entry).collect())
}

/// What is wrong with a file, and what to do.
fn problem(bytes: &[u8], error: &SafeTensorError) -> String {
    let head = first(bytes, 512);
    let looks_right = head.get(8) == Some(&b'{');
    if let Some(kind) = file_kind::known(head).filter(|_| !looks_right) {
        return kind.to_owned();
    }
    let problem = match error {
        SafeTensorError::MetadataIncompleteBuffer => match announced(bytes) {
            Some(size) => format!("its header announces {size} bytes, and it has {}", bytes.len()),
            None => "its header's sizes and the file's do not agree".to_owned(),
        },
        SafeTensorError::HeaderTooSmall => format!("it has {} bytes only", bytes.len()),
        SafeTensorError::InvalidHeaderLength | SafeTensorError::HeaderTooLarge if looks_right => {
            format!("it ends within its header, after {} bytes", bytes.len())
        }
        SafeTensorError::InvalidHeaderDeserialization(_) => match header(bytes) {
            Some(header) => not_safetensors(&header),
            None => "its header is no valid JSON".to_owned(),
        },
        SafeTensorError::TensorInvalidInfo | SafeTensorError::ValidationOverflow => {
            "its header gives a tensor another size than the tensor's shape has".to_owned()
        }
        SafeTensorError::InvalidOffset(name) => {
            format!("its header has tensor {name} overlap another, or leaves a gap before it")
        }
        _ if looks_right => "its header is damaged".to_owned(),
        _ => return file_kind::describe(head),
    };
    format!("{problem}; download it again")
}

/// The header, if it is JSON.
fn header(bytes: &[u8]) -> Option<Value> {
    let length = u64::from_le_bytes(bytes.get(..8)?.try_into().ok()?);
    let end = usize::try_from(length.checked_add(8)?).ok()?;
    serde_json::from_slice(bytes.get(8..end)?).ok()
}

/// What a header in JSON has that safetensors files have not.
fn not_safetensors(header: &Value) -> String {
    let known = |tensor: &Value| serde_json::from_value::<Dtype>(tensor["dtype"].clone()).is_ok();
    let tensors = header.as_object().into_iter().flatten().filter(|(name, _)| *name != "__metadata__");
    match tensors.into_iter().find(|(_, tensor)| !known(tensor)) {
        Some((name, tensor)) => {
            format!("its header gives tensor {name} the type {}, which is none that rerank knows", tensor["dtype"])
        }
        None => "its header is JSON of another kind than that of safetensors".to_owned(),
    }
}

/// The size that a file should have by its header.
fn announced(bytes: &[u8]) -> Option<u64> {
    let header = header(bytes)?;
    let length = u64::from_le_bytes(bytes.get(..8)?.try_into().ok()?);
    let ends = header.as_object()?.values().filter_map(|tensor| tensor.pointer("/data_offsets/1")?.as_u64());
    ends.max()?.checked_add(length + 8)
}
