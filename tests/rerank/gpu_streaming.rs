//! Layers that stay in host memory, on an emulated GPU: scores are those of the whole model there, to the bit.

use std::path::Path;
use std::sync::Arc;

use rerank::batch::{Batch, Limits, plan};
use rerank::checkpoint::{ModelFiles, Quantization, Weights};
use rerank::engine::gpu::forward::{GpuEngine, Placement};
use rerank::engine::gpu::{Device, Gpu, Type};
use rerank::engine::{Engine, Model};
use rerank::model::{Activation, Answers, Architecture, Heads};

use crate::emulated::Emulated;
use crate::fixture::Files;
use crate::gpu_features::{Sizes, modernbert, prompts, with_weights};
use crate::quantized::{SHARDS, models};

const ROOM: usize = 1 << 30;

fn batch() -> Batch {
    let limits = Limits { pairs: 9, tokens: 1000, share_prefixes: false, fill: false };
    plan(&[prompts()], limits).remove(0)
}

/// An engine with so many layers in host memory, and the memory that it takes on the device.
fn load(model: &Model, device: &Arc<Emulated>, value: Type, streamed: usize) -> (GpuEngine, usize) {
    let gpu = Gpu::new(device.clone(), value);
    let placement = Placement::of(&model.architecture, &gpu, streamed).unwrap();
    let engine = GpuEngine::load_placed(model, gpu, placement).unwrap();
    (engine, ROOM - device.free_memory().unwrap())
}

/// Checks that it does not matter for scores how many layers are uploaded, but for memory.
fn check(model: &Model, value: Type, make: fn(usize) -> Arc<Emulated>) {
    let layers = model.architecture.layers.len();
    let batch = batch();
    let (mut resident, all) = load(model, &make(ROOM), value, 0);
    let expected = resident.run(&batch).unwrap();
    assert!(expected.iter().all(|logit| logit.is_finite()) && expected[0] != expected[1], "{expected:?}");
    let linears = model.architecture.layers[0].linears();
    let layer: usize = linears.map(|linear| linear.outputs() * linear.weight.inputs() * value.size()).sum();
    // Those between take turns in the same slots, and emulated engines take seconds to load, most of all with tensor cores.
    let ends = if matches!(value, Type::F32) { vec![1, layers] } else { vec![layers] };
    for streamed in ends {
        let (mut engine, used) = load(model, &make(ROOM), value, streamed);
        for _ in 0..if streamed == layers { 2 } else { 1 } {
            assert_eq!(engine.run(&batch).unwrap(), expected, "{value:?}: {streamed} of {layers} layers");
        }
        // Two layers have room in the slots.
        assert_eq!(used, all + 2 * layer - streamed * layer, "{value:?}: {streamed} of {layers} layers");
        let warnings = engine.warnings();
        let warning = format!("emulated: {streamed} of {layers} layers do not fit into the GPU's memory");
        assert!(warnings.len() == 1 && warnings[0].starts_with(&warning), "{warnings:?}");
    }
}

#[test]
fn encoders_have_the_same_bits_from_host_memory() {
    let files = Files::new();
    check(&with_weights(Sizes::encoder(3, 32).model(true, |_, _| ()), &files), Type::F32, Emulated::new);
    check(&with_weights(modernbert(), &files), Type::Bf16, Emulated::hopper);
}

#[test]
fn decoders_have_the_same_bits_from_host_memory() {
    let files = Files::new();
    let sizes = Sizes { heads: Heads { query: 4, key: 2, head_dim: 32 }, hidden: 96, inner: 104 };
    let model = with_weights(sizes.decoder(Activation::Silu, |_, _| ()), &files);
    check(&model, Type::F32, Emulated::new);
    // Gates and ups that are multiplied and activated at once, in the order that this needs.
    check(&model, Type::F16, Emulated::hopper);
}

#[test]
fn quantized_layers_have_the_same_bits_from_host_memory() {
    let models = models();
    for name in ["ct-w4a16", "fp8-block", "gptq-symmetric"] {
        let files = Files::new();
        let folder = models.write(&files, name, |_| ());
        let weights = Weights::open(&SHARDS.map(|shard| files.path("model").join(shard))).unwrap();
        let quantization = Quantization::of_weights(&ModelFiles::in_directory(Path::new(&folder)), &weights).unwrap();
        let architecture = Architecture::read(&files.path("model/config.json")).unwrap();
        let (architecture, weights) = (Arc::new(architecture), Arc::new(weights.quantized(quantization)));
        let answers = Some(Answers { yes: 7, no: Some(8) });
        check(&Model { architecture, weights, answers }, Type::Bf16, Emulated::new);
    }
}

/// A model of six layers.
fn six_layers() -> Architecture {
    let sizes = Sizes { heads: Heads { query: 4, key: 2, head_dim: 32 }, hidden: 96, inner: 104 };
    let mut model = sizes.decoder(Activation::Silu, |_, _| ());
    for index in model.layers.len()..6 {
        let mut layer = model.layers[index % 3].clone();
        layer.mlp_norm = model.layers[(index + 1) % 3].mlp_norm.clone();
        model.layers.push(layer);
    }
    model
}

/// Bytes in f32: of a layer, of everything else, and of a token of a batch.
const LAYER: usize = 4 * (128 * 96 + 2 * 64 * 96 + 96 * 128 + 3 * 104 * 96);
const OTHERS: usize = 4 * 60 * 96;
const TOKEN: usize = 4 * (96 + 96 + 256 + 128 + 104 + 14);

/// Memory that leaves so much when an eighth of it is kept.
fn room(bytes: usize) -> usize {
    bytes * 8 / 7 + 8
}

#[test]
fn as_many_layers_stay_on_the_device_as_fit_beside_a_batch() {
    let model = six_layers();
    let place = |bytes: usize, tokens: usize| {
        let gpu = Gpu::new(Emulated::new(room(bytes)), Type::F32).with_wanted_tokens(Some(tokens));
        Placement::new(&model, &gpu).unwrap()
    };
    // Nine tenths of what weights leave are for a batch.
    let batch = |tokens: usize| TOKEN * tokens * 10 / 9 + 10 * TOKEN;
    for (rests, streamed) in [(6, 0), (5, 3), (4, 4), (3, 5), (2, 6), (1, 6)] {
        let placement = place(OTHERS + rests * LAYER + batch(400), 400);
        assert_eq!(placement.streamed, streamed, "with room for {rests} layers");
        let on_device = if streamed == 0 { 6 } else { 6 - streamed + 2 };
        assert_eq!(placement.device_bytes, OTHERS + on_device * LAYER);
        assert!(placement.tokens() >= if rests > 1 { 400 } else { 64 });
        let spread: Vec<_> = (0..6).filter(|layer| placement.is_streamed(*layer)).collect();
        assert_eq!(spread.len(), streamed);
        assert!(streamed != 3 || spread == [1, 3, 5], "{spread:?}");
    }
    // Small batches need less, and larger ones than the longest prompts are no reason to upload layers.
    let enough = OTHERS + 6 * LAYER + batch(8192);
    assert_eq!([place(enough, 32_768).streamed, place(enough - 20 * LAYER, 100).streamed], [0, 0]);
    assert!(place(enough - 20 * TOKEN, 32_768).streamed > 0);
}

#[test]
fn a_model_that_does_not_fit_is_streamed_and_a_larger_one_is_refused() {
    let files = Files::new();
    let model = with_weights(six_layers(), &files);
    let batch = batch();
    let whole = Gpu::new(Emulated::new(ROOM), Type::F32);
    let expected = GpuEngine::load(&model, whole).unwrap().run(&batch).unwrap();
    let limits = Limits { pairs: 9, tokens: 4000, share_prefixes: true, fill: false };
    let device = Emulated::new(room(OTHERS + 4 * LAYER + 100 * TOKEN));
    let mut engine = GpuEngine::load(&model, Gpu::new(device, Type::F32)).unwrap();
    assert!(engine.warnings()[0].contains("6 of 6 layers"), "{:?}", engine.warnings());
    // Two layers' memory is left for batches, of which the largest has all prompts.
    let fits = engine.reserve(limits).unwrap();
    assert!((100..500).contains(&fits), "{fits}");
    assert_eq!(engine.run(&batch).unwrap(), expected);
    let small = Gpu::new(Emulated::new(OTHERS + 2 * LAYER), Type::F32);
    let error = format!("{:#}", GpuEngine::load(&model, small).err().unwrap());
    assert!(error.contains("the model does not fit; end other programs on the GPU"), "{error}");
}
