//! Models and texts out of an integer generator, so that they need not be stored; the same, to the bit, as those of
//! `scripts/reference/generated.py`, whose doc comments say more.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use serde::Deserialize;
use serde_json::json;

use crate::fixture::Files;

/// Tokens that the tokenizer knows.
const VOCABULARY: usize = 420;
/// Those before are seeds of weights.
const SEED_OF_TEXTS: u64 = 1_000_000;

/// What a model looks like; the expected numbers come with it.
#[derive(Deserialize)]
pub struct Shape {
    hidden: usize,
    layers: usize,
    heads: usize,
    key_heads: usize,
    head_dim: usize,
    intermediate: usize,
    query_key_norm: f32,
    stored: String,
}

/// Numbers from 0 to 255.
pub fn integers(seed: u64, count: usize) -> impl Iterator<Item = u64> {
    (0..count as u64).map(move |index| {
        let mixed = (index + (seed << 32) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ mixed >> 31) >> 56
    })
}

/// Words of four letters.
pub fn text(seed: u64, words: usize) -> String {
    let letters: Vec<char> =
        integers(SEED_OF_TEXTS + seed, 4 * words).map(|number| char::from(b'a' + (number % 26) as u8)).collect();
    letters.chunks(4).map(String::from_iter).collect::<Vec<_>>().join(" ")
}

/// Tokens without a prompt around them.
pub fn tokens(seed: u64, count: usize) -> Vec<u32> {
    integers(SEED_OF_TEXTS + seed, count).map(|number| number as u32).collect()
}

/// The exponent with which a product is about as long as what is multiplied.
fn keeping_length(inputs: usize) -> i32 {
    1 - inputs.next_power_of_two().ilog2().div_ceil(2) as i32
}

/// Named tensors; the seed of one is how many are before it.
struct Tensors {
    found: HashMap<String, Tensor>,
    stored: DType,
}

impl Tensors {
    fn matrix(&mut self, name: &str, outputs: usize, inputs: usize, exponent: i32) {
        let scale = 2f32.powi(exponent - 7);
        let values = integers(self.found.len() as u64, outputs * inputs).map(|number| (number as f32 - 128.) * scale);
        self.add(name, Tensor::from_vec(values.collect::<Vec<f32>>(), (outputs, inputs), &Device::Cpu).unwrap());
    }

    fn norm(&mut self, name: &str, features: usize, mean: f32) {
        let values = integers(self.found.len() as u64, features).map(|number| mean + ((number >> 4) as f32 - 8.) / 64.);
        self.add(name, Tensor::from_vec(values.collect::<Vec<f32>>(), features, &Device::Cpu).unwrap());
    }

    fn add(&mut self, name: &str, tensor: Tensor) {
        self.found.insert(format!("{name}.weight"), tensor.to_dtype(self.stored).unwrap());
    }
}

impl Shape {
    fn tensors(&self) -> HashMap<String, Tensor> {
        let stored = if self.stored == "BF16" { DType::BF16 } else { DType::F32 };
        let mut tensors = Tensors { found: HashMap::new(), stored };
        let Self { hidden, intermediate, head_dim, query_key_norm, .. } = *self;
        let (queries, keys) = (self.heads * head_dim, self.key_heads * head_dim);
        let from_hidden = keeping_length(hidden);
        tensors.matrix("model.embed_tokens", VOCABULARY, hidden, 0);
        for layer in 0..self.layers {
            let name = |part: &str| format!("model.layers.{layer}.{part}");
            tensors.norm(&name("input_layernorm"), hidden, 1.);
            tensors.matrix(&name("self_attn.q_proj"), queries, hidden, from_hidden);
            tensors.matrix(&name("self_attn.k_proj"), keys, hidden, from_hidden);
            tensors.matrix(&name("self_attn.v_proj"), keys, hidden, from_hidden);
            tensors.norm(&name("self_attn.q_norm"), head_dim, query_key_norm);
            tensors.norm(&name("self_attn.k_norm"), head_dim, query_key_norm);
            tensors.matrix(&name("self_attn.o_proj"), hidden, queries, keeping_length(queries) + 1);
            tensors.norm(&name("post_attention_layernorm"), hidden, 1.);
            tensors.matrix(&name("mlp.gate_proj"), intermediate, hidden, from_hidden);
            tensors.matrix(&name("mlp.up_proj"), intermediate, hidden, from_hidden);
            tensors.matrix(&name("mlp.down_proj"), hidden, intermediate, keeping_length(intermediate));
        }
        tensors.norm("model.norm", hidden, 1.);
        tensors.matrix("lm_head", VOCABULARY, hidden, from_hidden + 2);
        tensors.found
    }

    /// Writes the model into a directory of this name, which is returned as an argument.
    pub fn write(&self, files: &Files, name: &str) -> String {
        let directory = files.path(name);
        std::fs::create_dir(&directory).unwrap();
        for file in ["tokenizer.json", "tokenizer_config.json"] {
            std::fs::copy(Path::new("testdata/odd-reranker").join(file), directory.join(file)).unwrap();
        }
        let config = json!({
            "architectures": ["Qwen3ForCausalLM"],
            "attention_bias": false,
            "head_dim": self.head_dim,
            "hidden_act": "silu",
            "hidden_size": self.hidden,
            "intermediate_size": self.intermediate,
            "max_position_embeddings": 40960,
            "model_type": "qwen3",
            "num_attention_heads": self.heads,
            "num_hidden_layers": self.layers,
            "num_key_value_heads": self.key_heads,
            "rms_norm_eps": 1e-6,
            "rope_theta": 1e6,
            "tie_word_embeddings": false,
            "vocab_size": VOCABULARY,
        });
        std::fs::write(directory.join("config.json"), config.to_string()).unwrap();
        candle_core::safetensors::save(&self.tensors(), directory.join("model.safetensors")).unwrap();
        files.name(name)
    }
}
