//! The processor's engine against what descriptions mean, for random ones, at every level and in every precision.

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use rerank::batch::{Batch, Limits, plan};
use rerank::engine::cpu::forward::CpuEngine;
use rerank::engine::cpu::{Arithmetic, Level};
use rerank::engine::{Engine, Model};
use rerank::model::Architecture;
use rerank::precision::Precision;
use rerank::recipe::Prompt;

use crate::descriptions::{VOCABULARY, architectures, model};
use crate::reference::Reference;

/// Prompts that begin alike, the longest over more than a chunk of keys.
fn prompts(architecture: &Architecture, lengths: &[usize]) -> Vec<Prompt> {
    let types = architecture.embedding.token_types.as_ref().map_or(1, |types| types.rows.len());
    let token = |index: usize, length: usize| {
        let seed = if index < 37 { 0 } else { length };
        ((index * index * 7 + index + seed * 13) % VOCABULARY) as u32
    };
    let prompt = |&length: &usize| Prompt {
        second_type: (types > 1).then_some(length / 3),
        ..Prompt::whole((0..length).map(|index| token(index, length)).collect())
    };
    lengths.iter().map(prompt).collect()
}

/// Logits by candidate, in batches of so many tokens.
fn logits(engine: &mut CpuEngine, prompts: &[Prompt], tokens: usize, share_prefixes: bool) -> Vec<f32> {
    let mut logits = vec![f32::NAN; prompts.len()];
    for batch in plan(&[prompts.to_vec()], Limits { pairs: 9, tokens, share_prefixes, fill: false }) {
        for (id, logit) in batch.pairs().zip(engine.run(&batch).unwrap()) {
            logits[id.candidate] = logit;
        }
    }
    logits
}

/// What the description means, by candidate.
fn expected(model: &Model, prompts: &[Prompt]) -> Vec<f32> {
    let limits = Limits { pairs: 9, tokens: 2000, share_prefixes: false, fill: false };
    let [batch] = &plan(&[prompts.to_vec()], limits)[..] else { panic!("one batch holds all") };
    let mut logits = vec![f32::NAN; prompts.len()];
    for (id, logit) in batch.pairs().zip(Reference::new(model).logits(batch)) {
        logits[id.candidate] = logit;
    }
    logits
}

proptest! {
    // The same descriptions in every run: among all that can be drawn, a few are so peaked that 16 bits miss any bound.
    #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(1), ..ProptestConfig::with_cases(48) })]
    #[test]
    fn any_description_is_computed(
        architecture in architectures(),
        lengths in proptest::collection::vec(prop_oneof![1usize..40, 60usize..330], 1..4),
    ) {
        let model = model(architecture);
        let prompts = prompts(&model.architecture, &lengths);
        let expected = expected(&model, &prompts);
        for level in Level::all() {
            for (precision, tolerance) in
                [(Precision::F32, 1e-4), (Precision::F16, 0.02), (Precision::Bf16, 0.15), (Precision::Int8, 0.5)]
            {
                for arithmetic in Arithmetic::all(level, precision) {
                    let mut engine = CpuEngine::load(&model, arithmetic).unwrap();
                    let together = logits(&mut engine, &prompts, 2000, false);
                    for (logit, expected) in together.iter().zip(&expected) {
                        let difference = (logit - expected).abs() / (1. + expected.abs());
                        prop_assert!(difference < tolerance, "{:?}: {:?}, not {:?}", arithmetic, together, &expected);
                    }
                    prop_assert_eq!(&together, &logits(&mut engine, &prompts, 1, false), "{:?} alone", arithmetic);
                    if model.architecture.shares_prefixes() {
                        prop_assert_eq!(&together, &logits(&mut engine, &prompts, 2000, true), "{:?} shared", arithmetic);
                    }
                }
            }
        }
    }
}

#[test]
fn types_outside_the_table_are_refused() {
    let mut architecture = Architecture::of_config(&serde_json::json!({
        "model_type": "bert", "vocab_size": VOCABULARY, "hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1,
        "num_attention_heads": 2, "type_vocab_size": 1, "max_position_embeddings": 80
    }))
    .unwrap();
    let prompt = Prompt { second_type: Some(2), ..Prompt::whole(vec![5; 4]) };
    let batches: Vec<Batch> =
        plan(&[vec![prompt]], Limits { pairs: 9, tokens: 99, share_prefixes: false, fill: false });
    let run = |architecture: &Architecture| {
        let arithmetic = Arithmetic::new(Level::available(), Precision::F32);
        CpuEngine::load(&model(architecture.clone()), arithmetic).unwrap().run(&batches[0])
    };
    let message = run(&architecture).unwrap_err().to_string();
    assert!(message.contains("type 1") && message.contains("1 types"), "{message}");
    architecture.embedding.token_types = None;
    assert!(run(&architecture).is_ok());
}
