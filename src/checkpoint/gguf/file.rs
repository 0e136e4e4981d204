//! One GGUF file: its metadata, and where its tensors are. candle's reader is not used here: it refuses a file as a whole where
//! one tensor has a type that it does not know, without a name, and allocates by lengths that nobody has checked.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use memmap2::Mmap;

use super::cursor::Cursor;
use super::kind::Kind;
use super::metadata::{Metadata, shown};
use crate::checkpoint::file_kind::{self, Damaged};
use crate::slices::first;

/// The most dimensions that the format knows.
const MOST_DIMENSIONS: u32 = 4;
/// What the format takes where a file has no `general.alignment`.
const USUAL_ALIGNMENT: usize = 32;
/// Blocks begin with numbers of 16 bits, and values can have 64.
const LEAST_ALIGNMENT: usize = 8;
/// The least bytes that describe a name with a value, and a tensor.
const LEAST_BYTES: [usize; 2] = [13, 24];

/// A file, read where it is needed.
pub(crate) struct GgufFile {
    pub(in crate::checkpoint) path: PathBuf,
    pub(in crate::checkpoint) memory: Mmap,
    pub(in crate::checkpoint) metadata: Metadata,
    pub(in crate::checkpoint) tensors: HashMap<String, Stored>,
    /// Where the tensors begin.
    pub(in crate::checkpoint) data: usize,
}

/// A tensor's place.
#[derive(Debug)]
pub(in crate::checkpoint) struct Stored {
    pub(in crate::checkpoint) kind: Kind,
    /// Rows, and values in a row; without dimensions of 1 in front.
    pub(in crate::checkpoint) shape: Vec<usize>,
    /// Where its bytes are in the file.
    pub(in crate::checkpoint) start: usize,
    pub(in crate::checkpoint) length: usize,
}

impl Stored {
    /// How many values it has.
    pub(in crate::checkpoint) fn values(&self) -> usize {
        self.shape.iter().product()
    }
}

impl GgufFile {
    /// Maps a file and reads what stands before its tensors.
    ///
    /// # Errors
    /// If it can't be read, is cut off or damaged, or has a tensor of a type that is not read.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::map(path, &file)
    }

    /// A file of which only the beginning is here, and which has `size` bytes in all: the values of its tensors are zeros, and take
    /// no room.
    ///
    /// # Errors
    /// As [`GgufFile::open`], and if no temporary file can be written.
    pub(in crate::checkpoint) fn of_beginning(path: &Path, beginning: &[u8], size: u64) -> Result<Self> {
        let written = tempfile::tempfile().and_then(|mut file| {
            file.write_all(beginning)?;
            file.set_len(size)?;
            Ok(file)
        });
        let folder = std::env::temp_dir();
        let file = written.with_context(|| {
            format!("cannot write a temporary file into {}; TMPDIR can name another place", folder.display())
        })?;
        Self::map(path, &file)
    }

    fn map(path: &Path, file: &File) -> Result<Self> {
        let failed = || format!("cannot read {}", path.display());
        // SAFETY: as for every mapped file, another program that cuts it meanwhile ends this one. Downloaded models are
        // files that nobody changes.
        let memory = unsafe { Mmap::map(file) }.with_context(failed)?;
        match read(path, &memory) {
            Ok((metadata, tensors, data)) => Ok(Self { path: path.to_owned(), memory, metadata, tensors, data }),
            Err(error) => {
                bail!(Damaged(format!("{} can't be read as GGUF: {error:#}", path.display())))
            }
        }
    }

    #[expect(clippy::indexing_slicing, reason = "places of this file, checked against its size when it was opened")]
    pub(in crate::checkpoint) fn bytes(&self, stored: &Stored) -> &[u8] {
        &self.memory[stored.start..stored.start + stored.length]
    }
}

type Content = (Metadata, HashMap<String, Stored>, usize);

/// Whether a file's beginning has all that stands before its tensors, or shows that it is none of GGUF.
pub(in crate::checkpoint) fn has_description(beginning: &[u8]) -> bool {
    let is_other = beginning.len() >= 4 && !beginning.starts_with(b"GGUF");
    is_other || described(Path::new(""), &mut Cursor::new(beginning)).is_ok()
}

/// What stands before the tensors.
fn described(path: &Path, cursor: &mut Cursor) -> Result<(Metadata, Vec<Info>)> {
    let [tensors, names] = counts(cursor)?;
    let metadata = Metadata::read(path, names, cursor)?;
    let mut infos = Vec::new();
    for index in 0..tensors {
        infos.push(Info::read(cursor).with_context(|| format!("tensor {} of {tensors}", index + 1))?);
    }
    Ok((metadata, infos))
}

fn read(path: &Path, bytes: &[u8]) -> Result<Content> {
    if !bytes.starts_with(b"GGUF") {
        bail!("{}", file_kind::describe(first(bytes, 512)));
    }
    let mut cursor = Cursor::new(bytes);
    let (metadata, infos) = described(path, &mut cursor)?;
    check_version(&metadata)?;
    let alignment = alignment(&metadata)?;
    let data = cursor.position().next_multiple_of(alignment);
    let mut found = HashMap::new();
    for info in infos {
        let stored =
            info.place(data, alignment, bytes.len()).with_context(|| format!("tensor {}", shown(&info.name)))?;
        let name = shown(&info.name);
        ensure!(found.insert(info.name, stored).is_none(), "tensor {name} is there twice");
    }
    check_overlaps(&found)?;
    Ok((metadata, found, data))
}

/// The version, and how many tensors and names of metadata there are.
fn counts(cursor: &mut Cursor) -> Result<[usize; 2]> {
    let [_, version] = [cursor.u32().context("its head")?, cursor.u32().context("its head")?];
    match version {
        2 | 3 => {}
        1 => {
            bail!("it is of version 1 of the format, which llama.cpp does not read any more either; take a newer file")
        }
        _ if version.swap_bytes() <= 3 => {
            bail!("it is a big-endian file, for other machines; take the usual one, which is little-endian")
        }
        _ => bail!("it is of version {version} of the format, and rerank knows 2 and 3"),
    }
    let tensors = cursor.count("tensors", LEAST_BYTES[1]).context("its head")?;
    let names = cursor.count("names of metadata", LEAST_BYTES[0]).context("its head")?;
    Ok([tensors, names])
}

/// The version of the blocks, which is the same for all files of these versions of the format.
fn check_version(metadata: &Metadata) -> Result<()> {
    let version = metadata.count("general.quantization_version")?.unwrap_or(2);
    ensure!(version == 2, "general.quantization_version is {version}, and rerank knows blocks of version 2");
    Ok(())
}

fn alignment(metadata: &Metadata) -> Result<usize> {
    let alignment = metadata.count("general.alignment")?.unwrap_or(USUAL_ALIGNMENT);
    ensure!(
        alignment.is_power_of_two() && (LEAST_ALIGNMENT..=1 << 20).contains(&alignment),
        "general.alignment is {alignment}, and should be a power of two from {LEAST_ALIGNMENT} on"
    );
    Ok(alignment)
}

/// A tensor as the file describes it.
struct Info {
    name: String,
    /// Values in a row come first.
    dimensions: Vec<u64>,
    kind: u32,
    offset: u64,
}

impl Info {
    fn read(cursor: &mut Cursor) -> Result<Self> {
        let name = cursor.text()?.to_owned();
        let read = |cursor: &mut Cursor| -> Result<(Vec<u64>, u32, u64)> {
            let dimensions = cursor.u32()?;
            ensure!(
                (1..=MOST_DIMENSIONS).contains(&dimensions),
                "it has {dimensions} dimensions, and can have 1 to {MOST_DIMENSIONS}"
            );
            let dimensions = (0..dimensions).map(|_| cursor.u64()).collect::<Result<_>>()?;
            Ok((dimensions, cursor.u32()?, cursor.u64()?))
        };
        let (dimensions, kind, offset) = read(cursor).with_context(|| shown(&name))?;
        Ok(Self { name, dimensions, kind, offset })
    }

    /// Its place in a file of `size` bytes, whose tensors begin at `data`.
    fn place(&self, data: usize, alignment: usize, size: usize) -> Result<Stored> {
        let kind = Kind::of(self.kind)?;
        let mut shape: Vec<usize> =
            self.dimensions.iter().rev().map(|&size| usize::try_from(size)).collect::<Result<_, _>>()?;
        let inputs = shape.last().copied().unwrap_or_default();
        let values = shape.iter().try_fold(1_usize, |product, &size| product.checked_mul(size));
        let values =
            values.filter(|&values| values > 0).with_context(|| format!("its shape {shape:?} is no tensor's"))?;
        ensure!(
            inputs.is_multiple_of(kind.block_values()),
            "its rows of {inputs} values are no whole blocks: those of {} have {}",
            kind.name(),
            kind.block_values()
        );
        let length = (values / kind.block_values()).checked_mul(kind.block_bytes());
        let offset = usize::try_from(self.offset).ok();
        let start = offset.and_then(|offset| data.checked_add(offset));
        let end = start.zip(length).and_then(|(start, length)| start.checked_add(length));
        let (Some(start), Some(length), Some(end)) = (start, length, end) else {
            bail!("its shape {shape:?} at {} is beyond any file", self.offset)
        };
        ensure!(
            end <= size,
            "its bytes should end at {end}, and the file has {size}; the file is cut off or damaged; download it again"
        );
        ensure!(
            self.offset.is_multiple_of(alignment as u64),
            "its place {} is no multiple of the file's alignment, {alignment}; the file is damaged; download it again",
            self.offset
        );
        let ones = shape.iter().take(shape.len() - 1).take_while(|&&size| size == 1).count();
        shape.drain(..ones);
        Ok(Stored { kind, shape, start, length })
    }
}

fn check_overlaps(tensors: &HashMap<String, Stored>) -> Result<()> {
    let mut places: Vec<_> = tensors.iter().map(|(name, stored)| (stored.start, stored.length, name)).collect();
    places.sort_unstable();
    for pair in places.windows(2) {
        if let [(start, length, name), (next, _, other)] = pair {
            ensure!(
                start + length <= *next,
                "tensors {} and {} overlap; the file is damaged; download it again",
                shown(name),
                shown(other)
            );
        }
    }
    Ok(())
}
