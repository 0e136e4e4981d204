//! The GPU engine on an emulated GPU against the processor's engine: the kernels' own sources, launched as on a card.

use std::sync::Arc;

use rerank::batch::{Batch, Limits, plan};
use rerank::checkpoint::Weights;
use rerank::engine::cpu::forward::CpuEngine;
use rerank::engine::cpu::{Arithmetic, Level};
use rerank::engine::gpu::forward::GpuEngine;
use rerank::engine::gpu::{Device, Gpu, Type};
use rerank::engine::{Engine, Model};
use rerank::model::{Answers, Architecture, Mask, NormPlacement, Pooling};
use rerank::precision::Precision;
use rerank::recipe::Prompt;
use serde_json::json;

use crate::emulated::Emulated;

fn architecture([heads, key_heads]: [usize; 2], head_dim: usize) -> Architecture {
    let config = json!({
        "model_type": "qwen3", "vocab_size": 500, "hidden_size": 96, "intermediate_size": 104, "num_hidden_layers": 2,
        "num_attention_heads": heads, "num_key_value_heads": key_heads, "head_dim": head_dim, "rms_norm_eps": 1e-6,
        "rope_theta": 1e4, "max_position_embeddings": 1000, "tie_word_embeddings": true
    });
    Architecture::of_config(&config).unwrap()
}

/// A model with random weights, which scores with the difference of two rows of its embedding.
fn model(heads: [usize; 2], head_dim: usize) -> Model {
    of(architecture(heads, head_dim))
}

fn of(architecture: Architecture) -> Model {
    let answers = Some(Answers { yes: 7, no: Some(8) });
    Model { architecture: Arc::new(architecture), weights: Arc::new(Weights::random(500 * 1024)), answers }
}

/// Some tokens that are the same for all prompts, and some that are not.
fn prompt(shared: u32, own: u32, seed: u32) -> Prompt {
    let shared = (0..shared).map(|token| token * 7 % 500);
    let own = (0..own).map(|token| (token * seed + seed) % 500);
    Prompt::whole(shared.chain(own).collect())
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

fn expected(model: &Model, batch: &Batch) -> Vec<f32> {
    let arithmetic = Arithmetic::new(Level::available(), Precision::F32);
    CpuEngine::load(model, arithmetic).unwrap().run(batch).unwrap()
}

fn check(heads: [usize; 2], head_dim: usize, value: Type, tolerance: f32) {
    let model = model(heads, head_dim);
    let device = Emulated::new(1 << 30);
    let mut engine = GpuEngine::load(&model, Gpu::new(device.clone(), value)).unwrap();
    // The self-test has launched kernels too.
    device.launched.lock().unwrap().clear();
    for batch in batches(true) {
        agrees(&mut engine, &expected(&model, &batch), &batch, tolerance);
    }
    let fast =
        device.launched.lock().unwrap().iter().any(|kernel| kernel == &format!("attend_{}_{head_dim}", value.name()));
    assert_eq!(fast, value != Type::F32 && [32, 64, 128].contains(&head_dim), "{heads:?} of {head_dim}, {value:?}");
}

fn agrees(engine: &mut GpuEngine, expected: &[f32], batch: &Batch, tolerance: f32) {
    let logits = engine.run(batch).unwrap();
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
        let model = model(heads, head_dim);
        let device = Emulated::hopper(1 << 30);
        let gpu = Gpu::new(device.clone(), value).with_late_from(256);
        let mut engine = GpuEngine::load(&model, gpu).unwrap();
        assert_eq!(engine.warnings(), Vec::<String>::new());
        device.launched.lock().unwrap().clear();
        for batch in long_batches() {
            agrees(&mut engine, &expected(&model, &batch), &batch, tolerance);
        }
        for kind in ["early", "late"] {
            let name = format!("attend_hopper_{kind}_{}_{head_dim}", value.name());
            assert!(device.launched.lock().unwrap().contains(&name), "{name}");
        }
        assert!(!device.launched.lock().unwrap().contains(&format!("swiglu_{}", value.name())));
    }
}

#[test]
fn kernels_that_are_wrong_on_a_card_are_not_used() {
    let model = model([4, 2], 128);
    for (wrong, instead) in [
        ("attend_hopper_late_bf16_128", "attend_hopper_early_bf16_128"),
        ("attend_hopper_early_bf16_128", "attend_bf16_128"),
        ("attend_bf16_128", "attend_plain_bf16"),
        ("multiply_gated_hopper_bf16", "swiglu_bf16"),
        ("-", "-"),
    ] {
        let device = Emulated::wrong(wrong);
        let gpu = Gpu::new(device.clone(), Type::Bf16).with_late_from(256);
        let mut engine = GpuEngine::load(&model, gpu).unwrap();
        let warnings = engine.warnings();
        assert_eq!(warnings.len(), usize::from(wrong != "-"), "{warnings:?}");
        assert!(warnings.iter().all(|warning| warning.contains("is not used")), "{warnings:?}");
        device.launched.lock().unwrap().clear();
        let batch = &long_batches()[0];
        agrees(&mut engine, &expected(&model, batch), batch, 0.05);
        let launched = device.launched.lock().unwrap();
        assert!(!launched.iter().any(|kernel| kernel == wrong));
        assert!(wrong == "-" || launched.iter().any(|kernel| kernel == instead));
    }
}

#[test]
fn a_checkpoint_is_read_and_beginnings_need_not_be_shared() {
    let odd = std::path::Path::new("testdata/odd-reranker");
    let architecture = Arc::new(Architecture::read(&odd.join("config.json")).unwrap());
    let shards = std::fs::read_dir(odd).unwrap().map(|entry| entry.unwrap().path());
    let shards: Vec<_> = shards.filter(|path| path.extension().is_some_and(|name| name == "safetensors")).collect();
    let weights = Arc::new(Weights::open(&shards).unwrap());
    let model = Model { architecture, weights, answers: Some(Answers { yes: 7, no: None }) };
    for (value, tolerance) in [(Type::F32, 2e-5), (Type::Bf16, 0.05)] {
        let mut engine = GpuEngine::load(&model, Gpu::new(Emulated::new(1 << 30), value)).unwrap();
        let prompts: Vec<_> =
            [[1, 5, 9, 9, 2], [1, 5, 9, 3, 400]].into_iter().map(|tokens| Prompt::whole(tokens.repeat(4))).collect();
        for share_prefixes in [true, false] {
            let limits = Limits { pairs: 9, tokens: 1000, share_prefixes, fill: false };
            for batch in plan(std::slice::from_ref(&prompts), limits) {
                agrees(&mut engine, &expected(&model, &batch), &batch, tolerance);
            }
        }
    }
}

#[test]
fn what_does_not_fit_is_refused_and_less_fits() {
    let model = model([6, 2], 16);
    assert!(GpuEngine::load(&model, Gpu::new(Emulated::new(1 << 16), Type::F32)).is_err());
    let mut engine = GpuEngine::load(&model, Gpu::new(Emulated::new(1 << 20), Type::F32)).unwrap();
    let limits = Limits { pairs: 8, tokens: 1 << 20, share_prefixes: true, fill: false };
    let fits = engine.reserve(limits).unwrap();
    assert!((64..400).contains(&fits), "{fits}");
    assert_eq!(engine.reserve(limits).unwrap(), fits);
    let batch = &batches(true)[0];
    assert_eq!(engine.run(batch).unwrap().len(), batch.pairs().count());
}

#[test]
fn batches_that_do_not_fit_are_scored_in_parts() {
    let model = model([6, 2], 16);
    let load = |room: usize| {
        let device = Emulated::new(room);
        let gpu = Gpu::new(device.clone(), Type::F32);
        (GpuEngine::load(&model, gpu).unwrap(), device)
    };
    let (mut whole, device) = load(1 << 30);
    let used = (1 << 30) - device.free_memory().unwrap();
    // A token takes 96 values of the residual stream and 96 normalized, 208 products, 96 of queries, 104 inside, and indices.
    let per_token = 4 * (96 + 96 + 208 + 96 + 104 + 14);
    // Room for about 150 tokens; 64 have theirs already.
    let (mut engine, _) = load(used + 136 * per_token);
    let limits = Limits { pairs: 9, tokens: 4000, share_prefixes: true, fill: false };
    let fits = engine.reserve(limits).unwrap();
    assert!((64..200).contains(&fits), "{fits}");
    for batch in batches(true) {
        assert!(batch.token_ids.len() > 200);
        assert_eq!(engine.run(&batch).unwrap(), whole.run(&batch).unwrap());
    }
    let long = Prompt::whole(vec![3; 400]);
    let message = format!("{:#}", engine.run(&plan(&[vec![long]], limits)[0]).unwrap_err());
    assert!(message.contains("a prompt of 400 tokens") && message.contains("--max-length"), "{message}");
    // And goes on.
    let short = Prompt::whole(vec![3; 20]);
    assert_eq!(engine.run(&plan(&[vec![short]], limits)[0]).unwrap().len(), 1);
}

#[test]
fn attention_in_both_directions_agrees_with_the_processor() {
    for (heads, head_dim, value, hopper, tolerance) in [
        ([4, 2], 40, Type::F32, false, 2e-5),
        ([5, 1], 64, Type::Bf16, false, 0.01),
        ([5, 1], 64, Type::Bf16, true, 0.01),
        ([2, 1], 128, Type::F16, true, 0.002),
    ] {
        let mut architecture = architecture(heads, head_dim);
        architecture.layers.iter_mut().for_each(|layer| layer.attention.mask = Mask::Bidirectional);
        architecture.pooling = if value == Type::F16 { Pooling::FirstToken } else { Pooling::LastToken };
        let model = of(architecture);
        let device = if hopper { Emulated::hopper(1 << 30) } else { Emulated::new(1 << 30) };
        let mut engine = GpuEngine::load(&model, Gpu::new(device, value).with_late_from(128)).unwrap();
        let prompts = vec![prompt(0, 190, 3), prompt(0, 70, 11), prompt(0, 5, 7)];
        let limits = Limits { pairs: 9, tokens: 1000, share_prefixes: false, fill: false };
        let batch = &plan(&[prompts], limits)[0];
        let both_ways = expected(&model, batch);
        agrees(&mut engine, &both_ways, batch, tolerance);
        let one_way = expected(&self::model(heads, head_dim), batch);
        assert!(both_ways.iter().zip(&one_way).any(|(one, other)| (one - other).abs() > 3. * tolerance));
    }
}

#[test]
fn what_the_engine_lacks_is_refused_by_name() {
    let load = |change: fn(&mut Architecture)| {
        let mut architecture = architecture([4, 2], 16);
        change(&mut architecture);
        let gpu = Gpu::new(Emulated::new(1 << 30), Type::F32);
        GpuEngine::load(&of(architecture), gpu).err().map(|error| error.to_string())
    };
    assert_eq!(load(|_| ()), None);
    let first = load(|model| model.pooling = Pooling::FirstToken).unwrap();
    assert!(first.contains("the first token") && first.contains("--device cpu"), "{first}");
    assert!(load(|model| model.layers[0].placement = NormPlacement::After).unwrap().contains("behind others"));
    assert!(load(|model| model.layers[1].attention.mask = Mask::Bidirectional).unwrap().contains("differs by layer"));
    let turn = load(|model| model.layers[1].attention.rotary.as_mut().unwrap().features = 8).unwrap();
    assert!(turn.contains("a part of each head of qwen3 models"), "{turn}");
    let wide = GpuEngine::load(&of(architecture([4, 2], 260)), Gpu::new(Emulated::new(1 << 30), Type::F32));
    let wide = wide.err().unwrap().to_string();
    assert!(wide.contains("heads of more than 256 features") && wide.contains("--device cpu"), "{wide}");
}
