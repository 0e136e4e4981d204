//! Tensors of every type against gguf-py's, to the bit.

use serde_json::Value;

use super::blocks::rows;
use super::*;

/// As in `scripts/make_gguf.py`.
fn checksum(values: &[f32]) -> u64 {
    let term = |(index, value): (usize, &f32)| u64::from(value.to_bits()).wrapping_mul(2 * index as u64 + 1);
    values.iter().enumerate().map(term).fold(0, u64::wrapping_add)
}

#[test]
fn tensors_are_those_of_gguf_py_to_the_bit() {
    let mut kinds = std::collections::HashSet::new();
    for entry in std::fs::read_dir("testdata/gguf").unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let definition: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let file = GgufFile::open(&path.with_extension("gguf")).unwrap();
        let checksums = definition["checksums"].as_object().unwrap();
        assert_eq!(file.tensors.len(), checksums.len());
        for (name, stored) in &file.tensors {
            let inputs = *stored.shape.last().unwrap();
            let source = rows(stored.kind, file.bytes(stored), inputs);
            let mut values = vec![f32::NAN; stored.values()];
            values.chunks_mut(inputs).enumerate().for_each(|(row, values)| source.row(row, values));
            let expected: u64 = checksums[name].as_str().unwrap().parse().unwrap();
            assert_eq!(checksum(&values), expected, "{name} of {}, {}", path.display(), stored.kind.name());
            assert_eq!(source.is_quantized(), stored.kind.is_quantized());
            kinds.insert(stored.kind);
        }
    }
    // All that are read but f64, which no converter writes.
    assert_eq!(kinds.len(), 15, "{kinds:?}");
}
