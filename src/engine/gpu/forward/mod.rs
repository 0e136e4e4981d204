//! The decoder of Qwen3 on a GPU: the same packed batches as [`super::Decoder`], all tokens at once. Nothing waits inside a
//! forward: the host sets its launches out and then waits for the logits.

mod layout;
mod weights;

use std::cell::RefCell;

use anyhow::{Context, Result, ensure};

use crate::batch::Batch;
use crate::checkpoint::Weights;
use crate::engine::cpu::{Heads, Rope};
use crate::engine::gpu::{Attending, Gpu, Memory, OutOfMemory, Rows, Turn, Type, View};
use crate::engine::{Kind, Profile, Work};
use crate::model::DecoderConfig;
use layout::{GpuLayout, Packed};
use weights::{GpuLayer, GpuWeights};

/// Tokens of a batch beyond which a GPU is not faster.
pub const MOST_TOKENS: usize = 32_768;
/// Fewer tokens are tried in any case, and a failure is reported.
const LEAST_TOKENS: usize = 64;
/// Words that a token takes in what kernels must know of a batch, at most: its id, its position, a tile and two ranges.
const INDICES: usize = 14;
/// Bytes that are left to cuBLAS and the driver.
const ASIDE: usize = 512 << 20;

/// Layers, embedding, norms and the head's row in a GPU's memory, and room for a batch.
pub struct GpuDecoder {
    gpu: Gpu,
    config: DecoderConfig,
    weights: GpuWeights,
    /// Cosines and sines, as far as positions came up.
    angles: [Memory; 2],
    rope: Rope,
    room: Option<Room>,
    /// More tokens than this did not fit once.
    most_tokens: usize,
    /// The profile of the time, if one is kept.
    profile: Option<Profile>,
    /// The warnings of the self-test.
    warnings: Vec<String>,
}

/// Memory for what a forward computes in between.
struct Room {
    tokens: usize,
    pairs: usize,
    /// The hidden vectors, in f32.
    hidden: Memory,
    ends: Memory,
    logits: Memory,
    /// The normalized hidden vectors; from here on, values are of the device's type.
    normed: Memory,
    products: Memory,
    attended: Memory,
    inner: Memory,
    end_queries: Memory,
    /// The description of the batch that the kernels read.
    indices: Memory,
}

/// Rows of one of the two halves of a layer.
struct Stage<'a> {
    hidden: Rows<'a>,
    count: usize,
    positions: View<'a>,
    tiles: View<'a>,
    late_tiles: View<'a>,
    ranges: View<'a>,
}

impl GpuDecoder {
    /// Reads the weights, named as in transformers, into the device's memory. `head` is the row that the last token's
    /// normalized hidden vector is multiplied with.
    ///
    /// # Errors
    /// If a tensor is missing or of another shape than the configuration gives, or the device has no memory for them.
    pub fn load(config: &DecoderConfig, weights: &Weights, head: &[f32], mut gpu: Gpu) -> Result<Self> {
        ensure!(config.layers > 0, "the model has no layers");
        let load = || -> Result<Self> {
            let warnings = gpu.self_test(config.attention())?;
            let weights = GpuWeights::load(config, weights, head, &gpu)?;
            let angles = [gpu.memory(0)?, gpu.memory(0)?];
            let rope = Rope::new(config.head_dim, config.rope_theta);
            let (config, room, most_tokens, profile) = (config.clone(), None, usize::MAX, None);
            let mut decoder = Self { gpu, config, weights, angles, rope, room, most_tokens, profile, warnings };
            // While there is memory for what libraries try out with each weight.
            decoder.try_score(&Batch::filled(LEAST_TOKENS))?;
            Ok(decoder)
        };
        load().map_err(|error| match error.is::<OutOfMemory>() {
            true => error.context(
                "the model does not fit; end other programs on the GPU, or use --device cpu or a smaller model",
            ),
            false => error,
        })
    }

    /// Tokens of a batch for which the device has memory beside the weights.
    ///
    /// # Errors
    /// If the device does not answer.
    pub fn budget(config: &DecoderConfig, gpu: &Gpu) -> Result<usize> {
        let size = gpu.value().size();
        let weights = config.vocabulary * config.hidden + config.layers * config.layer_weights();
        let free = gpu.device().free_memory()?.saturating_sub(weights * size + ASIDE);
        Ok((free / 10 * 9 / Self::bytes_per_token(config, gpu.value())).clamp(LEAST_TOKENS, MOST_TOKENS))
    }

    /// Bytes of memory that a token of a batch takes.
    pub fn bytes_per_token(config: &DecoderConfig, value: Type) -> usize {
        let size = value.size();
        let values = config.hidden + config.products_width() + config.query_width() + config.intermediate;
        config.hidden * 4 + size * values + 4 * INDICES
    }

    /// Makes room for a batch of so many tokens and pairs.
    ///
    /// # Errors
    /// [`OutOfMemory`] if there is none.
    pub fn reserve(&mut self, tokens: usize, pairs: usize) -> Result<()> {
        if self.room.as_ref().is_some_and(|room| room.tokens >= tokens && room.pairs >= pairs) {
            return Ok(());
        }
        if tokens > self.most_tokens {
            return Err(OutOfMemory { bytes: tokens * Self::bytes_per_token(&self.config, self.gpu.value()) }.into());
        }
        // The old one goes first.
        let room = self.room.take();
        let pairs = pairs.max(room.as_ref().map_or(0, |room| room.pairs));
        let tokens = tokens.max(room.as_ref().map_or(0, |room| room.tokens));
        drop(room);
        let made = Room::new(&self.gpu, &self.config, tokens, pairs);
        if made.as_ref().is_err_and(|error| error.is::<OutOfMemory>()) {
            self.most_tokens = tokens - 1;
        }
        self.room = Some(made?);
        Ok(())
    }

    /// One logit for each pair, in the batch's order of pairs.
    ///
    /// # Errors
    /// If a token id is outside the vocabulary, or the device fails; [`OutOfMemory`] if the batch is too large.
    pub fn score(&mut self, batch: &Batch) -> Result<Vec<f32>> {
        let scored = self.try_score(batch);
        if scored.as_ref().is_err_and(|error| error.is::<OutOfMemory>()) {
            // Its memory is freed, so that a smaller batch fits.
            self.room = None;
            self.most_tokens = self.most_tokens.min(batch.token_ids.len().saturating_sub(1));
        }
        scored
    }

    fn try_score(&mut self, batch: &Batch) -> Result<Vec<f32>> {
        for &token in &batch.token_ids {
            let inside = (token as usize) < self.config.vocabulary;
            ensure!(inside, "token {token} is outside the vocabulary of {}", self.config.vocabulary);
        }
        let heads = self.config.attention();
        let layout = GpuLayout::new(batch, self.gpu.tiling(heads));
        let (tokens, pairs) = (batch.token_ids.len(), layout.last_tokens.len());
        self.reserve(tokens, pairs)?;
        self.reach(batch.positions.iter().max().map_or(0, |&most| most as usize + 1))?;
        let room = self.room.as_mut().context("there is room, as it was just made")?;
        let Packed { words, parts } = layout.pack(batch);
        let bytes: &[u8] = bytemuck::cast_slice(&words);
        if room.indices.bytes() < bytes.len() {
            // Some more, so that it does not grow with every batch.
            room.indices = self.gpu.memory(bytes.len() * 3 / 2)?;
        }
        room.indices.upload(bytes)?;

        let room = &*room;
        let [token_ids, positions, last_tokens, end_positions, ranges, tiles, late_tiles, end_tiles] =
            parts.map(|part| room.indices.view(part));
        let laps = self.profile.as_ref().map(|_| RefCell::default());
        let pass = Pass { gpu: &self.gpu, config: &self.config, angles: &self.angles, room, heads, laps };
        let hidden = Rows::new(&room.hidden, tokens, self.config.hidden);
        let all = Stage { hidden, count: tokens, positions, tiles, late_tiles, ranges };
        let hidden = Rows::new(&room.ends, pairs, self.config.hidden);
        // Few rows of each prompt: none of them fills a large tile.
        let late_tiles = room.indices.view(0..0);
        let ends = Stage { hidden, count: pairs, positions: end_positions, tiles: end_tiles, late_tiles, ranges };
        if pass.laps.is_some() {
            self.gpu.device().mark(0)?;
        }
        self.gpu.embed(token_ids, &self.weights.embedding, all.hidden)?;
        pass.lap(Kind::Embedding)?;
        let (last, others) = self.weights.layers.split_last().context("the model has no layers")?;
        for layer in others {
            pass.layer(layer, &all)?;
        }
        pass.last_layer(last, &all, (&ends, last_tokens))?;
        let epsilon = self.config.norm_epsilon as f32;
        self.gpu.score(ends.hidden, (&self.weights.norm, epsilon), &self.weights.head, &room.logits)?;
        pass.lap(Kind::Norm)?;
        let mut logits = vec![0f32; pairs];
        room.logits.download(bytemuck::cast_slice_mut(&mut logits))?;
        if let (Some(laps), Some(profile)) = (pass.laps, &mut self.profile) {
            for (index, kind) in laps.into_inner().into_iter().enumerate() {
                let seconds = self.gpu.device().between(index, index + 1)?;
                profile.nanoseconds[kind as usize] += (seconds * 1e9) as u64;
            }
        }
        Ok(logits)
    }

    /// Keeps a profile of the time from now on, kernel by kernel, by the device's own clock.
    pub fn begin_profile(&mut self) {
        self.profile = Some(Profile::default());
    }

    /// The profile since the last call, if one is kept.
    pub fn take_profile(&mut self) -> Option<Profile> {
        self.profile.as_mut().map(std::mem::take)
    }

    /// What users should know about how the device computes, as far as that is known.
    pub fn warnings(&self) -> Vec<String> {
        let device = self.gpu.device();
        let warnings = self.warnings.iter().cloned().chain(device.warnings());
        warnings.map(|warning| format!("{}: {warning}", device.name())).collect()
    }

    /// The operations that a batch needs, and the bytes that cross the device's memory.
    pub fn work(&self, batch: &Batch) -> Work {
        self.config.operations_and_bytes(batch, self.gpu.value().size())
    }

    /// Makes the angles reach to so many positions.
    fn reach(&mut self, positions: usize) -> Result<()> {
        let half = self.config.head_dim / 2;
        if self.angles[0].bytes() >= positions * half * 4 {
            return Ok(());
        }
        self.rope.reach(positions.next_power_of_two());
        let [cosines, sines] = self.rope.tables();
        self.angles = [self.gpu.vector(cosines)?, self.gpu.vector(sines)?];
        Ok(())
    }
}

impl Room {
    fn new(gpu: &Gpu, config: &DecoderConfig, tokens: usize, pairs: usize) -> Result<Self> {
        let size = gpu.value().size();
        let heads = config.query_width();
        // A prompt's last layer has a row for each pair, of which there are at most as many as tokens.
        let values = |width: usize| gpu.memory(tokens.max(pairs) * width * size);
        Ok(Self {
            tokens,
            pairs,
            hidden: gpu.memory(tokens * config.hidden * 4)?,
            ends: gpu.memory(pairs * config.hidden * 4)?,
            logits: gpu.memory(pairs * 4)?,
            normed: values(config.hidden)?,
            products: values(config.products_width())?,
            attended: values(heads)?,
            inner: values(config.intermediate)?,
            end_queries: gpu.memory(pairs * heads * size)?,
            indices: gpu.memory(0)?,
        })
    }
}

/// One batch on its way through the layers.
struct Pass<'a> {
    gpu: &'a Gpu,
    config: &'a DecoderConfig,
    angles: &'a [Memory; 2],
    room: &'a Room,
    heads: Heads,
    /// The kinds of work between one mark and the next, if a profile is kept.
    laps: Option<RefCell<Vec<Kind>>>,
}

impl Pass<'_> {
    /// Marks the end of the kernels that were launched since the last lap.
    fn lap(&self, kind: Kind) -> Result<()> {
        let Some(laps) = &self.laps else { return Ok(()) };
        let mut laps = laps.borrow_mut();
        laps.push(kind);
        self.gpu.device().mark(laps.len())
    }

    fn layer(&self, layer: &GpuLayer, all: &Stage<'_>) -> Result<()> {
        let Heads { query, key, head_dim } = self.heads;
        let width = (query + 2 * key) * head_dim;
        let products = Rows::new(&self.room.products, all.count, width);
        self.normalize(all, &layer.attention_norm)?;
        self.gpu.multiply(self.normed(all), &layer.query_key_value, 0..width, products)?;
        self.lap(Kind::Projection)?;
        self.turn(layer, all, products, [query, key])?;
        let keys = products.from_column(query * head_dim);
        self.attend(layer, all, [products, keys, keys.from_column(key * head_dim)])?;
        self.mlp(layer, all)
    }

    /// Keys and values of all tokens, and the rest for the pairs' last tokens alone.
    fn last_layer(&self, layer: &GpuLayer, all: &Stage<'_>, (ends, tokens): (&Stage<'_>, View<'_>)) -> Result<()> {
        let Heads { query, key, head_dim } = self.heads;
        let (queries_end, end) = (query * head_dim, (query + 2 * key) * head_dim);
        let keys = Rows::new(&self.room.products, all.count, end - queries_end);
        self.normalize(all, &layer.attention_norm)?;
        self.gpu.multiply(self.normed(all), &layer.query_key_value, queries_end..end, keys)?;
        self.lap(Kind::Projection)?;
        self.turn(layer, all, keys, [0, key])?;
        self.gpu.gather(all.hidden, tokens, ends.hidden)?;
        let queries = Rows::new(&self.room.end_queries, ends.count, queries_end);
        self.normalize(ends, &layer.attention_norm)?;
        self.gpu.multiply(self.normed(ends), &layer.query_key_value, 0..queries_end, queries)?;
        self.lap(Kind::Projection)?;
        self.turn(layer, ends, queries, [query, 0])?;
        self.attend(layer, ends, [queries, keys, keys.from_column(key * head_dim)])?;
        self.mlp(layer, ends)
    }

    fn normed(&self, stage: &Stage<'_>) -> Rows<'_> {
        Rows::new(&self.room.normed, stage.count, self.config.hidden)
    }

    fn normalize(&self, stage: &Stage<'_>, weight: &Memory) -> Result<()> {
        self.gpu.rms_norm(stage.hidden, weight, self.config.norm_epsilon as f32, self.normed(stage))?;
        self.lap(Kind::Norm)
    }

    fn turn(&self, layer: &GpuLayer, stage: &Stage<'_>, products: Rows<'_>, parts: [usize; 2]) -> Result<()> {
        let turn = Turn {
            query_weight: &layer.query_norm,
            key_weight: &layer.key_norm,
            cosines: &self.angles[0],
            sines: &self.angles[1],
            positions: stage.positions,
            epsilon: self.config.norm_epsilon as f32,
        };
        self.gpu.turn(products, self.heads, parts, &turn)?;
        self.lap(Kind::Rotary)
    }

    /// `hidden += o(attention(queries, keys, values))`
    fn attend(&self, layer: &GpuLayer, stage: &Stage<'_>, [queries, keys, values]: [Rows<'_>; 3]) -> Result<()> {
        let results = Rows::new(&self.room.attended, stage.count, self.heads.query * self.heads.head_dim);
        let Stage { tiles, late_tiles, ranges, .. } = *stage;
        let attending = Attending { queries, keys, values, results, tiles, late_tiles, ranges, causal: true };
        self.gpu.attend(&attending, self.heads)?;
        self.lap(Kind::Attention)?;
        self.gpu.multiply_add(results, &layer.output, stage.hidden)?;
        self.lap(Kind::Output)
    }

    /// `hidden += down(silu(gate(norm(hidden))) · up(norm(hidden)))`
    fn mlp(&self, layer: &GpuLayer, stage: &Stage<'_>) -> Result<()> {
        let width = self.config.intermediate;
        let products = Rows::new(&self.room.products, stage.count, 2 * width);
        let inner = Rows::new(&self.room.inner, stage.count, width);
        self.normalize(stage, &layer.mlp_norm)?;
        self.gpu.multiply(self.normed(stage), &layer.gate_and_up, 0..2 * width, products)?;
        self.lap(Kind::GateAndUp)?;
        self.gpu.swiglu(products, inner)?;
        self.lap(Kind::Activation)?;
        self.gpu.multiply_add(inner, &layer.down, stage.hidden)?;
        self.lap(Kind::Down)
    }
}
