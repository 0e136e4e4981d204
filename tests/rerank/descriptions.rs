//! Random descriptions with random weights: models of any family, those of tomorrow too.

use std::sync::Arc;

use proptest::prelude::*;
use rerank::checkpoint::Weights;
use rerank::engine::Model;
use rerank::model::{
    Activation, Answers, Architecture, Attention, Embedding, Head, HeadOutput, HeadStep, Heads, Layer, Linear, Mask,
    Mlp, Norm, NormPlacement, Pooling, Positions, Rotary, RotaryScaling, Tensor,
};
use safetensors::{Dtype, tensor::TensorView};

use crate::fixture::Files;

pub const VOCABULARY: usize = 60;
/// The longest prompt of a model with learned positions.
pub const LONGEST: usize = 600;

/// The choices of a description, drawn from a number.
struct Draw(u64);

impl Draw {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 33) as usize * end) >> 31
    }

    fn of<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())].clone()
    }

    fn maybe(&mut self) -> bool {
        self.below(2) == 1
    }

    /// From −1 up to 1.
    fn unit(&mut self) -> f32 {
        self.below(1 << 20) as f32 / (1 << 19) as f32 - 1.
    }

    fn linear(&mut self, name: &str, outputs: usize, inputs: usize) -> Linear {
        if self.maybe() { Linear::biased(name, outputs, inputs) } else { Linear::new(name, outputs, inputs) }
    }

    fn norm(&mut self, name: &str, features: usize) -> Norm {
        let epsilon = self.of(&[1e-6, 1e-5, 1e-12]);
        let mut norm = match self.below(3) {
            0 => Norm::rms(name, features, epsilon),
            1 => Norm::layer(name, features, epsilon),
            _ => Norm { bias: None, ..Norm::layer(name, features, epsilon) },
        };
        norm.weight_offset = self.of(&[0., 0., 1.]);
        norm
    }

    fn activation(&mut self) -> Activation {
        use Activation::{Gelu, GeluTanh, Relu, Silu, Tanh};
        self.of(&[Silu, Gelu, GeluTanh, Relu, Tanh])
    }

    fn rotary(&mut self, features: usize) -> Rotary {
        let llama = RotaryScaling::Llama3 {
            factor: 8.,
            low_frequency_factor: 1.,
            high_frequency_factor: 4.,
            original_length: 64.,
        };
        let scaling = self.of(&[RotaryScaling::None, RotaryScaling::Linear(2.5), llama]);
        Rotary { theta: self.of(&[100., 1e4]), features, scaling }
    }

    fn attention(&mut self, name: &str, hidden: usize, heads: Heads, masks: &[Mask]) -> Attention {
        let rotary = self.maybe().then(|| self.rotary(heads.head_dim));
        let norms = (rotary.is_some() && self.maybe()).then(|| {
            ["q_norm", "k_norm"].map(|part| {
                let weight_offset = self.of(&[0., 1.]);
                Norm { weight_offset, ..Norm::rms(&format!("{name}.{part}"), heads.head_dim, self.of(&[1e-6, 1e-3])) }
            })
        });
        Attention {
            heads,
            query: self.linear(&format!("{name}.q"), heads.query_width(), hidden),
            key: self.linear(&format!("{name}.k"), heads.key_width(), hidden),
            value: self.linear(&format!("{name}.v"), heads.key_width(), hidden),
            output: self.linear(&format!("{name}.o"), hidden, heads.query_width()),
            query_key_norms: norms,
            rotary,
            relative: None,
            mask: self.of(masks),
            window: self.of(&[None, None, Some(0), Some(5), Some(31), Some(64), Some(300)]),
            scale: self.of(&[heads.usual_scale(), 0.3]),
        }
    }

    fn layer(&mut self, name: &str, hidden: usize, heads: Heads, masks: &[Mask]) -> Layer {
        let intermediate = self.of(&[20, 64, 97]);
        let activation = self.activation();
        let placement = self.of(&[NormPlacement::Before, NormPlacement::After]);
        let up = self.linear(&format!("{name}.up"), intermediate, hidden);
        let down = self.linear(&format!("{name}.down"), hidden, intermediate);
        let mlp = if self.maybe() {
            Mlp::Gated { gate: self.linear(&format!("{name}.gate"), intermediate, hidden), up, down, activation }
        } else {
            Mlp::Plain { up, down, activation }
        };
        Layer {
            placement,
            attention_norm: (self.below(4) > 0).then(|| self.norm(&format!("{name}.attention_norm"), hidden)),
            attention: self.attention(name, hidden, heads, masks),
            mlp_norm: self.norm(&format!("{name}.mlp_norm"), hidden),
            mlp,
        }
    }

    fn embedding(&mut self, hidden: usize) -> Embedding {
        let narrow = self.below(4) == 0;
        let width = if narrow { 24 } else { hidden };
        let first = self.of(&[0, 2]);
        let positions = Positions { table: Tensor::matrix("positions.weight", LONGEST + first, width), first };
        let types = self.of(&[1, 2]);
        Embedding {
            tokens: Tensor::matrix("tokens.weight", VOCABULARY, width),
            scale: self.of(&[1., 1., 6.5]),
            positions: self.maybe().then_some(positions),
            token_types: self.maybe().then(|| Tensor::matrix("types.weight", types, width)),
            norm: self.maybe().then(|| self.norm("embedding_norm", width)),
            projection: narrow.then(|| self.linear("projection", hidden, width)),
        }
    }

    fn head(&mut self, hidden: usize) -> Head {
        let mut width = hidden;
        let steps = (0..self.below(4)).map(|step| {
            let name = format!("head.{step}");
            if self.maybe() {
                return HeadStep::Norm(self.norm(&name, width));
            }
            let outputs = self.of(&[hidden, 33]);
            let linear = self.linear(&name, outputs, width);
            width = outputs;
            HeadStep::Dense(linear, self.maybe().then(|| self.activation()))
        });
        let steps = steps.collect();
        let output = if self.maybe() {
            HeadOutput::Classifier(self.linear("score", 1, width))
        } else {
            HeadOutput::Vocabulary(Tensor::matrix("lm_head.weight", VOCABULARY, width))
        };
        Head { steps, output, temperature: self.of(&[1., 1., 0.7]) }
    }

    fn architecture(&mut self) -> Architecture {
        let hidden = self.of(&[16, 50, 64]);
        let key = self.of(&[1, 2, 3]);
        let heads = Heads { query: key * self.of(&[1, 2, 3]), key, head_dim: self.of(&[6, 16, 32, 64]) };
        let masks = self.of(&[vec![Mask::Causal], vec![Mask::Bidirectional], vec![Mask::Causal, Mask::Bidirectional]]);
        let layers = (0..1 + self.below(3)).map(|layer| self.layer(&format!("layers.{layer}"), hidden, heads, &masks));
        let layers = layers.collect();
        Architecture {
            family: "random",
            hidden,
            max_length: LONGEST,
            embedding: self.embedding(hidden),
            layers,
            final_norm: self.maybe().then(|| self.norm("final_norm", hidden)),
            pooling: self.of(&[Pooling::FirstToken, Pooling::LastToken, Pooling::Mean]),
            padding: None,
            head: self.head(hidden),
        }
    }
}

/// A description of which everything is drawn: placements and kinds of norms, biases, masks, windows, heads, pooling.
pub fn architectures() -> impl Strategy<Value = Architecture> {
    (1u64..u64::MAX).prop_map(|seed| {
        let mut draw = Draw(seed);
        // The first numbers of seeds that are alike are alike.
        (0..8).for_each(|_| {
            draw.below(2);
        });
        draw.architecture()
    })
}

/// The described model with weights that keep its activations near 1.
pub fn model(architecture: Architecture) -> Model {
    let mut draw = Draw(0x5eed);
    let mut values: Vec<(String, Vec<usize>, Vec<u8>)> = Vec::new();
    for tensor in architecture.tensors() {
        if values.iter().any(|(name, ..)| *name == tensor.name) {
            continue;
        }
        let is_norm = tensor.name.contains("norm") && tensor.name.ends_with("weight");
        let (center, spread) = match tensor.shape[..] {
            [_] if is_norm => (1., 0.3),
            [_] => (0., 0.3),
            _ if tensor.name.ends_with("s.weight") => (0., 1.),
            _ => (0., 1.7 / (tensor.inputs() as f32).sqrt()),
        };
        let count = tensor.shape.iter().product::<usize>();
        let bytes = (0..count).flat_map(|_| (center + spread * draw.unit()).to_le_bytes()).collect();
        values.push((tensor.name.clone(), tensor.shape.clone(), bytes));
    }
    let views = values
        .iter()
        .map(|(name, shape, bytes)| (name.as_str(), TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap()));
    let files = Files::new();
    let path = files.path("model.safetensors");
    safetensors::serialize_to_file(views, None, &path).unwrap();
    let is_language_model = matches!(architecture.head.output, HeadOutput::Vocabulary(_));
    let answers = is_language_model.then(|| Answers { yes: 7, no: draw.maybe().then_some(8) });
    Model { architecture: Arc::new(architecture), weights: Arc::new(Weights::open(&[path]).unwrap()), answers }
}
