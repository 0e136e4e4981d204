//! One layer of the description, on one tile of tokens.

use anyhow::{Context, Result};

use super::blocks::{AttentionBlock, Clock, MlpBlock, each_key_head};
use super::projection::{Projection, as_they_are, by_head, in_turn};
use super::workspace::{Tile, Workspace};
use crate::checkpoint::Weights;
use crate::engine::Kind;
use crate::engine::cpu::{
    Arithmetic, KeyValues, LayerNorm, Level, Linear, Operand, PANEL, Panels, QkNormRope, Rope, Writing, gelu, swiglu,
};
use crate::model::{self, Heads, Mask, Mlp, NormPlacement};

/// A layer, ready to be computed.
pub(super) struct Layer {
    heads: Heads,
    hidden: usize,
    level: Level,
    mask: Mask,
    attention_norm: BlockNorm,
    /// Each head is filled up to whole panels.
    query: Projection,
    key: Projection,
    value: Projection,
    output: Projection,
    rotation: Option<Rotation>,
    mlp_norm: BlockNorm,
    mlp: InnerProducts,
    intermediate: usize,
    down: Projection,
}

/// The norm of attention or of the MLP.
enum BlockNorm {
    /// RMSNorm of what goes in; its weight is filled up to whole panels, as the residual stream is.
    Before { weight: Vec<f32>, epsilon: f32 },
    /// LayerNorm of the sum.
    After(LayerNorm),
}

/// What is done to the heads of queries and keys.
struct Rotation {
    query_weight: Vec<f32>,
    key_weight: Vec<f32>,
    epsilon: f32,
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
    /// Reads the weights. `angles` is the index of the layer's table of angles.
    ///
    /// # Errors
    /// If a tensor is missing or of another shape than described.
    pub(super) fn load(
        layer: &model::Layer,
        hidden: usize,
        angles: usize,
        (weights, arithmetic): (&Weights, Arithmetic),
    ) -> Result<Self> {
        let heads = layer.attention.heads;
        let load = |layers: &[&model::Linear], sources: &[_]| Projection::load(layers, sources, weights, arithmetic);
        let model::Attention { query, key, value, output, query_key_norms, .. } = &layer.attention;
        let attention_norm = layer.attention_norm.as_ref().context("a layer has no norm of attention")?;
        let rotation = match query_key_norms {
            None => None,
            Some([query, key]) => Some(Rotation {
                query_weight: weights.vector(&query.weight)?,
                key_weight: weights.vector(&key.weight)?,
                epsilon: query.epsilon as f32,
                angles,
            }),
        };
        let intermediate = layer.mlp.intermediate();
        let mlp = match &layer.mlp {
            Mlp::Gated { gate, up, .. } => InnerProducts::Gated(load(&[gate, up], &in_turn(intermediate))?),
            Mlp::Plain { up, .. } => InnerProducts::Plain(load(&[up], &as_they_are(intermediate))?),
        };
        Ok(Self {
            heads,
            hidden,
            level: arithmetic.level,
            mask: layer.attention.mask,
            attention_norm: BlockNorm::load(attention_norm, layer.placement, weights)?,
            query: load(&[query], &by_head(heads, heads.query))?,
            key: load(&[key], &by_head(heads, heads.key))?,
            value: load(&[value], &by_head(heads, heads.key))?,
            output: load(&[output], &as_they_are(hidden))?,
            rotation,
            mlp_norm: BlockNorm::load(&layer.mlp_norm, layer.placement, weights)?,
            mlp,
            intermediate,
            down: load(&[layer.mlp.down()], &as_they_are(hidden))?,
        })
    }

    /// Prepares a tile whose residual stream was just set.
    pub(super) fn enter(&self, tile: &mut Tile<'_>) {
        if self.attention_norm.is_before() {
            tile.squares.clear(tile.hidden.rows());
            tile.squares.add_all(&tile.hidden, self.level);
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
        let rotation = self.rotation.as_ref().map(|rotation| rotation.of_keys(angles));
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
        let rotation = self.rotation.as_ref().map(|rotation| rotation.of_queries(angles));
        let Tile { hidden, positions, spans, squares, .. } = tile;
        squares.clear(hidden.rows());
        let counts = self.mlp_norm.is_before();
        let block = AttentionBlock { heads, mask: self.mask, output: &self.output.linear, stores };
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
        let Tile { hidden, squares, .. } = tile;
        squares.clear(hidden.rows());
        let counts = self.attention_norm.is_before();
        let parts = if matches!(self.mlp, InnerProducts::Gated(_)) { 2 } else { 0 };
        let block = MlpBlock { intermediate: self.intermediate, down: &self.down.linear, parts };
        let activate = |panel: usize,
                        rows: &Operand,
                        (products, to): (&mut Panels<'_>, &mut Panels<'_>),
                        clock: &mut Clock<'_>| match &self.mlp {
            InnerProducts::Gated(_) => {
                inner.linear.forward(rows, 2 * panel..2 * panel + 2, products);
                clock.lap(Kind::GateAndUp);
                swiglu(self.level, products, to);
            }
            InnerProducts::Plain(_) => {
                inner.linear.forward(rows, panel..panel + 1, to);
                clock.lap(Kind::GateAndUp);
                gelu(self.level, to, inner.bias(panel..panel + 1));
            }
        };
        block.run(hidden, workspace, activate, |panel| {
            if counts {
                squares.add(panel, self.level);
            }
        });
        self.close(&self.mlp_norm, self.down.whole_bias(), tile, workspace);
    }

    /// Packs the tile's rows for products, normalized where the norm stands before them.
    fn operand(&self, norm: &BlockNorm, next: &Linear, tile: &Tile<'_>, workspace: &mut Workspace) {
        let Workspace { normed, profile, .. } = workspace;
        let mut clock = Clock::new(profile);
        normed.reshape(next.form(), tile.hidden.rows());
        match norm {
            BlockNorm::Before { weight, epsilon } => {
                let scales = tile.squares.scales(self.hidden, *epsilon, self.level);
                normed.pack(&tile.hidden, &scales, weight);
                clock.lap(Kind::Norm);
            }
            BlockNorm::After(_) => {
                normed.pack(&tile.hidden, &[], &[]);
                clock.lap(Kind::Pack);
            }
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

impl BlockNorm {
    fn load(norm: &model::Norm, placement: NormPlacement, weights: &Weights) -> Result<Self> {
        match placement {
            NormPlacement::Before => {
                let mut weight = weights.vector(&norm.weight)?;
                weight.resize(weight.len().next_multiple_of(PANEL), 0.);
                Ok(Self::Before { weight, epsilon: norm.epsilon as f32 })
            }
            NormPlacement::After => Ok(Self::After(load_layer_norm(norm, weights)?)),
        }
    }

    fn is_before(&self) -> bool {
        matches!(self, Self::Before { .. })
    }
}

/// Reads a LayerNorm.
pub(super) fn load_layer_norm(norm: &model::Norm, weights: &Weights) -> Result<LayerNorm> {
    let weight = weights.vector(&norm.weight)?;
    let bias = match &norm.bias {
        Some(bias) => weights.vector(bias)?,
        None => vec![0.; weight.len()],
    };
    Ok(LayerNorm::new(weight, bias, norm.epsilon as f32))
}

impl Rotation {
    fn of_queries<'a>(&'a self, angles: &'a [Rope]) -> QkNormRope<'a> {
        QkNormRope { weight: &self.query_weight, epsilon: self.epsilon, rope: &angles[self.angles] }
    }

    fn of_keys<'a>(&'a self, angles: &'a [Rope]) -> QkNormRope<'a> {
        QkNormRope { weight: &self.key_weight, epsilon: self.epsilon, rope: &angles[self.angles] }
    }
}

impl InnerProducts {
    fn projection(&self) -> &Projection {
        match self {
            Self::Gated(projection) | Self::Plain(projection) => projection,
        }
    }
}
