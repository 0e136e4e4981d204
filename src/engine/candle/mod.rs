//! Models whose attention is another than that of the processor's engine, computed by candle-transformers: DeBERTa-v2. Each pair
//! is computed alone and in f32, which is exact and slow; it is here so that whoever has such a model can run it.

mod source;

use anyhow::{Context, Result};
use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::debertav2::{Config, DebertaV2Model, HiddenAct};
use rayon::prelude::*;

use self::source::Source;
use crate::batch::Batch;
use crate::engine::cpu::Arithmetic;
use crate::engine::{Engine, LogitHead, Model, Work, check_batch, support};
use crate::model::{Activation, Architecture, Linear, Mlp, Relative};

/// A DeBERTa-v2 model.
pub struct CandleEngine {
    model: Model,
    body: DebertaV2Model,
    head: LogitHead,
}

impl CandleEngine {
    /// Reads the weights.
    ///
    /// # Errors
    /// If the description has what this engine lacks, or a tensor is missing or of another shape than described.
    pub fn load(model: &Model, arithmetic: Arithmetic) -> Result<Self> {
        let architecture = &*model.architecture;
        support::check(architecture, false)?;
        let source = Source { architecture: model.architecture.clone(), weights: model.weights.clone() };
        let variables = VarBuilder::from_backend(Box::new(source), DType::F32, Device::Cpu);
        let prefix = architecture.embedding.tokens.name.split('.').next().context("the embedding has no name")?;
        let body = DebertaV2Model::load(variables.pp(prefix), &configuration(architecture)?)?;
        Ok(Self { body, head: LogitHead::load(model, arithmetic.level)?, model: model.clone() })
    }

    /// The hidden vector of a prompt's first token.
    fn first_token(&self, batch: &Batch, segment: usize) -> Result<Vec<f32>> {
        let range = batch.segments[segment].tokens.clone();
        let tokens = Tensor::new(&batch.token_ids[range.clone()], &Device::Cpu)?.unsqueeze(0)?;
        let types: Vec<u32> = batch.token_types[range].iter().map(|&token_type| u32::from(token_type)).collect();
        let types = Tensor::new(types.as_slice(), &Device::Cpu)?.unsqueeze(0)?;
        let hidden = self.body.forward(&tokens, Some(types), None)?;
        Ok(hidden.get(0)?.get(0)?.to_vec1()?)
    }
}

impl Engine for CandleEngine {
    fn run(&mut self, batch: &Batch) -> Result<Vec<f32>> {
        check_batch(&self.model.architecture, batch)?;
        let segments: Vec<usize> = batch.pair_segments().collect();
        let pooled = segments.into_par_iter().with_max_len(1).map(|segment| self.first_token(batch, segment));
        Ok(self.head.logits(&pooled.collect::<Result<Vec<_>>>()?))
    }

    fn warnings(&self) -> Vec<String> {
        let family = self.model.architecture.family;
        vec![format!(
            "{family} models are computed by candle, pair by pair in f32: right, and several times slower than models of other \
             families"
        )]
    }

    fn work(&self, batch: &Batch) -> Work {
        self.model.architecture.operations(batch)
    }
}

/// The configuration that candle reads. What it does not use is left at nothing.
fn configuration(architecture: &Architecture) -> Result<Config> {
    let Architecture { embedding, layers, hidden, max_length, .. } = architecture;
    let first = layers.first().context("the model has no layers")?;
    let attention = &first.attention;
    let relative = attention.relative.as_ref().context("attention does not see distances")?;
    let Relative { norm, key, query, buckets, max_distance, .. } = relative;
    let activation = match &first.mlp {
        Mlp::Plain { activation: Activation::Relu, .. } => HiddenAct::Relu,
        _ => HiddenAct::Gelu,
    };
    let of_content = |linear: &Linear| *linear == attention.key || *linear == attention.query;
    let terms = [("c2p", key), ("p2c", query)].into_iter().filter(|(_, linear)| linear.is_some());
    let epsilon = embedding.norm.as_ref().context("the embedding has no norm")?.epsilon;
    Ok(Config {
        vocab_size: architecture.vocabulary(),
        hidden_size: *hidden,
        num_hidden_layers: layers.len(),
        num_attention_heads: attention.heads.query,
        intermediate_size: first.mlp.intermediate(),
        hidden_act: activation,
        hidden_dropout_prob: 0.,
        attention_probs_dropout_prob: 0.,
        max_position_embeddings: *max_length,
        type_vocab_size: embedding.token_types.as_ref().map_or(0, |types| types.rows.len()),
        initializer_range: 0.,
        layer_norm_eps: epsilon,
        relative_attention: true,
        max_relative_positions: *max_distance as isize,
        pad_token_id: None,
        position_biased_input: embedding.positions.is_some(),
        pos_att_type: terms.map(|(name, _)| name.to_owned()).collect(),
        position_buckets: buckets.map(|buckets| buckets as isize),
        share_att_key: Some(relative.projections().any(of_content)),
        attention_head_size: None,
        embedding_size: None,
        norm_rel_ebd: norm.as_ref().map(|_| "layer_norm".to_owned()),
        conv_kernel_size: None,
        conv_groups: None,
        conv_act: None,
        id2label: None,
        label2id: None,
        pooler_dropout: None,
        pooler_hidden_act: None,
        pooler_hidden_size: None,
        cls_dropout: None,
    })
}
