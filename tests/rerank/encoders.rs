//! The encoders' forward against candle-transformers', on random weights of odd shapes.

use std::sync::Arc;

use candle_core::{DType, Device, IndexOp, Tensor};
use candle_nn::{Linear, Module, VarBuilder, VarMap};
use candle_transformers::models::bert::{self, BertModel};
use rerank::batch::{Batch, Limits, plan};
use rerank::checkpoint::Weights;
use rerank::engine::cpu::forward::CpuEngine;
use rerank::engine::cpu::{Arithmetic, Level};
use rerank::engine::{Engine, Model};
use rerank::model::Architecture;
use rerank::precision::Precision;
use rerank::recipe::Prompt;
use serde_json::{Value, json};

use crate::fixture::Files;

/// Heads of 10 features; nothing is a multiple of a panel.
fn config(family: &str) -> Value {
    json!({
        "model_type": family, "vocab_size": 90, "hidden_size": 50, "intermediate_size": 70, "num_hidden_layers": 3,
        "num_attention_heads": 5, "layer_norm_eps": 1e-5, "max_position_embeddings": 80, "type_vocab_size": 2,
        "pad_token_id": 1, "hidden_act": "gelu",
        "architectures": [if family == "bert" { "BertForSequenceClassification" } else { "XLMRobertaForSequenceClassification" }]
    })
}

/// Prompts of up to the longest length, none with the padding token 1.
fn prompts(architecture: &Architecture) -> Vec<Prompt> {
    let tokens = |length: usize| (0..length).map(|index| 2 + (index * index * 7 + length) as u32 % 88).collect();
    [1, 2, 31, 40, 64, architecture.max_length].into_iter().map(|length| Prompt::whole(tokens(length))).collect()
}

/// The same values every time; those of norms are near 1, as trained ones.
fn set(variables: &VarMap) {
    let variables = variables.data().lock().unwrap();
    let mut names: Vec<_> = variables.keys().collect();
    names.sort();
    let mut state = 0x5eed_u32;
    let mut noise = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.
    };
    for name in names {
        let center = if name.ends_with("LayerNorm.weight") { 1. } else { 0. };
        let shape = variables[name].shape();
        let values: Vec<f32> = (0..shape.elem_count()).map(|_| center + 0.4 * noise()).collect();
        variables[name].set(&Tensor::from_vec(values, shape, &Device::Cpu).unwrap()).unwrap();
    }
}

/// Logits by candidate, in batches of so many tokens.
fn logits(engine: &mut CpuEngine, prompts: &[Prompt], tokens: usize) -> Vec<f32> {
    let mut logits = vec![f32::NAN; prompts.len()];
    let limits = Limits { pairs: 9, tokens, share_prefixes: false, fill: false };
    for batch in plan(&[prompts.to_vec()], limits) {
        for (id, logit) in batch.pairs().zip(engine.run(&batch).unwrap()) {
            logits[id.candidate] = logit;
        }
    }
    logits
}

/// Checks all levels and precisions against the logits that candle gives.
fn agrees(family: &str, variables: &VarMap, expected: impl Fn(&Tensor) -> Tensor) {
    let files = Files::new();
    let path = files.path("model.safetensors");
    variables.save(&path).unwrap();
    let weights = Arc::new(Weights::open(&[path]).unwrap());
    let architecture = Arc::new(Architecture::of_config(&config(family)).unwrap());
    let prompts = prompts(&architecture);
    let model = Model { architecture, weights, answers: None };
    let expected: Vec<f32> = prompts
        .iter()
        .map(|prompt| Tensor::new(prompt.token_ids.as_slice(), &Device::Cpu).unwrap().unsqueeze(0).unwrap())
        .map(|tokens| expected(&tokens).flatten_all().unwrap().to_vec1::<f32>().unwrap()[0])
        .collect();
    let spread = expected.iter().copied().fold(f32::MIN, f32::max) - expected.iter().copied().fold(f32::MAX, f32::min);
    assert!(spread > 0.02, "the logits hardly differ: {expected:?}");
    for level in Level::all() {
        for (precision, tolerance) in [(Precision::F32, 2e-5), (Precision::Bf16, 0.05), (Precision::Int8, 0.1)] {
            for arithmetic in Arithmetic::all(level, precision) {
                let mut engine = CpuEngine::load(&model, arithmetic).unwrap();
                let together = logits(&mut engine, &prompts, 1000);
                for (logit, expected) in together.iter().zip(&expected) {
                    assert!((logit - expected).abs() < tolerance, "{arithmetic:?}: {together:?}, not {expected:?}");
                }
                assert_eq!(together, logits(&mut engine, &prompts, 100), "{arithmetic:?}");
            }
        }
    }
}

#[test]
fn xlm_roberta_agrees_with_candle_transformers() {
    use candle_transformers::models::xlm_roberta::{Config, XLMRobertaForSequenceClassification};
    let theirs: Config = serde_json::from_value(json!({
        "hidden_size": 50, "layer_norm_eps": 1e-5, "attention_probs_dropout_prob": 0.0, "hidden_dropout_prob": 0.0,
        "num_attention_heads": 5, "position_embedding_type": "absolute", "intermediate_size": 70, "hidden_act": "gelu",
        "num_hidden_layers": 3, "vocab_size": 90, "max_position_embeddings": 80, "type_vocab_size": 2, "pad_token_id": 1
    }))
    .unwrap();
    let variables = VarMap::new();
    let builder = VarBuilder::from_varmap(&variables, DType::F32, &Device::Cpu);
    let build = || XLMRobertaForSequenceClassification::new(1, &theirs, builder.clone()).unwrap();
    build();
    set(&variables);
    let model = build();
    agrees("xlm-roberta", &variables, |tokens| {
        let ones = Tensor::ones_like(tokens).unwrap();
        model.forward(tokens, &ones, &tokens.zeros_like().unwrap()).unwrap()
    });
}

/// Encoder, pooler and classifier.
fn bert(variables: &VarMap) -> (BertModel, Linear, Linear) {
    let config: bert::Config = serde_json::from_value(json!({
        "vocab_size": 90, "hidden_size": 50, "num_hidden_layers": 3, "num_attention_heads": 5, "intermediate_size": 70,
        "hidden_act": "gelu", "hidden_dropout_prob": 0.0, "max_position_embeddings": 80, "type_vocab_size": 2,
        "initializer_range": 0.02, "layer_norm_eps": 1e-5, "pad_token_id": 0, "use_cache": false,
        "position_embedding_type": "absolute", "classifier_dropout": null, "model_type": "bert"
    }))
    .unwrap();
    let builder = VarBuilder::from_varmap(variables, DType::F32, &Device::Cpu);
    let linear = |outputs, name| candle_nn::linear(50, outputs, builder.pp(name)).unwrap();
    (BertModel::load(builder.pp("bert"), &config).unwrap(), linear(50, "bert.pooler.dense"), linear(1, "classifier"))
}

#[test]
fn bert_agrees_with_candle_transformers() {
    let variables = VarMap::new();
    bert(&variables);
    set(&variables);
    let (model, pooler, classifier) = bert(&variables);
    agrees("bert", &variables, |tokens| {
        let hidden = model.forward(tokens, &tokens.zeros_like().unwrap(), None).unwrap();
        let pooled = pooler.forward(&hidden.i((.., 0)).unwrap()).unwrap().tanh().unwrap();
        classifier.forward(&pooled).unwrap()
    });
}

#[test]
fn what_an_encoder_can_not_do_is_reported() {
    let variables = VarMap::new();
    bert(&variables);
    let files = Files::new();
    variables.save(files.path("model.safetensors")).unwrap();
    let weights = Arc::new(Weights::open(&[files.path("model.safetensors")]).unwrap());
    let architecture = Arc::new(Architecture::of_config(&config("bert")).unwrap());
    let arithmetic = Arithmetic::new(Level::available(), Precision::F32);
    let mut engine = CpuEngine::load(&Model { architecture, weights, answers: None }, arithmetic).unwrap();
    let mut fails = |token_ids: Vec<Vec<u32>>, share_prefixes: bool, said: &str| {
        let prompts: Vec<_> = token_ids.into_iter().map(Prompt::whole).collect();
        let batches: Vec<Batch> = plan(&[prompts], Limits { pairs: 9, tokens: 999, share_prefixes, fill: false });
        let message = engine.run(&batches[0]).unwrap_err().to_string();
        assert!(message.contains(said), "{message}");
    };
    fails(vec![vec![5; 81]], false, "81 tokens");
    fails(vec![vec![90]], false, "outside the vocabulary of 90");
    fails(vec![vec![5, 6, 7], vec![5, 6, 8]], true, "share");
    let mut wrong = config("bert");
    wrong["num_attention_heads"] = 4.into();
    assert!(Architecture::of_config(&wrong).unwrap_err().to_string().contains("evenly"));
}
