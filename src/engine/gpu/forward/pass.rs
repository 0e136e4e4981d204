//! One batch on its way through the layers: the host sets launches out, and nothing waits.

use std::cell::RefCell;

use anyhow::Result;

use super::activations::Activations;
use super::weights::GpuLayer;
use crate::engine::Kind;
use crate::engine::gpu::{Attending, Gpu, Memory, QkNormRope, Rows, View};
use crate::model::{Heads, Mask};

/// Rows of one of the two halves of a layer.
pub(super) struct Stage<'a> {
    pub(super) hidden: Rows<'a>,
    pub(super) count: usize,
    pub(super) positions: View<'a>,
    pub(super) tiles: View<'a>,
    pub(super) late_tiles: View<'a>,
    pub(super) ranges: View<'a>,
}

/// What all layers of a forward share.
pub(super) struct Pass<'a> {
    pub(super) gpu: &'a Gpu,
    pub(super) angles: &'a [Memory; 2],
    pub(super) activations: &'a Activations,
    pub(super) features: usize,
    pub(super) heads: Heads,
    pub(super) mask: Mask,
    /// The kinds of work between one mark and the next, if a profile is kept.
    pub(super) laps: Option<RefCell<Vec<Kind>>>,
}

impl Pass<'_> {
    /// Marks the end of the kernels that were launched since the last lap.
    pub(super) fn lap(&self, kind: Kind) -> Result<()> {
        let Some(laps) = &self.laps else { return Ok(()) };
        let mut laps = laps.borrow_mut();
        laps.push(kind);
        self.gpu.device().mark(laps.len())
    }

    pub(super) fn layer(&self, layer: &GpuLayer, all: &Stage<'_>) -> Result<()> {
        let Heads { query, key, head_dim } = self.heads;
        let width = (query + 2 * key) * head_dim;
        let products = Rows::new(&self.activations.products, all.count, width);
        self.normalize(all, &layer.attention_norm)?;
        self.gpu.multiply(self.normed(all), &layer.query_key_value, 0..width, products)?;
        self.lap(Kind::Projection)?;
        self.rotate(layer, all, products, [query, key])?;
        let keys = products.from_column(query * head_dim);
        self.attend(layer, all, [products, keys, keys.from_column(key * head_dim)])?;
        self.feed_forward(layer, all)
    }

    /// Keys and values of all tokens, and the rest for the pooled tokens alone.
    pub(super) fn last_layer(
        &self,
        layer: &GpuLayer,
        all: &Stage<'_>,
        (pooled, tokens): (&Stage<'_>, View<'_>),
    ) -> Result<()> {
        let Heads { query, key, head_dim } = self.heads;
        let (queries_end, end) = (query * head_dim, (query + 2 * key) * head_dim);
        let keys = Rows::new(&self.activations.products, all.count, end - queries_end);
        self.normalize(all, &layer.attention_norm)?;
        self.gpu.multiply(self.normed(all), &layer.query_key_value, queries_end..end, keys)?;
        self.lap(Kind::Projection)?;
        self.rotate(layer, all, keys, [0, key])?;
        self.gpu.gather(all.hidden, tokens, pooled.hidden)?;
        let queries = Rows::new(&self.activations.pooled_queries, pooled.count, queries_end);
        self.normalize(pooled, &layer.attention_norm)?;
        self.gpu.multiply(self.normed(pooled), &layer.query_key_value, 0..queries_end, queries)?;
        self.lap(Kind::Projection)?;
        self.rotate(layer, pooled, queries, [query, 0])?;
        self.attend(layer, pooled, [queries, keys, keys.from_column(key * head_dim)])?;
        self.feed_forward(layer, pooled)
    }

    fn normed(&self, stage: &Stage<'_>) -> Rows<'_> {
        Rows::new(&self.activations.normed, stage.count, self.features)
    }

    fn normalize(&self, stage: &Stage<'_>, (weight, epsilon): &(Memory, f32)) -> Result<()> {
        self.gpu.rms_norm(stage.hidden, weight, *epsilon, self.normed(stage))?;
        self.lap(Kind::Norm)
    }

    fn rotate(&self, layer: &GpuLayer, stage: &Stage<'_>, products: Rows<'_>, parts: [usize; 2]) -> Result<()> {
        let operation = QkNormRope {
            query_weight: &layer.query_norm.0,
            key_weight: &layer.key_norm.0,
            cosines: &self.angles[0],
            sines: &self.angles[1],
            positions: stage.positions,
            epsilon: layer.query_norm.1,
        };
        self.gpu.normalize_and_rotate(products, self.heads, parts, &operation)?;
        self.lap(Kind::Rotary)
    }

    /// `hidden += output(attention(queries, keys, values))`
    fn attend(&self, layer: &GpuLayer, stage: &Stage<'_>, [queries, keys, values]: [Rows<'_>; 3]) -> Result<()> {
        let results = Rows::new(&self.activations.attended, stage.count, self.heads.query_width());
        let Stage { tiles, late_tiles, ranges, .. } = *stage;
        let mask = self.mask;
        self.gpu.attend(&Attending { queries, keys, values, results, tiles, late_tiles, ranges, mask }, self.heads)?;
        self.lap(Kind::Attention)?;
        self.gpu.multiply_add(results, &layer.output, stage.hidden)?;
        self.lap(Kind::Output)
    }

    /// `hidden += down(silu(gate(norm(hidden))) · up(norm(hidden)))`
    fn feed_forward(&self, layer: &GpuLayer, stage: &Stage<'_>) -> Result<()> {
        let width = layer.intermediate;
        let products = Rows::new(&self.activations.products, stage.count, 2 * width);
        let inner = Rows::new(&self.activations.inner, stage.count, width);
        self.normalize(stage, &layer.mlp_norm)?;
        self.gpu.multiply(self.normed(stage), &layer.gate_and_up, 0..2 * width, products)?;
        self.lap(Kind::GateAndUp)?;
        self.gpu.swiglu(products, inner)?;
        self.lap(Kind::Activation)?;
        self.gpu.multiply_add(inner, &layer.down, stage.hidden)?;
        self.lap(Kind::Down)
    }
}
