//! One layer of the description, on one tile of tokens.

use anyhow::Result;

use super::blocks::{AttentionBlock, Clock, MlpBlock, each_key_head};
use super::norm::{BlockNorm, RowNorm};
use super::projection::{Projection, as_they_are, by_head, in_turn};
use super::workspace::{Tile, Workspace};
use crate::checkpoint::Weights;
use crate::engine::Kind;
use crate::engine::cpu::{
    Arithmetic, KeyValues, Level, Linear, Operand, Panels, QkNormRope, Rope, Sight, Writing, activate, add_bias, gate,
};
use crate::model::{self, Activation, Heads, Mlp, NormKind, NormPlacement};

/// A layer, ready to be computed.
pub(super) struct Layer {
    heads: Heads,
    level: Level,
    sight: Sight,
    attention_norm: BlockNorm,
    /// Each head is filled up to whole panels.
    query: Projection,
    key: Projection,
    value: Projection,
    output: Projection,
    /// What is done to the heads of queries and to those of keys.
    rotations: Option<[Rotation; 2]>,
    mlp_norm: BlockNorm,
    mlp: InnerProducts,
    activation: Activation,
    intermediate: usize,
    down: Projection,
    /// Whether the next layer begins with a norm that needs the sums of squares of what this one gives.
    counts_squares: bool,
}

/// What is done to heads before attention.
struct Rotation {
    /// Ones where there is no norm.
    weight: Vec<f32>,
    /// The ε of the norm, if there is one.
    epsilon: Option<f32>,
    /// Which of the model's tables of angles is used.
    angles: usize,
}

/// The products before an MLP's activation.
enum InnerProducts {
    /// Panels of gate and up in turn.
    Gated(Projection),
    /// All outputs of up.
    Plain(Projection),
}

impl Layer {
    /// Reads the weights. `angles` is the index of the layer's table of angles, if it has one, and `next` the layer that
    /// follows.
    ///
    /// # Errors
    /// If a tensor is missing or of another shape than described.
    pub(super) fn load(
        layer: &model::Layer,
        angles: Option<usize>,
        next: Option<&model::Layer>,
        (weights, arithmetic): (&Weights, Arithmetic),
    ) -> Result<Self> {
        let heads = layer.attention.heads;
        let load = |layers: &[&model::Linear], sources: &[_]| Projection::load(layers, sources, weights, arithmetic);
        let model::Attention { query, key, value, output, query_key_norms, .. } = &layer.attention;
        let norm = |norm: Option<&model::Norm>| BlockNorm::load(norm, layer.placement, weights);
        let rotations = match angles {
            None => None,
            Some(angles) => {
                let norms = query_key_norms.as_ref();
                let load = |head: usize| Rotation::load(norms.map(|norms| &norms[head]), heads, angles, weights);
                Some([load(0)?, load(1)?])
            }
        };
        let intermediate = layer.mlp.intermediate();
        let mlp = match &layer.mlp {
            Mlp::Gated { gate, up, .. } => InnerProducts::Gated(load(&[gate, up], &in_turn(intermediate))?),
            Mlp::Plain { up, .. } => InnerProducts::Plain(load(&[up], &as_they_are(intermediate))?),
        };
        let counts_squares = next.is_some_and(|next| {
            let is_rms = |norm: &model::Norm| norm.kind == NormKind::Rms;
            next.placement == NormPlacement::Before && next.attention_norm.as_ref().is_some_and(is_rms)
        });
        Ok(Self {
            heads,
            level: arithmetic.level,
            sight: Sight::of(&layer.attention),
            attention_norm: norm(layer.attention_norm.as_ref())?,
            query: load(&[query], &by_head(heads, heads.query))?,
            key: load(&[key], &by_head(heads, heads.key))?,
            value: load(&[value], &by_head(heads, heads.key))?,
            output: load(&[output], &as_they_are(output.outputs()))?,
            rotations,
            mlp_norm: norm(Some(&layer.mlp_norm))?,
            mlp,
            activation: layer.mlp.activation(),
            intermediate,
            down: load(&[layer.mlp.down()], &as_they_are(layer.mlp.down().outputs()))?,
            counts_squares,
        })
    }

    /// The weights that keys and values need.
    pub(super) fn key_and_value_weights(&mut self) -> [&mut Projection; 2] {
        [&mut self.key, &mut self.value]
    }

    /// The weights that the rest of the layer needs.
    pub(super) fn other_weights(&mut self) -> [&mut Projection; 4] {
        let (InnerProducts::Gated(inner) | InnerProducts::Plain(inner)) = &mut self.mlp;
        [&mut self.query, &mut self.output, inner, &mut self.down]
    }

    /// Prepares a tile whose residual stream was just set.
    pub(super) fn enter(&self, tile: &mut Tile<'_>) {
        if self.attention_norm.needs_squares() {
            tile.count_squares(self.level);
        }
    }

    /// Computes a tile's keys and values, and stores them for every tile's attention.
    pub(super) fn keys_and_values(
        &self,
        tile: &Tile<'_>,
        to: &Writing<'_>,
        angles: &[Rope],
        workspace: &mut Workspace,
    ) {
        self.operand(&self.attention_norm, &self.key.linear, tile, workspace);
        let rotation = self.rotations.as_ref().map(|[_, keys]| keys.with(angles));
        each_key_head(self.heads, tile.hidden.rows(), workspace, |head, panels, normed, products, clock| {
            self.key.linear.forward(normed, panels.clone(), products);
            clock.lap(Kind::Projection);
            self.key.add_bias(panels.clone(), products);
            if let Some(rotation) = &rotation {
                rotation.apply(products, &tile.positions, self.level);
                clock.lap(Kind::Rotary);
            }
            to.put_keys(head, products, tile.slots);
            clock.lap(Kind::Store);
            self.value.linear.forward(normed, panels.clone(), products);
            clock.lap(Kind::Projection);
            self.value.add_bias(panels, products);
            to.put_values(head, products, tile.slots);
            clock.lap(Kind::Store);
        });
    }

    /// Computes the rest of the layer on a tile, when all keys and values are stored.
    pub(super) fn finish(&self, tile: &mut Tile<'_>, stores: &KeyValues, angles: &[Rope], workspace: &mut Workspace) {
        self.attend(tile, stores, angles, workspace);
        self.feed_forward(tile, workspace);
    }

    /// `hidden += output(attention(query(norm(hidden))))`, or the norm of that sum.
    fn attend(&self, tile: &mut Tile<'_>, stores: &KeyValues, angles: &[Rope], workspace: &mut Workspace) {
        let (heads, level) = (self.heads, self.level);
        self.operand(&self.attention_norm, &self.query.linear, tile, workspace);
        let rotation = self.rotations.as_ref().map(|[queries, _]| queries.with(angles));
        self.open(&self.attention_norm, self.output.whole_bias(), tile);
        let Tile { hidden, positions, spans, squares, .. } = tile;
        squares.clear(hidden.rows());
        let counts = self.mlp_norm.needs_squares();
        let block = AttentionBlock { heads, sight: self.sight, output: &self.output.linear, stores };
        let queries =
            |panels: std::ops::Range<usize>, normed: &Operand, products: &mut Panels<'_>, clock: &mut Clock<'_>| {
                self.query.linear.forward(normed, panels.clone(), products);
                clock.lap(Kind::Projection);
                self.query.add_bias(panels, products);
                if let Some(rotation) = &rotation {
                    for head in 0..heads.group() {
                        let panels = head * heads.panels()..(head + 1) * heads.panels();
                        rotation.apply(&mut products.part(panels), positions, level);
                    }
                }
                clock.lap(if rotation.is_some() { Kind::Rotary } else { Kind::Activation });
            };
        block.run((hidden, spans), workspace, queries, |panel| {
            if counts {
                squares.add(panel, level);
            }
        });
        self.close(&self.attention_norm, self.output.whole_bias(), tile, workspace);
    }

    /// `hidden += down(activation(inner(norm(hidden))))`, or the norm of that sum.
    fn feed_forward(&self, tile: &mut Tile<'_>, workspace: &mut Workspace) {
        let inner = self.mlp.projection();
        self.operand(&self.mlp_norm, &inner.linear, tile, workspace);
        self.open(&self.mlp_norm, self.down.whole_bias(), tile);
        let Tile { hidden, squares, .. } = tile;
        squares.clear(hidden.rows());
        let counts = self.counts_squares;
        let parts = if matches!(self.mlp, InnerProducts::Gated(_)) { 2 } else { 0 };
        let block = MlpBlock { intermediate: self.intermediate, down: &self.down.linear, parts };
        let activate = |panel: usize,
                        rows: &Operand,
                        (products, to): (&mut Panels<'_>, &mut Panels<'_>),
                        clock: &mut Clock<'_>| match &self.mlp {
            InnerProducts::Gated(_) => {
                inner.linear.forward(rows, 2 * panel..2 * panel + 2, products);
                clock.lap(Kind::GateAndUp);
                inner.add_bias(2 * panel..2 * panel + 2, products);
                gate(self.level, self.activation, products, to);
            }
            InnerProducts::Plain(_) => {
                inner.linear.forward(rows, panel..panel + 1, to);
                clock.lap(Kind::GateAndUp);
                activate(self.level, self.activation, to, inner.bias(panel..panel + 1));
            }
        };
        block.run(hidden, workspace, activate, |panel| {
            if counts {
                squares.add(panel, self.level);
            }
        });
        self.close(&self.mlp_norm, self.down.whole_bias(), tile, workspace);
        if counts && self.mlp_norm.is_after() {
            tile.count_squares(self.level);
        }
    }

    /// Packs the tile's rows for products, normalized where the norm stands before them.
    fn operand(&self, norm: &BlockNorm, next: &Linear, tile: &Tile<'_>, workspace: &mut Workspace) {
        let Workspace { normed, normalized, profile, .. } = workspace;
        let mut clock = Clock::new(profile);
        let rows = tile.hidden.rows();
        normed.reshape(next.form(), rows);
        match norm {
            BlockNorm::Before(RowNorm::Rms(norm)) => {
                normed.pack(&tile.hidden, &norm.scales(&tile.squares, self.level), norm.weight());
                clock.lap(Kind::Norm);
            }
            BlockNorm::Before(norm @ RowNorm::Layer(_)) => {
                let values = tile.hidden.values();
                normalized.reserve(values.len());
                normalized[..values.len()].copy_from_slice(values);
                let mut rows = Panels::new(&mut normalized[..values.len()], rows);
                norm.apply(&mut rows, &[], self.level);
                clock.lap(Kind::Norm);
                normed.pack(&rows, &[], &[]);
                clock.lap(Kind::Pack);
            }
            BlockNorm::None | BlockNorm::After(_) => {
                normed.pack(&tile.hidden, &[], &[]);
                clock.lap(Kind::Pack);
            }
        }
    }

    /// Adds the bias of a block's last product before the product itself, unless the norm of the sum adds it.
    fn open(&self, norm: &BlockNorm, bias: &[f32], tile: &mut Tile<'_>) {
        if !norm.is_after() {
            add_bias(self.level, &mut tile.hidden, bias);
        }
    }

    /// Normalizes the sum where the norm stands behind it.
    fn close(&self, norm: &BlockNorm, bias: &[f32], tile: &mut Tile<'_>, workspace: &mut Workspace) {
        if let BlockNorm::After(norm) = norm {
            let mut clock = Clock::new(&mut workspace.profile);
            norm.apply(&mut tile.hidden, bias, self.level);
            clock.lap(Kind::Norm);
        }
    }
}

impl Rotation {
    fn load(norm: Option<&model::Norm>, heads: Heads, angles: usize, weights: &Weights) -> Result<Self> {
        let Some(norm) = norm else { return Ok(Self { weight: vec![1.; heads.head_dim], epsilon: None, angles }) };
        let mut weight = weights.vector(&norm.weight)?;
        weight.iter_mut().for_each(|weight| *weight += norm.weight_offset);
        Ok(Self { weight, epsilon: Some(norm.epsilon as f32), angles })
    }

    fn with<'a>(&'a self, angles: &'a [Rope]) -> QkNormRope<'a> {
        QkNormRope { weight: &self.weight, epsilon: self.epsilon, rope: &angles[self.angles] }
    }
}

impl InnerProducts {
    fn projection(&self) -> &Projection {
        match self {
            Self::Gated(projection) | Self::Plain(projection) => projection,
        }
    }
}
