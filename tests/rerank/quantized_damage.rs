//! Quantized checkpoints that are damaged: sentences with the file and the tensor, and never a panic.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use rerank::checkpoint::{ModelFiles, Quantization, Weights};
use rerank::model::Architecture;
use safetensors::Dtype;
use serde_json::{Value, json};

use crate::fixture::Files;
use crate::quantized::{Models, SHARDS, Stored, damage, models, scored};

#[test]
fn damaged_parts_are_named() {
    let models = models();
    let q = |part: &str| format!("model.layers.0.self_attn.q_proj.{part}");
    let replaced = |part: &str, tensor: Option<Stored>| (q(part), tensor);
    for (variant, (part, tensor), said) in [
        ("gptq-v2", replaced("qweight", None), "q_proj.qweight is missing"),
        (
            "gptq-v2",
            replaced("scales", None),
            "q_proj.scales is missing, without which the weights of model.layers.0.self_attn.q_proj, which are quantized by GPTQ,",
        ),
        ("gptq-v2", replaced("qzeros", None), "qzeros is missing"),
        ("gptq-v2", replaced("qweight", Some(Stored::zeros(&[7, 64], Dtype::I32))), "qweight has shape [7, 64]"),
        ("gptq-v2", replaced("qweight", Some(Stored::zeros(&[8, 64], Dtype::F32))), "qweight is of type F32"),
        ("gptq-v2", replaced("qzeros", Some(Stored::zeros(&[2, 7], Dtype::I32))), "qzeros has shape [2, 7]"),
        ("gptq-v2", replaced("scales", Some(Stored::zeros(&[3, 64], Dtype::F16))), "scales has shape [3, 64]"),
        ("gptq-v2", replaced("g_idx", Some(Stored::zeros(&[63], Dtype::I32))), "g_idx has shape [63]"),
        ("ct-w4a16", replaced("weight_scale", None), "weight_scale is missing"),
        ("ct-w4a16", replaced("weight_shape", None), "weight_shape is missing"),
        ("ct-w4a16", replaced("weight_shape", Some(Stored::zeros(&[2], Dtype::I64))), "weight_shape is [0, 0]"),
        (
            "ct-w4a16",
            replaced("weight_packed", Some(Stored::zeros(&[64, 9], Dtype::I32))),
            "weight_packed has shape [64, 9]",
        ),
        ("ct-w4a16-asymmetric", replaced("weight_zero_point", None), "weight_zero_point is missing"),
        (
            "ct-w4a16-asymmetric",
            replaced("weight_zero_point", Some(Stored::zeros(&[64, 2], Dtype::I32))),
            "weight_zero_point has",
        ),
        ("ct-w8a8", replaced("weight", Some(Stored::zeros(&[64, 64], Dtype::U8))), "q_proj.weight is of type U8"),
        (
            "ct-w8a8",
            replaced("weight_scale", Some(Stored::zeros(&[63, 1], Dtype::F32))),
            "weight_scale has shape [63, 1]",
        ),
        ("ct-w8a8", replaced("weight_scale", None), "q_proj.weight_scale is missing"),
        ("fp8-block", replaced("weight_scale_inv", None), "q_proj.weight_scale_inv is missing"),
        (
            "fp8-block",
            replaced("weight_scale_inv", Some(Stored::zeros(&[1, 2], Dtype::F32))),
            "weight_scale_inv has shape [1, 2]",
        ),
        ("awq", replaced("qzeros", Some(Stored::zeros(&[2, 9], Dtype::I32))), "qzeros has shape [2, 9]"),
        ("awq", replaced("scales", None), "scales is missing"),
        ("awq", replaced("qzeros", None), "quantized by AWQ"),
        ("mlx", replaced("biases", None), "biases is missing"),
        ("mlx", replaced("scales", None), "q_proj.scales is missing"),
    ] {
        let files = Files::new();
        let model = models.write(&files, variant, |_| ());
        damage(&files, |tensors| match tensor {
            Some(tensor) => drop(tensors.insert(part, tensor)),
            None => drop(tensors.remove(&part).unwrap()),
        });
        scored(&model).fails(1, &["model", said]);
    }
}

#[test]
fn groups_that_are_not_there_are_named() {
    let models = models();
    for (variant, part) in [("gptq-v2", "g_idx"), ("ct-w4a16-order", "weight_g_idx")] {
        for group in [2, -2] {
            let files = Files::new();
            let model = models.write(&files, variant, |_| ());
            damage(&files, |tensors| {
                tensors.insert(format!("model.layers.0.self_attn.q_proj.{part}"), Stored::integers(&[group; 64]));
            });
            let said = format!("{part}: input 0 is in group {group}, and there are 2 groups");
            scored(&model).fails(1, &[&said]);
        }
    }
}

#[test]
fn inputs_in_any_order_need_their_groups() {
    let models = models();
    let files = Files::new();
    let model = models.write(&files, "gptq-v2", |config| config["desc_act"] = true.into());
    assert_eq!(scored(&model).status, 0);
    damage(&files, |tensors| {
        tensors.remove("model.layers.0.self_attn.q_proj.g_idx");
    });
    scored(&model).fails(1, &["model.layers.0.self_attn.q_proj.g_idx is missing", "desc_act"]);
    let files = Files::new();
    let model = models.write(&files, "ct-w4a16-order", |_| ());
    assert_eq!(scored(&model).status, 0);
    damage(&files, |tensors| {
        tensors.remove("model.layers.0.self_attn.q_proj.weight_g_idx");
    });
    scored(&model).fails(1, &["q_proj.weight_g_idx is missing", "actorder"]);
}

#[test]
fn weights_of_older_files_are_frozen_and_compressed() {
    let models = models();
    let scores = |status: &str| {
        let files = Files::new();
        let model = models.write(&files, "ct-fp8-channel", |config| config["quantization_status"] = status.into());
        scored(&model).stdout
    };
    assert_eq!(scores("frozen"), scores("compressed"));
}

#[test]
fn biases_that_quantizing_added_must_be_zero() {
    let models = models();
    let files = Files::new();
    let model = models.write(&files, "gptq-symmetric", |_| ());
    damage(&files, |tensors| {
        tensors.get_mut("model.layers.0.self_attn.q_proj.bias").unwrap().bytes[0] = 1;
    });
    scored(&model).fails(1, &["not part of the model", "q_proj.bias"]);
}

#[test]
fn scales_that_are_no_numbers_are_reported_where_scores_are_none() {
    let models = models();
    let files = Files::new();
    let model = models.write(&files, "ct-w4a16", |_| ());
    damage(&files, |tensors| tensors.get_mut("model.layers.0.self_attn.q_proj.weight_scale").unwrap().bytes.fill(0xff));
    let run = scored(&model);
    assert_ne!(run.status, 0);
    assert!(run.stderr.contains("not a number") || run.stderr.contains("NaN"), "{}", run.stderr);
}

/// Values that a configuration should not have, mostly.
fn odd_value() -> impl Strategy<Value = Value> {
    let number =
        prop::sample::select(vec![-2i64, -1, 0, 1, 2, 3, 4, 5, 8, 16, 25, 31, 32, 33, 64, 100, 1 << 31, i64::MAX]);
    prop_oneof![
        6 => number.prop_map(|number| json!(number)),
        1 => prop::sample::select(vec![json!(null), json!(true), json!("group"), json!([]), json!({}), json!(1e300)]),
        1 => "[a-z.*()|+?:\\\\-]{0,8}".prop_map(|text| json!(text)),
    ]
}

/// The leaves of a configuration, in order.
fn leaves<'a>(value: &'a mut Value, found: &mut Vec<&'a mut Value>) {
    match value {
        Value::Object(object) => object.values_mut().for_each(|value| leaves(value, found)),
        Value::Array(list) => list.iter_mut().for_each(|value| leaves(value, found)),
        leaf => found.push(leaf),
    }
}

/// Reads all that a model would.
fn read(directory: &Path) -> anyhow::Result<()> {
    let architecture = Architecture::read(&directory.join("config.json"))?;
    let weights = Weights::open(&SHARDS.map(|shard| directory.join(shard)))?;
    let quantization = Quantization::of_weights(&ModelFiles::in_directory(directory), &weights)?;
    let weights = weights.quantized(quantization);
    weights.check(&architecture)?;
    for tensor in architecture.tensors().into_iter().filter(|tensor| tensor.shape.len() == 2) {
        let rows = weights.matrix(tensor)?;
        let mut values = vec![0f32; rows.inputs()];
        tensor.rows.clone().for_each(|row| rows.row(row, &mut values));
        weights.release(tensor);
    }
    Ok(())
}

/// A change to a tensor: what it becomes.
#[derive(Clone, Debug)]
enum Change {
    Gone,
    Shape(usize, usize),
    Dtype(Dtype),
    Bytes(u8),
}

fn change() -> impl Strategy<Value = Change> {
    let types =
        [Dtype::I8, Dtype::U8, Dtype::I32, Dtype::U32, Dtype::I64, Dtype::F16, Dtype::BF16, Dtype::F32, Dtype::F8_E4M3];
    prop_oneof![
        Just(Change::Gone),
        (0usize..3, prop::sample::select(vec![0usize, 1, 2, 3, 4, 8, 12, 13, 25, 32, 63, 64, 65, 100]))
            .prop_map(|(axis, size)| Change::Shape(axis, size)),
        prop::sample::select(types.to_vec()).prop_map(Change::Dtype),
        any::<u8>().prop_map(Change::Bytes),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, rng_seed: RngSeed::Fixed(16), ..ProptestConfig::default() })]
    #[test]
    fn no_damage_ends_in_a_panic(
        variant: prop::sample::Index,
        settings in prop::collection::vec((any::<prop::sample::Index>(), odd_value()), 0..3),
        changes in prop::collection::vec((any::<prop::sample::Index>(), change()), 0..3),
    ) {
        let models: Models = models();
        let name = variant.get(&models.variants.keys().collect::<Vec<_>>()).to_string();
        let files = Files::new();
        models.write(&files, &name, |config| {
            for (index, value) in settings {
                let mut found = Vec::new();
                leaves(config, &mut found);
                let place = index.index(found.len().max(1));
                if let Some(leaf) = found.into_iter().nth(place) {
                    *leaf = value;
                }
            }
        });
        damage(&files, |tensors| {
            for (index, change) in changes {
                let mut names: Vec<_> = tensors.keys().cloned().collect();
                names.sort();
                let name = index.get(&names).clone();
                let Stored { dtype, shape, bytes } = tensors[&name].clone();
                let changed = match change {
                    Change::Gone => None,
                    Change::Shape(axis, size) => {
                        let mut shape = shape;
                        if axis < shape.len() { shape[axis] = size } else { shape.push(size) }
                        Some(Stored::zeros(&shape, dtype))
                    }
                    Change::Dtype(dtype) => Some(Stored::zeros(&shape, dtype)),
                    Change::Bytes(byte) => Some(Stored { dtype, shape, bytes: vec![byte; bytes.len()] }),
                };
                match changed {
                    Some(changed) => drop(tensors.insert(name, changed)),
                    None => drop(tensors.remove(&name)),
                }
                if tensors.is_empty() {
                    break;
                }
            }
        });
        let found = catch_unwind(AssertUnwindSafe(|| read(&files.path("model"))));
        if let Err(error) = found.expect("a damaged file is an error") {
            let text = format!("{error:#}");
            prop_assert!(text.contains("model") && text.len() < 2000, "{name}: {text}");
        }
    }
}
