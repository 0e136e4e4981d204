//! Linear layers in E4M3 on an emulated GPU: the kernels against their definition, and models against the oracle that rounds the same.

use std::sync::Arc;

use float8::F8E4M3;
use half::bf16;
use rerank::batch::{Batch, Limits, plan};
use rerank::engine::gpu::forward::{GpuEngine, Placement};
use rerank::engine::gpu::{Device, Gpu, Launch, Memory, Quantized, Rows, Type};
use rerank::engine::{Engine, Target, load};
use rerank::model::{Activation, Architecture, Heads, Norm, Pooling};

use crate::emulated::Emulated;
use crate::fixture::Files;
use crate::generated;
use crate::gpu_features::{Sizes, modernbert, prompts, with_weights};
use crate::reference::Reference;

const ROWS: usize = 11;
const LARGEST: f32 = 448.;

fn gpu() -> Gpu {
    Gpu::new(Emulated::new(1 << 30), Type::Bf16).quantizing().unwrap()
}

fn upload(gpu: &Gpu, bytes: &[u8]) -> Memory {
    let mut memory = gpu.memory(bytes.len()).unwrap();
    memory.upload(bytes).unwrap();
    memory
}

fn download<T: bytemuck::Pod>(memory: &Memory) -> Vec<T> {
    let mut bytes = vec![0u8; memory.bytes()];
    memory.download(&mut bytes).unwrap();
    bytes.chunks_exact(size_of::<T>()).map(bytemuck::pod_read_unaligned).collect()
}

/// Values between -8 and 8; of the rows one is zeros, and one too small for a scale.
fn values(width: usize) -> Vec<f32> {
    let integers = generated::integers(5, ROWS * width).enumerate();
    let of_row = |(index, integer)| match index / width {
        1 => 0.,
        2 => 1e-36 * integer as f32,
        _ => integer as f32 / 16. - 8.,
    };
    integers.map(of_row).take(ROWS * width).collect()
}

/// Bytes and scales of rows of so many features that a kernel writes.
fn quantized(gpu: &Gpu, features: usize, write: impl FnOnce(Quantized<'_>)) -> (Vec<u8>, Vec<f32>) {
    let (bytes, scales) = (gpu.memory(ROWS * features).unwrap(), gpu.memory(4 * ROWS).unwrap());
    write(Quantized { values: Rows::new(&bytes, ROWS, features), scales: &scales });
    (download(&bytes), download(&scales))
}

#[test]
fn rows_are_rounded_to_the_nearest_of_their_own_scale() {
    let gpu = gpu();
    // Fewer features than a warp reads at a time, and more.
    for features in [16, 48, 272] {
        let rows: Vec<bf16> = values(features).into_iter().map(bf16::from_f32).collect();
        let memory = upload(&gpu, bytemuck::cast_slice(&rows));
        let (bytes, scales) = quantized(&gpu, features, |quantized| {
            gpu.quantize(Rows::new(&memory, ROWS, features), quantized).unwrap();
        });
        for (row, values) in rows.chunks_exact(features).enumerate() {
            let largest = values.iter().fold(0f32, |largest, value| largest.max(value.to_f32().abs()));
            let is_zero = largest < 1e-30;
            assert_eq!(scales[row], largest / LARGEST, "row {row}");
            for (value, byte) in values.iter().zip(&bytes[row * features..]) {
                let scaled = if is_zero { 0. * value.to_f32() } else { value.to_f32() * (LARGEST / largest) };
                assert_eq!(F8E4M3::from_bits(*byte), F8E4M3::from_f32(scaled), "{value} of row {row}");
            }
        }
    }
}

#[test]
fn what_is_rounded_at_once_has_the_bits_of_what_stood_in_memory() {
    let gpu = gpu();
    // More features than a block has threads for in SwiGLU, too.
    for features in [32, 304, 2080] {
        let hidden = upload(&gpu, bytemuck::cast_slice(&values(features)));
        let hidden = Rows::new(&hidden, ROWS, features);
        let weight: Vec<f32> = (0..features).map(|feature| 1. + feature as f32 / 256.).collect();
        let weight = gpu.vector(&weight).unwrap();
        let narrow = gpu.memory(2 * ROWS * features).unwrap();
        let narrow = Rows::new(&narrow, ROWS, features);
        let apart = quantized(&gpu, features, |quantized| {
            gpu.rms_norm(hidden, &weight, 1e-6, narrow).unwrap();
            gpu.quantize(narrow, quantized).unwrap();
        });
        let at_once = quantized(&gpu, features, |quantized| {
            gpu.rms_norm_quantized(hidden, &weight, 1e-6, quantized).unwrap();
        });
        assert_eq!(at_once, apart, "norms of {features}");
        let products: Vec<bf16> = values(2 * features).into_iter().map(bf16::from_f32).collect();
        let products = upload(&gpu, bytemuck::cast_slice(&products));
        let products = Rows::new(&products, ROWS, 2 * features);
        let apart = quantized(&gpu, features, |quantized| {
            gpu.swiglu(products, narrow).unwrap();
            gpu.quantize(narrow, quantized).unwrap();
        });
        let at_once = quantized(&gpu, features, |quantized| gpu.swiglu_quantized(products, quantized).unwrap());
        assert_eq!(at_once, apart, "SwiGLU of {features}");
    }
}

fn batch() -> Batch {
    let limits = Limits { pairs: 9, tokens: 1000, share_prefixes: false, fill: false };
    plan(&[prompts()], limits).remove(0)
}

/// The root of the mean square of differences.
fn distance(ones: &[f32], others: &[f32]) -> f32 {
    let squares = ones.iter().zip(others).map(|(one, other)| (one - other).powi(2)).sum::<f32>();
    (squares / ones.len() as f32).sqrt()
}

/// Checks that a model's logits are those of the oracle that rounds the same, and a prompt's the same alone and in a batch.
fn check(architecture: Architecture, device: &Arc<Emulated>, kernels: &[&str]) {
    let files = Files::new();
    let model = with_weights(architecture, &files);
    let batch = batch();
    let gpu = Gpu::new(device.clone(), Type::Bf16).quantizing().unwrap();
    let mut engine = GpuEngine::load(&model, gpu).unwrap();
    assert_eq!(engine.warnings(), Vec::<String>::new());
    device.launched.lock().unwrap().clear();
    let logits = engine.run(&batch).unwrap();
    let launched = device.launched.lock().unwrap().clone();
    for kernel in kernels {
        assert!(launched.iter().any(|name| name.starts_with(kernel)), "{kernel} of {launched:?}");
    }
    let (exact, rounded) = (Reference::new(&model).logits(&batch), Reference::quantized(&model).logits(&batch));
    let (off, noise) = (distance(&logits, &rounded), distance(&exact, &rounded));
    let spread = exact.iter().copied().fold(f32::MIN, f32::max) - exact.iter().copied().fold(f32::MAX, f32::min);
    // What bf16 moves a little may become another of the few numbers: so far apart are two ways that round at the same places.
    assert!(noise > 0.02 && off < 2. * noise, "{logits:?}, not {rounded:?}; exact are {exact:?}: {off} of {noise}");
    let deviation = distance(&logits, &exact);
    assert!(
        0.5 * noise < deviation && deviation < 2. * noise,
        "{logits:?} is off from {exact:?} by {deviation}, of {noise}"
    );
    assert!(4. * noise < spread, "the logits hardly differ: {exact:?} and {noise}");
    for (id, logit) in batch.pairs().zip(&logits) {
        let limits = Limits { pairs: 1, tokens: 1000, share_prefixes: false, fill: false };
        let alone = plan(&[vec![prompts()[id.candidate].clone()]], limits);
        assert_eq!(engine.run(&alone[0]).unwrap(), [*logit], "alone");
    }
}

fn decoder() -> Architecture {
    let sizes = Sizes { heads: Heads { query: 4, key: 2, head_dim: 32 }, hidden: 96, inner: 112 };
    sizes.decoder(Activation::Silu, |index, layer| {
        let norm = |part: &str| Norm::rms(&format!("layer.{index}.{part}_norm"), 32, 1e-6);
        layer.attention.query_key_norms = Some([norm("query"), norm("key")]);
    })
}

#[test]
fn decoders_agree_with_the_oracle() {
    // The last layer is computed in bf16, gates and ups at once.
    let kernels =
        ["rms_norm_quantized_bf16", "quantize_rows_bf16", "swiglu_quantized_bf16", "multiply_gated_hopper_bf16"];
    check(decoder(), &Emulated::hopper(1 << 30), &kernels);
}

#[test]
fn encoders_agree_with_the_oracle() {
    // Norms behind, biases, and MLPs without gates.
    let device = Emulated::new(1 << 30);
    check(Sizes::encoder(3, 32).model(true, |_, _| ()), &device, &["quantize_rows_bf16", "activate_plain_bf16"]);
    // Norms before that are not RMSNorm, one missing, and a pooling that needs the last layer of all tokens.
    check(Architecture { pooling: Pooling::Mean, ..modernbert() }, &device, &["normalize_bf16", "activate_gated_bf16"]);
}

#[test]
fn half_the_memory_of_layers_is_used() {
    let files = Files::new();
    let model = with_weights(decoder(), &files);
    let used = |gpu: Gpu, device: &Emulated| {
        let placement = Placement::of(&model.architecture, &gpu, 0).unwrap();
        let engine = GpuEngine::load(&model, gpu).unwrap();
        let used = (1 << 30) - device.free_memory().unwrap();
        drop(engine);
        (placement.device_bytes, used)
    };
    let device = Emulated::new(1 << 30);
    let (whole, _) = used(Gpu::new(device.clone(), Type::Bf16), &device);
    let (quantized, all) = used(Gpu::new(device.clone(), Type::Bf16).quantizing().unwrap(), &device);
    let layer: usize =
        model.architecture.layers[0].linears().map(|linear| linear.outputs() * linear.weight.inputs()).sum();
    // The last layer of three is not rounded.
    assert_eq!(whole - quantized, 2 * layer);
    assert!(all > quantized && all < quantized + (1 << 20), "{all} with {quantized} of weights");
}

#[test]
fn what_is_not_computed_in_e4m3_is_refused_by_name() {
    let message = |result: anyhow::Result<()>| format!("{:#}", result.unwrap_err());
    let files = Files::new();
    let sizes = Sizes { inner: 104, ..Sizes::encoder(3, 32) };
    let odd = with_weights(sizes.decoder(Activation::Silu, |_, _| ()), &files);
    let gpu = Gpu::new(Emulated::new(1 << 30), Type::Bf16).quantizing().unwrap();
    let odd = message(load(&odd, &Target::Gpu(gpu)).map(drop));
    assert!(odd.contains("multiples of 16") && odd.contains("96 × 104"), "{odd}");
    let files = Files::new();
    let model = with_weights(decoder(), &files);
    let gpu = Gpu::new(Emulated::wrong("scales"), Type::Bf16).quantizing().unwrap();
    let wrong = message(GpuEngine::load(&model, gpu).map(drop));
    assert!(wrong.contains("products of 8-bit floats are off by") && wrong.contains("--dtype bf16"), "{wrong}");
}

#[test]
fn a_model_that_would_be_streamed_in_bf16_is_whole() {
    let files = Files::new();
    let model = with_weights(decoder(), &files);
    // Room for few tokens: layers of bf16 would make room for more.
    let place = |gpu: Gpu| Placement::new(&model.architecture, &gpu.with_wanted_tokens(Some(8192))).unwrap().streamed;
    let device = || Emulated::new(1 << 23);
    assert!(place(Gpu::new(device(), Type::Bf16)) > 0);
    let gpu = Gpu::new(device(), Type::Bf16).quantizing().unwrap();
    assert_eq!(place(gpu.clone()), 0);
    let mut engine = GpuEngine::load(&model, gpu).unwrap();
    assert!(engine.run(&batch()).unwrap().iter().all(|logit| logit.is_finite()));
}

#[test]
fn the_emulated_gpu_reduces_as_exchanges_do() {
    let gpu = gpu();
    let values: Vec<f32> = generated::integers(9, 32).map(|integer| (integer as f32).exp2() / 3.).take(32).collect();
    let (values, sums) = (gpu.vector(&values).unwrap(), gpu.memory(4 * 64).unwrap());
    let (mut from, mut to) = (values.address(), sums.address());
    let launch = Launch { grid: [1, 1], block: [32, 1], shared: 0 };
    // SAFETY: the kernel reads 32 values, and writes as many sums twice.
    let run =
        unsafe { gpu.device().launch("sum_both_ways", launch, &mut [(&raw mut from).cast(), (&raw mut to).cast()]) };
    run.unwrap();
    let sums: Vec<u32> = download(&sums);
    assert_eq!(sums[..32], sums[32..]);
}
