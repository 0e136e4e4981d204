//! GGUF files with changes.

use std::path::Path;

/// A file in parts, each of which can be changed.
#[derive(Clone, Default)]
pub struct GgufFile {
    /// Names of metadata with their values, whose type stands before them.
    pub metadata: Vec<(String, Vec<u8>)>,
    pub tensors: Vec<Tensor>,
}

#[derive(Clone)]
pub struct Tensor {
    pub name: String,
    /// Values in a row come first.
    pub shape: Vec<u64>,
    pub kind: u32,
    pub bytes: Vec<u8>,
}

/// What metadata can be made of.
pub fn count(number: u32) -> Vec<u8> {
    [&4_u32.to_le_bytes()[..], &number.to_le_bytes()].concat()
}

pub fn text(text: &str) -> Vec<u8> {
    [&8_u32.to_le_bytes()[..], &string(text)].concat()
}

pub fn texts(texts: &[&str]) -> Vec<u8> {
    let all: Vec<u8> = texts.iter().flat_map(|text| string(text)).collect();
    [&9_u32.to_le_bytes()[..], &8_u32.to_le_bytes(), &(texts.len() as u64).to_le_bytes(), &all].concat()
}

fn string(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat()
}

/// Reads from the front.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(length);
        self.0 = rest;
        taken
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take(4).try_into().unwrap())
    }

    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.take(8).try_into().unwrap())
    }

    fn text(&mut self) -> String {
        let length = self.u64() as usize;
        String::from_utf8(self.take(length).to_vec()).unwrap()
    }

    fn skip(&mut self, kind: u32) {
        match kind {
            0 | 1 | 7 => drop(self.take(1)),
            2 | 3 => drop(self.take(2)),
            4..=6 => drop(self.take(4)),
            8 => drop(self.text()),
            9 => {
                let (kind, count) = (self.u32(), self.u64());
                (0..count).for_each(|_| self.skip(kind));
            }
            _ => drop(self.take(8)),
        }
    }
}

impl GgufFile {
    pub fn read(path: &str) -> Self {
        let bytes = std::fs::read(path).unwrap();
        let mut reader = Reader(&bytes);
        assert_eq!(reader.take(8), b"GGUF\x03\0\0\0");
        let (tensors, names) = (reader.u64(), reader.u64());
        let metadata = (0..names).map(|_| {
            let (name, start) = (reader.text(), reader.0);
            let kind = reader.u32();
            reader.skip(kind);
            (name, start[..start.len() - reader.0.len()].to_vec())
        });
        let metadata = metadata.collect();
        let infos = (0..tensors).map(|_| {
            let name = reader.text();
            let dimensions = reader.u32();
            let shape = (0..dimensions).map(|_| reader.u64()).collect();
            (name, shape, reader.u32(), reader.u64())
        });
        let mut infos: Vec<(String, Vec<u64>, u32, u64)> = infos.collect();
        infos.sort_by_key(|info| info.3);
        let data = &bytes[(bytes.len() - reader.0.len()).next_multiple_of(32)..];
        let ends: Vec<u64> = infos.iter().skip(1).map(|info| info.3).chain([data.len() as u64]).collect();
        let tensors = infos.into_iter().zip(ends).map(|((name, shape, kind, start), end)| {
            let bytes = data[start as usize..end as usize].to_vec();
            Tensor { name, shape, kind, bytes }
        });
        Self { metadata, tensors: tensors.collect() }
    }

    /// Puts a value in place of another, or adds it.
    pub fn set(&mut self, name: &str, value: Vec<u8>) {
        self.remove(name);
        self.metadata.push((name.to_owned(), value));
    }

    pub fn remove(&mut self, name: &str) {
        self.metadata.retain(|(other, _)| other != name);
    }

    pub fn remove_tensor(&mut self, name: &str) {
        self.tensors.retain(|tensor| tensor.name != name);
    }

    pub fn tensor(&mut self, name: &str) -> &mut Tensor {
        self.tensors.iter_mut().find(|tensor| tensor.name == name).unwrap()
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = b"GGUF\x03\0\0\0".to_vec();
        bytes.extend((self.tensors.len() as u64).to_le_bytes());
        bytes.extend((self.metadata.len() as u64).to_le_bytes());
        for (name, value) in &self.metadata {
            bytes.extend(string(name));
            bytes.extend(value);
        }
        let mut start = 0;
        for tensor in &self.tensors {
            bytes.extend(string(&tensor.name));
            bytes.extend((tensor.shape.len() as u32).to_le_bytes());
            tensor.shape.iter().for_each(|size| bytes.extend(size.to_le_bytes()));
            bytes.extend(tensor.kind.to_le_bytes());
            bytes.extend((start as u64).to_le_bytes());
            start += tensor.bytes.len().next_multiple_of(32);
        }
        for tensor in &self.tensors {
            bytes.resize(bytes.len().next_multiple_of(32), 0);
            bytes.extend(&tensor.bytes);
        }
        bytes
    }

    pub fn write(&self, path: impl AsRef<Path>) {
        std::fs::write(path, self.bytes()).unwrap();
    }
}
