//! One batch on its way through the layers: the host sets launches out, and nothing waits.

use std::cell::RefCell;

use anyhow::{Context, Result};

use super::activations::Activations;
use super::indices::Indices;
use super::layer::{GpuMlp, Preparation, Ready};
use super::matrices::Matrices;
use super::weights::{GpuEmbedding, GpuWeights};
use crate::engine::Kind;
use crate::engine::gpu::{
    Angles, Attending, Gpu, GpuNorm, Memory, Operand, QkNormRope, Quantized, Rows, Tables, View, Weight,
};
use crate::model::{Activation, Heads, Mask, NormKind, NormPlacement, Pooling};

/// Rows of one of the two halves of a layer.
struct Stage<'a> {
    hidden: Rows<'a>,
    count: usize,
    positions: View<'a>,
    tiles: View<'a>,
    late_tiles: View<'a>,
    window_tiles: View<'a>,
    ranges: View<'a>,
}

/// What all layers of a forward share.
pub(super) struct Pass<'a> {
    pub(super) gpu: &'a Gpu,
    /// Tables of cosines and sines.
    pub(super) angles: &'a [[Memory; 2]],
    pub(super) activations: &'a Activations,
    pub(super) features: usize,
    pub(super) heads: Heads,
    pub(super) mask: Mask,
    /// The kinds of work between one mark and the next, if a profile is kept.
    pub(super) laps: Option<RefCell<Vec<Kind>>>,
}

impl Pass<'_> {
    /// Marks the end of the kernels that were launched since the last lap.
    fn lap(&self, kind: Kind) -> Result<()> {
        let Some(laps) = &self.laps else { return Ok(()) };
        let mut laps = laps.borrow_mut();
        laps.push(kind);
        self.gpu.device().mark(laps.len())
    }

    /// From token ids to logits, of so many tokens and pairs.
    pub(super) fn run(
        &self,
        weights: &mut GpuWeights,
        indices: &Indices<'_>,
        (tokens, pairs): (usize, usize),
        pooling: Pooling,
    ) -> Result<()> {
        let Indices { positions, tiles, late_tiles, window_tiles, ranges, .. } = *indices;
        let hidden = Rows::new(&self.activations.hidden, tokens, self.features);
        let all = Stage { hidden, count: tokens, positions, tiles, late_tiles, window_tiles, ranges };
        let pooled = Stage {
            hidden: Rows::new(&self.activations.pooled, pairs, self.features),
            count: pairs,
            positions: indices.pooled_positions,
            tiles: indices.pooled_tiles,
            // Few rows of each prompt: none of them fills a large tile.
            late_tiles: late_tiles.first(0),
            window_tiles: indices.pooled_tiles,
            ranges,
        };
        let GpuWeights { embedding, layers, matrices, .. } = &mut *weights;
        let last = layers.len().checked_sub(1).context("the model has no layers")?;
        self.embed(embedding, [indices.token_ids, indices.types], layers[last].placement, &all)?;
        matrices.begin()?;
        for (index, layer) in layers.iter().enumerate() {
            let is_streamed = matrices.is_streamed(index);
            let ready = Ready { layer, matrices: matrices.enter(index)? };
            if is_streamed {
                self.lap(Kind::Upload)?;
            }
            if index < last || pooling == Pooling::Mean {
                self.layer(ready, &all)?;
            } else {
                self.last_layer(ready, &all, (&pooled, indices.pooled_tokens))?;
            }
            matrices.leave(index)?;
        }
        self.score(weights, [&all, &pooled], (pooling == Pooling::Mean).then_some(indices))?;
        self.lap(Kind::Norm)
    }

    /// The last norm, the mean of prompts that are pooled whole, and the head.
    fn score(&self, weights: &GpuWeights, [all, pooled]: [&Stage<'_>; 2], whole: Option<&Indices<'_>>) -> Result<()> {
        let GpuWeights { final_norm, head, .. } = weights;
        let logits = &self.activations.logits;
        if let (Some(GpuNorm { kind: NormKind::Rms, weight, bias: None, epsilon }), Some(row), None, 0) =
            (final_norm, head.single_row(), whole, self.features % 4)
        {
            return self.gpu.score(pooled.hidden, (weight, *epsilon), row, logits);
        }
        if final_norm.is_some() {
            let hidden = if whole.is_some() { all.hidden } else { pooled.hidden };
            self.gpu.normalize(hidden, final_norm.as_ref(), None, (None, true))?;
        }
        if let Some(indices) = whole {
            // SAFETY: the batch was checked before its layout was made and copied.
            unsafe { self.gpu.mean(all.hidden, [indices.pooled_tokens, indices.lengths], pooled.hidden)? };
        }
        let memory = [&self.activations.pooled, &self.activations.head];
        head.score(memory, (pooled.count, self.features), logits)
    }

    /// Makes the residual stream, and the operand of a layer whose norms stand behind: later ones come with the residual stream.
    /// `indices` are ids and types of the tokens.
    fn embed(
        &self,
        embedding: &GpuEmbedding,
        indices: [View<'_>; 2],
        first: NormPlacement,
        stage: &Stage<'_>,
    ) -> Result<()> {
        let GpuEmbedding { tokens, scale, positions, types, norm, projection } = embedding;
        let [token_ids, token_types] = indices;
        let tables = Tables {
            tokens: (tokens, token_ids),
            scale: *scale,
            positions: positions.as_ref().map(|(table, first)| (table, stage.positions, *first)),
            types: types.as_ref().map(|table| (table, token_types)),
        };
        let width = tokens.inputs();
        let sums = Rows::new(&self.activations.hidden, stage.count, width);
        // SAFETY: the batch was checked against the model's tables before it was copied.
        unsafe { self.gpu.embed(&tables, sums)? };
        self.lap(Kind::Embedding)?;
        let narrow = Rows::new(&self.activations.normed, stage.count, width);
        if norm.is_some() || projection.is_some() {
            self.gpu.normalize(sums, norm.as_ref(), None, (Some(narrow), true))?;
            self.lap(Kind::Norm)?;
        }
        if let Some(projection) = projection {
            self.gpu.fill(stage.hidden, projection.bias.as_ref())?;
            self.gpu.multiply_add(narrow, &projection.weight, stage.hidden)?;
            self.lap(Kind::Embedding)?;
        }
        let is_there = norm.is_some() && projection.is_none();
        if first == NormPlacement::After && !is_there { self.operand(None, stage) } else { Ok(()) }
    }

    fn layer(&self, ready: Ready<'_>, all: &Stage<'_>) -> Result<()> {
        let Ready { layer, matrices } = ready;
        let Heads { query, key, head_dim } = self.heads;
        let width = (query + 2 * key) * head_dim;
        let products = Rows::new(&self.activations.products, all.count, width);
        let weight = &matrices.query_key_value;
        self.begin_half(layer.placement, layer.attention_norm.as_ref(), all, weight)?;
        self.gpu.multiply(self.normalized(all, weight), weight, 0..width, products)?;
        self.lap(Kind::Projection)?;
        self.prepare(&layer.attention.preparation, all, products, ([query, key], 0))?;
        let keys = products.from_column(query * head_dim);
        self.attend(ready, all, [products, keys, keys.from_column(key * head_dim)])?;
        self.feed_forward(ready, all)
    }

    /// Keys and values of all tokens, and the rest for the pooled tokens alone.
    fn last_layer(&self, ready: Ready<'_>, all: &Stage<'_>, (pooled, tokens): (&Stage<'_>, View<'_>)) -> Result<()> {
        let Ready { layer, matrices } = ready;
        let Heads { query, key, head_dim } = self.heads;
        let (queries_end, end) = (query * head_dim, (query + 2 * key) * head_dim);
        let keys = Rows::new(&self.activations.products, all.count, end - queries_end);
        let preparation = &layer.attention.preparation;
        let weight = &matrices.query_key_value;
        self.begin_half(layer.placement, layer.attention_norm.as_ref(), all, weight)?;
        self.gpu.multiply(self.normed(all), weight, queries_end..end, keys)?;
        self.lap(Kind::Projection)?;
        self.prepare(preparation, all, keys, ([0, key], queries_end))?;
        // SAFETY: the batch was checked before its layout was made and copied.
        unsafe { self.gpu.gather(all.hidden, tokens, pooled.hidden)? };
        let queries = Rows::new(&self.activations.pooled_queries, pooled.count, queries_end);
        match layer.placement {
            NormPlacement::Before => self.operand(layer.attention_norm.as_ref(), pooled)?,
            // The rows were normalized before they were gathered.
            NormPlacement::After => self.operand(None, pooled)?,
        }
        self.gpu.multiply(self.normed(pooled), weight, 0..queries_end, queries)?;
        self.lap(Kind::Projection)?;
        self.prepare(preparation, pooled, queries, ([query, 0], 0))?;
        self.attend(ready, pooled, [queries, keys, keys.from_column(key * head_dim)])?;
        self.feed_forward(ready, pooled)
    }

    fn normed(&self, stage: &Stage<'_>) -> Rows<'_> {
        Rows::new(&self.activations.normed, stage.count, self.features)
    }

    /// The operand of the next products, from the residual stream.
    fn operand(&self, norm: Option<&GpuNorm>, stage: &Stage<'_>) -> Result<()> {
        match norm {
            Some(GpuNorm { kind: NormKind::Rms, weight, bias: None, epsilon }) if self.features.is_multiple_of(4) => {
                self.gpu.rms_norm(stage.hidden, weight, *epsilon, self.normed(stage))?;
            }
            norm => self.gpu.normalize(stage.hidden, norm, None, (Some(self.normed(stage)), false))?,
        }
        self.lap(Kind::Norm)
    }

    /// What comes before attention, and before the MLP, whose first product is with this weight.
    fn begin_half(
        &self,
        placement: NormPlacement,
        norm: Option<&GpuNorm>,
        stage: &Stage<'_>,
        weight: &Weight,
    ) -> Result<()> {
        match (placement, norm) {
            (NormPlacement::Before, Some(GpuNorm { kind: NormKind::Rms, weight: scale, bias: None, epsilon }))
                if weight.is_quantized() =>
            {
                let quantized = self.quantized(stage.count, self.features);
                self.gpu.rms_norm_quantized(stage.hidden, scale, *epsilon, quantized)?;
                return self.lap(Kind::Norm);
            }
            (NormPlacement::Before, norm) => self.operand(norm, stage)?,
            (NormPlacement::After, _) => (),
        }
        self.as_operand(self.normed(stage), weight).map(drop)
    }

    /// Rows that were normalized, as a weight is multiplied with them.
    fn normalized(&self, stage: &Stage<'_>, weight: &Weight) -> Operand<'_> {
        match weight.is_quantized() {
            true => self.quantized(stage.count, self.features).into(),
            false => self.normed(stage).into(),
        }
    }

    /// Memory for what is rounded to 8 bits.
    fn quantized(&self, count: usize, width: usize) -> Quantized<'_> {
        Quantized { values: Rows::new(&self.activations.quantized, count, width), scales: &self.activations.scales }
    }

    /// Rows as a weight is multiplied with them.
    fn as_operand<'a>(&'a self, rows: Rows<'a>, weight: &Weight) -> Result<Operand<'a>> {
        if !weight.is_quantized() {
            return Ok(rows.into());
        }
        let quantized = self.quantized(rows.count(), rows.width());
        self.gpu.quantize(rows, quantized)?;
        self.lap(Kind::Norm)?;
        Ok(quantized.into())
    }

    /// What comes behind them, when their product was added to the residual stream: its bias, and the norm that stands there,
    /// which makes the next operand too.
    fn end_half(
        &self,
        placement: NormPlacement,
        norm: Option<&GpuNorm>,
        bias: Option<&Memory>,
        stage: &Stage<'_>,
    ) -> Result<()> {
        match (placement, bias) {
            (NormPlacement::Before, None) => return Ok(()),
            (NormPlacement::Before, Some(bias)) => self.gpu.add_to_hidden(stage.hidden, bias)?,
            (NormPlacement::After, bias) => {
                self.gpu.normalize(stage.hidden, norm, bias, (Some(self.normed(stage)), true))?;
            }
        }
        self.lap(Kind::Norm)
    }

    /// Biases, norms and turns of heads. `parts` are how many of a row's first heads are queries and keys; the first stands at a
    /// column of the merged products of queries, keys and values.
    fn prepare(
        &self,
        preparation: &Preparation,
        stage: &Stage<'_>,
        products: Rows<'_>,
        (parts, column): ([usize; 2], usize),
    ) -> Result<()> {
        let [query_heads, key_heads] = parts;
        let angles = |table: usize| {
            let [cosines, sines] = &self.angles[table];
            Angles { cosines, sines, positions: stage.positions }
        };
        match preparation {
            Preparation::NormAndRotate { bias, query, key, table } => {
                if let Some(bias) = bias {
                    self.gpu.add_bias(products, (bias, column), products.width())?;
                }
                let operation = QkNormRope {
                    query_weight: &query.weight,
                    key_weight: &key.weight,
                    angles: angles(*table),
                    epsilon: query.epsilon,
                };
                // SAFETY: the tables of angles were made for the batch's highest position.
                unsafe { self.gpu.normalize_and_rotate(products, self.heads, parts, &operation)? };
            }
            Preparation::Rotate { bias, table } => {
                let turned = query_heads + key_heads;
                let bias = bias.as_ref().map(|bias| (bias, column));
                // SAFETY: as above.
                unsafe { self.gpu.rotate(products, (self.heads, turned), bias, angles(*table))? };
            }
            Preparation::Queries { bias: Some(bias) } if query_heads > 0 => {
                self.gpu.add_bias(products, (bias, 0), query_heads * self.heads.head_dim)?;
            }
            Preparation::Queries { .. } => return Ok(()),
        }
        self.lap(Kind::Rotary)
    }

    /// `hidden += output(attention(queries, keys, values))`, and the norm behind it.
    fn attend(&self, ready: Ready<'_>, stage: &Stage<'_>, [queries, keys, values]: [Rows<'_>; 3]) -> Result<()> {
        let Ready { layer, matrices } = ready;
        let results = Rows::new(&self.activations.attended, stage.count, self.heads.query_width());
        let Stage { tiles, late_tiles, window_tiles, ranges, .. } = *stage;
        let (mask, attention) = (self.mask, &layer.attention);
        let (window, scale) = (attention.window, attention.scale);
        let (tiles, late_tiles) =
            if window.is_some() { (window_tiles, late_tiles.first(0)) } else { (tiles, late_tiles) };
        let attending = Attending { queries, keys, values, results, tiles, late_tiles, ranges, mask, window, scale };
        // SAFETY: the batch was checked before its layout was made and copied.
        unsafe { self.gpu.attend(&attending, self.heads)? };
        self.lap(Kind::Attention)?;
        self.gpu.multiply_add(self.as_operand(results, &matrices.output)?, &matrices.output, stage.hidden)?;
        self.lap(Kind::Output)?;
        self.end_half(layer.placement, layer.attention_norm.as_ref(), attention.output_bias.as_ref(), stage)
    }

    /// `hidden += mlp(norm(hidden))`, or the norm of `hidden + mlp(hidden)`.
    fn feed_forward(&self, ready: Ready<'_>, stage: &Stage<'_>) -> Result<()> {
        let Ready { layer, matrices: Matrices { inner, down, .. } } = ready;
        self.begin_half(layer.placement, Some(&layer.mlp_norm), stage, inner)?;
        let activated = self.activated(&layer.mlp, stage, [inner, down])?;
        self.gpu.multiply_add(activated, down, stage.hidden)?;
        self.lap(Kind::Down)?;
        let bias = layer.mlp.down_bias.as_ref();
        self.end_half(layer.placement, Some(&layer.mlp_norm), bias, stage)
    }

    /// What an MLP multiplies with its last weight, of its two.
    fn activated(&self, mlp: &GpuMlp, stage: &Stage<'_>, [inner, down]: [&Weight; 2]) -> Result<Operand<'_>> {
        let GpuMlp { bias, activation, is_gated, activates_at_once, .. } = mlp;
        let merged = inner.outputs();
        let width = if *is_gated { merged / 2 } else { merged };
        let products = Rows::new(&self.activations.products, stage.count, merged);
        let activated = Rows::new(&self.activations.inner, stage.count, width);
        if *activates_at_once {
            self.gpu.multiply_gated(self.normed(stage), inner, activated)?;
            self.lap(Kind::GateAndUp)?;
            return self.as_operand(activated, down);
        }
        self.gpu.multiply(self.normalized(stage, inner), inner, 0..merged, products)?;
        self.lap(Kind::GateAndUp)?;
        match (is_gated, bias, activation) {
            (true, None, Activation::Silu) if down.is_quantized() => {
                let quantized = self.quantized(stage.count, width);
                self.gpu.swiglu_quantized(products, quantized)?;
                self.lap(Kind::Activation)?;
                return Ok(quantized.into());
            }
            (true, None, Activation::Silu) => self.gpu.swiglu(products, activated)?,
            _ => self.gpu.activate(products, bias.as_ref(), Some(*activation), activated)?,
        }
        self.lap(Kind::Activation)?;
        self.as_operand(activated, down)
    }
}
