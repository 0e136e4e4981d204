//! Damaged weights: whatever bytes a file has, reading it gives an error or numbers, and never a panic.

use std::path::Path;

use serde_json::Value;

use super::{Extent, ModelFiles, Weights};
use crate::model::Architecture;
use crate::random::Random;

/// Few, so that all of it takes a second or two.
const DAMAGED: usize = 400;

/// Some bytes changed, most of them where a file describes itself, or the end cut off.
fn damaged(bytes: &[u8], head: usize, random: &mut Random) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=random.below(3) {
        let end = if random.below(8) == 0 { bytes.len() } else { head.min(bytes.len()) };
        let place = random.below(end);
        match random.below(5) {
            0 => bytes[place] = random.below(256) as u8,
            1 => bytes[place] ^= 1 << random.below(8),
            2 => {
                let end = (place + 8).min(bytes.len());
                let numbers = [0, 1, u64::MAX, 1 << 31, 1 << 40, i64::MAX as u64];
                let number = numbers[random.below(numbers.len())].to_le_bytes();
                bytes[place..end].copy_from_slice(&number[..end - place]);
            }
            3 => bytes.truncate(place.max(1)),
            _ => {
                let length = random.below(64).min(bytes.len() - place);
                let other = random.below(bytes.len() - length);
                bytes.copy_within(other..other + length, place);
            }
        }
    }
    bytes
}

/// Reads all that a model of this description has.
fn read(weights: &Weights, architecture: &Architecture) -> anyhow::Result<()> {
    weights.check(architecture)?;
    for tensor in architecture.tensors() {
        if tensor.shape.len() < 2 {
            weights.vector(tensor)?;
            continue;
        }
        let rows = weights.matrix(tensor)?;
        let mut values = vec![0.; rows.inputs()];
        (0..tensor.rows.len().min(4)).for_each(|row| rows.row(row, &mut values));
    }
    Ok(())
}

#[test]
fn damaged_gguf_files_are_errors_or_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.gguf");
    let mut random = Random(16);
    let mut errors = 0;
    for name in ["qwen2", "xlm-roberta", "modernbert"] {
        let whole = std::fs::read(format!("testdata/gguf/{name}.gguf")).unwrap();
        for _ in 0..DAMAGED {
            // The metadata and the tensors' descriptions take fewer bytes than that.
            std::fs::write(&path, damaged(&whole, 4096, &mut random)).unwrap();
            let mut files = ModelFiles::in_directory(folder.path());
            let found = files.find_gguf(Some("m.gguf"), Extent::Whole).and_then(|()| {
                let gguf = files.gguf().unwrap();
                let described = gguf.describe(&files, false)?;
                read(&Weights::of_gguf(gguf.clone()), &described.architecture)
            });
            if let Err(error) = found {
                assert!(format!("{error:#}").contains("m.gguf"), "{error:#}");
                errors += 1;
            }
        }
    }
    assert!((DAMAGED..3 * DAMAGED).contains(&errors), "{errors} errors");
}

#[test]
fn damaged_safetensors_files_are_errors_or_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let tiny = Path::new("testdata/tiny-reranker");
    let config: Value = serde_json::from_str(&std::fs::read_to_string(tiny.join("config.json")).unwrap()).unwrap();
    let architecture = Architecture::of_config(&config).unwrap();
    let whole = std::fs::read(tiny.join("model.safetensors")).unwrap();
    let mut random = Random(61);
    let mut errors = 0;
    for _ in 0..DAMAGED / 4 {
        std::fs::write(&path, damaged(&whole, 4096, &mut random)).unwrap();
        let found = Weights::open(std::slice::from_ref(&path)).and_then(|weights| read(&weights, &architecture));
        if let Err(error) = found {
            assert!(format!("{error:#}").contains("model.safetensors"), "{error:#}");
            errors += 1;
        }
    }
    assert!(errors > DAMAGED / 8, "{errors} errors");
}
