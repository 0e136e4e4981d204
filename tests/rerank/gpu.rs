//! The GPU engine on an emulated GPU against the processor's engine: the kernels' own sources, launched as on a card.

use std::sync::Arc;

use rerank::batch::{Batch, Limits, plan};
use rerank::checkpoint::Weights;
use rerank::device::Target;
use rerank::engine::cpu::forward::Decoder;
use rerank::engine::cpu::{Arithmetic, Level, Precision};
use rerank::engine::gpu::forward::GpuDecoder;
use rerank::engine::gpu::{Device, Gpu, OutOfMemory, Type};
use rerank::engine::{LastTokenScorer, Scorer};
use rerank::model::{DecoderConfig, Family, HeadKind, ModelConfig};
use rerank::recipe::Prompt;

use crate::emulated::Emulated;

fn config(heads: [usize; 2], head_dim: usize) -> DecoderConfig {
    DecoderConfig {
        vocabulary: 500,
        hidden: 96,
        intermediate: 104,
        layers: 2,
        heads: heads[0],
        key_heads: heads[1],
        head_dim,
        norm_epsilon: 1e-6,
        rope_theta: 1e4,
        max_positions: 1000,
    }
}

/// Weights for any of these shapes.
fn weights() -> Arc<Weights> {
    Arc::new(Weights::random(500 * 1024))
}

fn head() -> Vec<f32> {
    (0..96).map(|feature| ((feature * 37 % 96) as f32 - 47.5) / 400.).collect()
}

/// Some tokens that are the same for all prompts, and some that are not.
fn prompt(shared: u32, own: u32, seed: u32) -> Prompt {
    let shared = (0..shared).map(|token| token * 7 % 500);
    let own = (0..own).map(|token| (token * seed + seed) % 500);
    Prompt { token_ids: shared.chain(own).collect(), truncated: false }
}

/// Prompts that share a beginning of 70 tokens, one alone, and a long one.
fn batches(share_prefixes: bool) -> Vec<Batch> {
    let groups = [
        vec![prompt(70, 3, 11), prompt(70, 1, 13), prompt(70, 61, 17)],
        vec![prompt(0, 1, 5)],
        vec![prompt(0, 130, 3)],
    ];
    plan(&groups, Limits { pairs: 9, tokens: 1000, share_prefixes, fill: false })
}

fn expected(config: &DecoderConfig, weights: &Arc<Weights>, head: &[f32], batch: &Batch) -> Vec<f32> {
    let arithmetic = Arithmetic::new(Level::available(), Precision::F32);
    let mut decoder = Decoder::load(config, weights, arithmetic).unwrap();
    let hidden = decoder.forward(batch).unwrap();
    hidden.iter().map(|row| row.iter().zip(head).map(|(value, weight)| value * weight).sum()).collect()
}

fn check(heads: [usize; 2], head_dim: usize, value: Type, tolerance: f32) {
    let (config, weights) = (config(heads, head_dim), weights());
    let device = Emulated::new(1 << 30);
    let gpu = Gpu::new(device.clone(), value);
    let mut decoder = GpuDecoder::load(&config, &weights, &head(), gpu).unwrap();
    // The self-test has launched kernels too.
    device.launched.lock().unwrap().clear();
    for batch in batches(true) {
        agrees(&mut decoder, &expected(&config, &weights, &head(), &batch), &batch, tolerance);
    }
    let fast =
        device.launched.lock().unwrap().iter().any(|kernel| kernel == &format!("attend_{}_{head_dim}", value.name()));
    assert_eq!(fast, value != Type::F32 && head_dim >= 64, "{heads:?} of {head_dim}, {value:?}");
}

fn agrees(decoder: &mut GpuDecoder, expected: &[f32], batch: &Batch, tolerance: f32) {
    let logits = decoder.score(batch).unwrap();
    assert_eq!(logits.len(), expected.len());
    for (logit, expected) in logits.iter().zip(expected) {
        assert!((logit - expected).abs() < tolerance, "{logit}, not {expected}");
    }
}

#[test]
fn plain_kernels_agree_with_the_processor() {
    check([4, 4], 40, Type::F32, 2e-5);
    check([2, 1], 128, Type::F32, 2e-5);
    check([6, 2], 16, Type::Bf16, 0.05);
}

#[test]
fn tensor_core_attention_agrees_with_the_processor() {
    check([2, 2], 64, Type::Bf16, 0.05);
    check([5, 1], 64, Type::Bf16, 0.05);
    // More heads than a block turns at a time.
    check([8, 2], 128, Type::F16, 0.01);
}

/// Prompts that share a beginning which ends inside a tile of late queries, and one that is all its own.
fn long_batches() -> Vec<Batch> {
    let groups = [vec![prompt(301, 90, 11), prompt(301, 5, 13)], vec![prompt(0, 387, 3)]];
    plan(&groups, Limits { pairs: 9, tokens: 1000, share_prefixes: true, fill: false })
}

#[test]
fn early_and_late_queries_have_kernels_of_their_own_on_hopper() {
    for (heads, head_dim, value, tolerance) in [
        ([4, 2], 128, Type::Bf16, 0.05),
        ([2, 1], 128, Type::F16, 0.01),
        ([3, 3], 64, Type::F16, 0.01),
        ([5, 1], 64, Type::Bf16, 0.05),
    ] {
        let (config, weights) = (config(heads, head_dim), weights());
        let device = Emulated::hopper(1 << 30);
        let gpu = Gpu::new(device.clone(), value).with_late_from(256);
        let mut decoder = GpuDecoder::load(&config, &weights, &head(), gpu).unwrap();
        assert_eq!(decoder.warnings(), Vec::<String>::new());
        device.launched.lock().unwrap().clear();
        for batch in long_batches() {
            agrees(&mut decoder, &expected(&config, &weights, &head(), &batch), &batch, tolerance);
        }
        for kind in ["early", "late"] {
            let name = format!("attend_hopper_{kind}_{}_{head_dim}", value.name());
            assert!(device.launched.lock().unwrap().contains(&name), "{name}");
        }
    }
}

#[test]
fn kernels_that_are_wrong_on_a_card_are_not_used() {
    let (config, weights) = (config([4, 2], 128), weights());
    for (wrong, instead) in [
        ("attend_hopper_late_bf16_128", "attend_hopper_early_bf16_128"),
        ("attend_hopper_early_bf16_128", "attend_bf16_128"),
        ("attend_bf16_128", "attend_plain_bf16"),
        ("-", "-"),
    ] {
        let device = Emulated::wrong(wrong);
        let gpu = Gpu::new(device.clone(), Type::Bf16).with_late_from(256);
        let mut decoder = GpuDecoder::load(&config, &weights, &head(), gpu).unwrap();
        let warnings = decoder.warnings();
        assert_eq!(warnings.len(), usize::from(wrong != "-"), "{warnings:?}");
        assert!(warnings.iter().all(|warning| warning.contains("is not used")), "{warnings:?}");
        device.launched.lock().unwrap().clear();
        let batch = &long_batches()[0];
        agrees(&mut decoder, &expected(&config, &weights, &head(), batch), batch, 0.05);
        let launched = device.launched.lock().unwrap();
        assert!(!launched.iter().any(|kernel| kernel == wrong));
        assert!(wrong == "-" || launched.iter().any(|kernel| kernel == instead));
    }
}

#[test]
fn a_checkpoint_is_read_and_beginnings_need_not_be_shared() {
    let odd = std::path::Path::new("testdata/odd-reranker");
    let config = ModelConfig::read(&odd.join("config.json")).unwrap().decoder;
    let shards = std::fs::read_dir(odd).unwrap().map(|entry| entry.unwrap().path());
    let shards: Vec<_> = shards.filter(|path| path.extension().is_some_and(|name| name == "safetensors")).collect();
    let weights = Arc::new(Weights::open(&shards).unwrap());
    let head = weights.row("lm_head.weight", [config.vocabulary, config.hidden], 7).unwrap();
    for (value, tolerance) in [(Type::F32, 2e-5), (Type::Bf16, 0.05)] {
        let gpu = Gpu::new(Emulated::new(1 << 30), value);
        let mut decoder = GpuDecoder::load(&config, &weights, &head, gpu).unwrap();
        let prompts: Vec<_> = [[1, 5, 9, 9, 2], [1, 5, 9, 3, 400]]
            .into_iter()
            .map(|tokens| Prompt { token_ids: tokens.repeat(4), truncated: false })
            .collect();
        for share_prefixes in [true, false] {
            let limits = Limits { pairs: 9, tokens: 1000, share_prefixes, fill: false };
            for batch in plan(std::slice::from_ref(&prompts), limits) {
                agrees(&mut decoder, &expected(&config, &weights, &head, &batch), &batch, tolerance);
            }
        }
    }
}

#[test]
fn what_does_not_fit_is_told_and_less_fits() {
    let (config, weights) = (config([6, 2], 16), weights());
    let per_token = GpuDecoder::bytes_per_token(&config, Type::F32);
    assert!(GpuDecoder::load(&config, &weights, &head(), Gpu::new(Emulated::new(1 << 16), Type::F32)).is_err());
    let device = Emulated::new(1 << 30);
    let gpu = Gpu::new(device.clone(), Type::F32);
    let mut decoder = GpuDecoder::load(&config, &weights, &head(), gpu).unwrap();
    let too_many = 2 * (1 << 30) / per_token;
    assert!(decoder.reserve(too_many, 8).unwrap_err().is::<OutOfMemory>());
    assert!(decoder.reserve(too_many, 8).unwrap_err().is::<OutOfMemory>());
    let batch = &batches(true)[0];
    assert_eq!(decoder.score(batch).unwrap().len(), batch.pairs().count());
}

#[test]
fn batches_that_do_not_fit_are_scored_in_parts() {
    let decoder = config([6, 2], 16);
    let model = ModelConfig { family: Family::Qwen3, head: HeadKind::YesNo { tied: true }, decoder };
    let load = |room: usize| {
        let device = Emulated::new(room);
        let gpu = Gpu::new(device.clone(), Type::F32);
        (LastTokenScorer::load(&model, &weights(), &Target::Gpu(gpu), [7, 8]).unwrap(), device)
    };
    let (mut whole, device) = load(1 << 30);
    let used = (1 << 30) - device.free_memory().unwrap();
    let per_token = GpuDecoder::bytes_per_token(&model.decoder, Type::F32);
    // Room for about 150 tokens; 64 have theirs already.
    let (mut scorer, _) = load(used + 136 * per_token);
    let limits = Limits { pairs: 9, tokens: 4000, share_prefixes: true, fill: false };
    let fits = scorer.reserve(limits).unwrap();
    assert!((64..200).contains(&fits), "{fits}");
    for batch in batches(true) {
        assert!(batch.token_ids.len() > 200);
        assert_eq!(scorer.score(&batch).unwrap(), whole.score(&batch).unwrap());
    }
    let long = Prompt { token_ids: vec![3; 400], truncated: false };
    let message = format!("{:#}", scorer.score(&plan(&[vec![long]], limits)[0]).unwrap_err());
    assert!(message.contains("a prompt of 400 tokens") && message.contains("--max-length"), "{message}");
    // And goes on.
    let short = Prompt { token_ids: vec![3; 20], truncated: false };
    assert_eq!(scorer.score(&plan(&[vec![short]], limits)[0]).unwrap().len(), 1);
}
