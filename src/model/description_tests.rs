//! Models of other families, described as values: the description has a word for everything that they do, and the engines
//! refuse by name what they lack.

use super::*;
use crate::engine::check;

/// mxbai-rerank-base-v2: biases of queries, keys and values, and no norms of heads.
fn qwen2() -> Architecture {
    published(&serde_json::json!({
        "model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"], "vocab_size": 151_936, "hidden_size": 896,
        "intermediate_size": 4864, "num_hidden_layers": 24, "num_attention_heads": 14, "num_key_value_heads": 2,
        "max_window_layers": 21, "sliding_window": 32_768, "use_sliding_window": false, "rope_theta": 1e6,
        "tie_word_embeddings": true, "hidden_act": "silu", "max_position_embeddings": 32_768, "rms_norm_eps": 1e-6
    }))
}

/// A classifier with the window that Mistral 7B v0.1 has.
fn mistral() -> Architecture {
    published(&serde_json::json!({
        "model_type": "mistral", "architectures": ["MistralForSequenceClassification"], "vocab_size": 32_000,
        "hidden_size": 4096, "intermediate_size": 14_336, "num_hidden_layers": 32, "num_attention_heads": 32,
        "num_key_value_heads": 8, "sliding_window": 4096, "rope_theta": 1e4, "max_position_embeddings": 32_768,
        "id2label": {"0": "LABEL_0"}, "rms_norm_eps": 1e-5
    }))
}

/// bge-reranker-v2-gemma: norms around 1, a scaled embedding, GeGLU by tanh.
fn gemma() -> Architecture {
    published(&serde_json::json!({
        "model_type": "gemma", "architectures": ["GemmaForCausalLM"], "vocab_size": 256_000, "hidden_size": 2048,
        "intermediate_size": 16_384, "num_hidden_layers": 18, "num_attention_heads": 8, "num_key_value_heads": 1,
        "head_dim": 256, "hidden_act": "gelu", "max_position_embeddings": 8192, "attention_bias": false
    }))
}

/// llama-nemotron-rerank-1b-v2: tokens see those behind them, and frequencies are scaled.
fn nemotron() -> Architecture {
    published(&serde_json::json!({
        "model_type": "llama_bidirec", "architectures": ["LlamaBidirectionalForSequenceClassification"],
        "auto_map": {"AutoConfig": "llama_bidirectional_model.LlamaBidirectionalConfig"}, "vocab_size": 128_256,
        "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16, "num_attention_heads": 32,
        "num_key_value_heads": 8, "head_dim": 64, "pooling": "avg", "temperature": 0.5, "rope_theta": 5e5,
        "rope_scaling": {"rope_type": "llama3", "factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8192},
        "max_position_embeddings": 131_072, "rms_norm_eps": 1e-5, "id2label": {"0": "LABEL_0"}
    }))
}

const MODERNBERT: usize = 768;

fn modernbert_norm(name: &str) -> Norm {
    Norm { bias: None, ..Norm::layer(name, MODERNBERT, 1e-5) }
}

/// A layer with fused products; two of three look at a window.
fn modernbert_layer(index: usize) -> Layer {
    let heads = Heads { query: 12, key: 12, head_dim: 64 };
    let name = |part: &str| format!("model.layers.{index}.{part}");
    let products = Linear::new(&name("attn.Wqkv"), 3 * MODERNBERT, MODERNBERT);
    let inner = Linear::new(&name("mlp.Wi"), 2 * 1152, MODERNBERT);
    let part = |linear: &Linear, number: usize, rows: usize| Linear {
        weight: linear.weight.part(number * rows..(number + 1) * rows),
        bias: None,
    };
    let global = index.is_multiple_of(3);
    Layer {
        placement: NormPlacement::Before,
        attention_norm: (index > 0).then(|| modernbert_norm(&name("attn_norm"))),
        attention: Attention {
            heads,
            query: part(&products, 0, MODERNBERT),
            key: part(&products, 1, MODERNBERT),
            value: part(&products, 2, MODERNBERT),
            output: Linear::new(&name("attn.Wo"), MODERNBERT, MODERNBERT),
            query_key_norms: None,
            rotary: Some(Rotary::of_theta(if global { 160_000. } else { 10_000. }, 64)),
            relative: None,
            mask: Mask::Bidirectional,
            window: (!global).then_some(64),
            scale: heads.usual_scale(),
        },
        mlp_norm: modernbert_norm(&name("mlp_norm")),
        mlp: Mlp::Gated {
            gate: part(&inner, 0, 1152),
            up: part(&inner, 1, 1152),
            down: Linear::new(&name("mlp.Wo"), MODERNBERT, 1152),
            activation: Activation::Gelu,
        },
    }
}

/// gte-reranker-modernbert-base: mean pooling, and a head with a norm.
fn modernbert() -> Architecture {
    Architecture {
        family: "modernbert",
        hidden: MODERNBERT,
        max_length: 8192,
        embedding: Embedding {
            tokens: Tensor::matrix("model.embeddings.tok_embeddings.weight", 50_368, MODERNBERT),
            scale: 1.,
            positions: None,
            token_types: None,
            norm: Some(modernbert_norm("model.embeddings.norm")),
            projection: None,
        },
        layers: (0..22).map(modernbert_layer).collect(),
        final_norm: Some(modernbert_norm("model.final_norm")),
        pooling: Pooling::Mean,
        padding: None,
        head: Head {
            steps: vec![
                HeadStep::Dense(Linear::new("head.dense", MODERNBERT, MODERNBERT), Some(Activation::Gelu)),
                HeadStep::Norm(modernbert_norm("head.norm")),
            ],
            output: HeadOutput::Classifier(Linear::biased("classifier", 1, MODERNBERT)),
            temperature: 1.,
        },
    }
}

/// A published configuration that is described by its family.
fn published(config: &serde_json::Value) -> Architecture {
    Architecture::of_config(config).unwrap()
}

#[test]
fn other_families_can_be_described() {
    let modernbert = modernbert();
    let gte = serde_json::json!({
        "model_type": "modernbert", "architectures": ["ModernBertForSequenceClassification"], "vocab_size": 50_368,
        "hidden_size": 768, "intermediate_size": 1152, "num_hidden_layers": 22, "num_attention_heads": 12,
        "global_attn_every_n_layers": 3, "global_rope_theta": 160_000.0, "local_rope_theta": 10_000.0,
        "local_attention": 128, "max_position_embeddings": 8192, "norm_eps": 1e-5, "classifier_pooling": "mean",
        "id2label": {"0": "LABEL_0"}, "layer_norm_eps": 1e-5, "position_embedding_type": "absolute", "pad_token_id": 50_283
    });
    assert_eq!(published(&gte), modernbert);
    // All tensors of the published model but that of the first layer's norm, which it does not have.
    let mut names: Vec<&str> = modernbert.tensors().into_iter().map(|tensor| tensor.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), 22 * 6 - 1 + 3 + 2 + 2);
    assert!(names.contains(&"model.layers.1.attn_norm.weight") && !names.contains(&"model.layers.0.attn_norm.weight"));
    assert_eq!((modernbert.shares_prefixes(), modernbert.head_prefix()), (false, "classifier."));
    // The products of 22 layers of queries, keys, values, outputs, gates, ups and downs, and the embedding.
    let products = modernbert.layers.iter().flat_map(|layer| layer.linears().collect::<Vec<_>>());
    let weights: usize = products.map(|linear| linear.outputs() * linear.weight.inputs()).sum();
    let tokens = &modernbert.embedding.tokens;
    assert_eq!(tokens.rows.len() * tokens.inputs() + weights, 50_368 * 768 + 22 * 768 * (4 * 768 + 3 * 1152));

    let bge = published(&serde_json::json!({
        "model_type": "xlm-roberta", "architectures": ["XLMRobertaForSequenceClassification"], "vocab_size": 250_002,
        "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16,
        "layer_norm_eps": 1e-5, "max_position_embeddings": 8194, "type_vocab_size": 1, "pad_token_id": 1
    }));
    let positions = bge.embedding.positions.as_ref().unwrap();
    assert_eq!((bge.max_length, positions.first, bge.head_prefix()), (8192, 2, "classifier."));
    assert_eq!(bge.tensors().len(), 24 * 16 + 3 + 2 + 4);

    let minilm = published(&serde_json::json!({
        "model_type": "bert", "architectures": ["BertForSequenceClassification"], "vocab_size": 30_522, "hidden_size": 384,
        "intermediate_size": 1536, "num_hidden_layers": 6, "num_attention_heads": 12, "layer_norm_eps": 1e-12,
        "max_position_embeddings": 512, "type_vocab_size": 2, "pad_token_id": 0
    }));
    assert_eq!((minilm.max_length, minilm.layers[5].attention.heads.head_dim), (512, 32));
    for model in [bge, minilm] {
        assert!(check(&model, false).is_ok(), "{}", model.family);
    }
}

#[test]
fn decoders_differ_as_their_families_state() {
    let [qwen2, mistral, gemma, nemotron] = [qwen2(), mistral(), gemma(), nemotron()];
    // All are whole: the numbers of tensors that the published checkpoints have.
    let tensors = |model: &Architecture| {
        let mut names: Vec<_> = model.tensors().into_iter().map(|tensor| tensor.name.clone()).collect();
        names.sort_unstable();
        names.dedup();
        names.len()
    };
    assert_eq!((tensors(&qwen2), tensors(&gemma)), (24 * 12 + 2, 18 * 9 + 2));
    assert_eq!((tensors(&mistral), tensors(&nemotron)), (32 * 9 + 3, 16 * 9 + 3));

    let attention = |model: &Architecture| model.layers[0].attention.clone();
    assert_eq!((attention(&qwen2).heads.head_dim, attention(&qwen2).window), (64, None));
    assert!(attention(&qwen2).value.bias.is_some() && attention(&qwen2).output.bias.is_none());
    // As many tokens as the window has, the own one among them.
    assert_eq!((attention(&mistral).window, mistral.head_prefix()), (Some(4095), "score."));
    assert_eq!((gemma.embedding.scale, gemma.layers[17].mlp.activation()), (2048f32.sqrt(), Activation::GeluTanh));
    assert_eq!(gemma.head.output, HeadOutput::Vocabulary(gemma.embedding.tokens.clone()));
    let norms = |model: &Architecture| {
        [&model.layers[3].mlp_norm, model.final_norm.as_ref().unwrap()].map(|norm| norm.weight_offset)
    };
    assert_eq!((norms(&gemma), norms(&qwen2)), ([1., 1.], [0., 0.]));
    assert_eq!((nemotron.pooling, nemotron.head.temperature, nemotron.shares_prefixes()), (Pooling::Mean, 0.5, false));
    // llama_bidirectional_model.py on transformers' LlamaRotaryEmbedding: kept, between, and divided by 32.
    let frequencies = attention(&nemotron).rotary.unwrap().frequencies();
    for (pair, expected) in [(0, 1.), (14, 0.003_211_446), (15, 0.001_290_548), (17, 9.708_286e-5), (31, 9.418_306e-8)]
    {
        assert!((frequencies[pair] / expected - 1.).abs() < 1e-5, "{pair}: {}", frequencies[pair]);
    }
}

#[test]
fn engines_refuse_by_name_what_they_lack() {
    for model in [qwen2(), mistral(), gemma(), nemotron(), modernbert()] {
        for on_gpu in [false, true] {
            assert!(check(&model, on_gpu).is_ok(), "{} {on_gpu}", model.family);
        }
    }
    let mut several = mistral();
    several.head.output = HeadOutput::Classifier(Linear::new("score", 2, 4096));
    let mut narrow = qwen2();
    narrow.embedding.tokens = Tensor::matrix("narrow", 90, 32);
    for (model, named) in [(several, "several labels"), (narrow, "an embedding of other features")] {
        for on_gpu in [false, true] {
            let message = check(&model, on_gpu).unwrap_err().to_string();
            assert!(message.contains(named) && message.contains(model.family), "{message}");
            assert!(!message.contains("--device"), "{message}");
        }
    }
}

fn shape(family: &str) -> Architecture {
    let mut config = serde_json::json!({
        "model_type": family, "vocab_size": 90, "hidden_size": 64, "intermediate_size": 70, "num_hidden_layers": 2,
        "num_attention_heads": 4, "max_position_embeddings": 80
    });
    let own = if family == "bert" { ("type_vocab_size", 2) } else { ("head_dim", 16) };
    config[own.0] = own.1.into();
    Architecture::of_config(&config).unwrap()
}

type Change = fn(&mut Architecture);

/// What no engine computes.
const REFUSED: [Change; 10] = [
    |model| model.layers.clear(),
    |model| model.layers[1].attention.heads.query = 2,
    |model| model.layers.iter_mut().for_each(|layer| layer.attention.heads.key = 0),
    |model| model.head.output = HeadOutput::Classifier(Linear::new("score", 2, 64)),
    |model| model.layers[1].attention.rotary = Some(Rotary::of_theta(1e4, 8)),
    |model| {
        model.layers[1].attention.rotary = None;
        model.layers[1].attention.query_key_norms = Some(["q", "k"].map(|name| Norm::rms(name, 16, 1e-6)));
    },
    |model| {
        model.layers[1].attention.rotary = Some(Rotary::of_theta(1e4, 16));
        model.layers[1].attention.query_key_norms = Some(["q", "k"].map(|name| Norm::rms(name, 64, 1e-6)));
    },
    |model| {
        model.layers[1].attention.rotary = Some(Rotary::of_theta(1e4, 16));
        model.layers[1].attention.query_key_norms = Some(["q", "k"].map(|name| Norm::layer(name, 16, 1e-6)));
    },
    |model| {
        model.layers[1].mlp_norm = Norm { bias: Some(Tensor::vector("bias", 64)), ..Norm::rms("norm", 64, 1e-6) };
    },
    |model| {
        let norm = Norm { bias: Some(Tensor::vector("bias", 64)), ..Norm::rms("norm", 64, 1e-6) };
        model.head.steps.push(HeadStep::Norm(norm));
    },
];

/// What both engines compute, of a decoder: tests against an interpreter of descriptions see to it that they do.
const COMPUTED: [Change; 15] = [
    |model| model.pooling = Pooling::Mean,
    |model| model.embedding.scale = 2.,
    |model| model.layers[1].attention.window = Some(9),
    |model| model.layers[1].attention.scale = 1.,
    |model| model.layers[1].attention_norm = None,
    |model| model.layers[1].mlp_norm.weight_offset = 1.,
    |model| model.head.steps.push(HeadStep::Norm(Norm::rms("head.norm", 64, 1e-6))),
    |model| {
        let (Mlp::Gated { activation, .. } | Mlp::Plain { activation, .. }) = &mut model.layers[1].mlp;
        *activation = Activation::Relu;
    },
    |model| model.final_norm = None,
    |model| model.embedding.token_types = Some(Tensor::matrix("types", 2, 64)),
    |model| {
        model.layers[1].attention.rotary = None;
        model.layers[1].attention.query_key_norms = None;
    },
    |model| model.layers[1].attention.query_key_norms = None,
    |model| model.layers[1].attention.output.bias = Some(Tensor::vector("bias", 64)),
    |model| model.layers[1].mlp_norm = Norm::layer("norm", 64, 1e-6),
    |model| model.embedding.norm = Some(Norm::rms("norm", 64, 1e-6)),
];

/// What only the processor computes.
const ONLY_ON_CPU: [Change; 5] = [
    |model| model.layers[1].placement = NormPlacement::After,
    |model| model.layers[0].placement = NormPlacement::After,
    |model| model.pooling = Pooling::FirstToken,
    |model| model.layers[1].attention.mask = Mask::Bidirectional,
    |model| {
        let norms = model.layers[1].attention.query_key_norms.as_mut().unwrap();
        norms[1].epsilon = 0.5;
    },
];

#[test]
fn nothing_that_is_described_is_passed_over() {
    let changed = |family: &str, change: &Change, on_gpu: bool| {
        let mut model = shape(family);
        change(&mut model);
        check(&model, on_gpu).map_err(|error| error.to_string())
    };
    for on_gpu in [false, true] {
        for family in ["qwen3", "bert"] {
            assert!(check(&shape(family), on_gpu).is_ok(), "{family}");
            for (number, change) in REFUSED.iter().enumerate() {
                assert!(changed(family, change, on_gpu).is_err(), "refused change {number} of {family}");
            }
        }
        for (number, change) in COMPUTED.iter().enumerate() {
            assert_eq!(changed("qwen3", change, on_gpu), Ok(()), "change {number}");
        }
        for (number, change) in ONLY_ON_CPU.iter().enumerate() {
            let refusal = changed("qwen3", change, on_gpu).err();
            let is_right = refusal.as_ref().map(|message| message.contains("--device cpu"));
            assert_eq!(is_right, on_gpu.then_some(true), "change {number}: {refusal:?}");
        }
    }
}
