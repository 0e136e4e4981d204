//! One layer of an encoder in the style of BERT, on one tile of tokens: biases everywhere, and norms behind the residual
//! sums.

use anyhow::Result;

use super::blocks::{AttentionBlock, Clock, MlpBlock, Shape, by_head, each_key_head};
use super::pass::TileLayer;
use super::workspace::{Tile, Workspace};
use crate::checkpoint::Weights;
use crate::engine::Kind;
use crate::engine::cpu::{
    Arithmetic, KeyValues, LayerNorm, Level, Linear, Mask, Operand, PANEL, Panels, Source, Writing, add_bias, gelu,
};

/// A linear layer and its bias, filled up as the outputs are.
struct Biased {
    linear: Linear,
    bias: Vec<f32>,
}

impl Biased {
    fn load(
        weights: &Weights,
        name: &str,
        shape: [usize; 2],
        sources: &[Source],
        arithmetic: Arithmetic,
    ) -> Result<Self> {
        let weight = format!("{name}.weight");
        let linear = Linear::new(&[weights.matrix(&weight, shape)?], sources, arithmetic)?;
        weights.release(&weight);
        let values = weights.vector(&format!("{name}.bias"), shape[0])?;
        let mut bias: Vec<f32> = sources.iter().map(|source| source.map_or(0., |(_, output)| values[output])).collect();
        bias.resize(bias.len().next_multiple_of(PANEL), 0.);
        Ok(Self { linear, bias })
    }

    /// The bias of some panels.
    fn bias(&self, panels: &std::ops::Range<usize>) -> &[f32] {
        &self.bias[panels.start * PANEL..panels.end * PANEL]
    }
}

/// A layer's weights.
pub(super) struct EncoderLayer {
    shape: Shape,
    level: Level,
    /// Each head is filled up to whole panels.
    query: Biased,
    key: Biased,
    value: Biased,
    output: Biased,
    attention_norm: LayerNorm,
    intermediate: Biased,
    down: Biased,
    mlp_norm: LayerNorm,
}

/// Reads a norm.
pub(super) fn load_norm(weights: &Weights, name: &str, features: usize, epsilon: f32) -> Result<LayerNorm> {
    let vector = |part: &str| weights.vector(&format!("{name}.{part}"), features);
    Ok(LayerNorm::new(vector("weight")?, vector("bias")?, epsilon))
}

impl EncoderLayer {
    /// Reads the weights, named as in transformers.
    pub(super) fn load(shape: Shape, weights: &Weights, arithmetic: Arithmetic, name: &str) -> Result<Self> {
        let Shape { heads, hidden, intermediate, epsilon } = shape;
        let as_it_is = |outputs: usize| -> Vec<Source> { (0..outputs).map(|row| Some((0, row))).collect() };
        let linear = |part: &str, shape: [usize; 2], sources: &[Source]| {
            Biased::load(weights, &format!("{name}.{part}"), shape, sources, arithmetic)
        };
        let norm = |part: &str| load_norm(weights, &format!("{name}.{part}"), hidden, epsilon);
        let head = by_head(heads, heads.query);
        Ok(Self {
            shape,
            level: arithmetic.level,
            query: linear("attention.self.query", [hidden, hidden], &head)?,
            key: linear("attention.self.key", [hidden, hidden], &head)?,
            value: linear("attention.self.value", [hidden, hidden], &head)?,
            output: linear("attention.output.dense", [hidden, hidden], &as_it_is(hidden))?,
            attention_norm: norm("attention.output.LayerNorm")?,
            intermediate: linear("intermediate.dense", [intermediate, hidden], &as_it_is(intermediate))?,
            down: linear("output.dense", [hidden, intermediate], &as_it_is(hidden))?,
            mlp_norm: norm("output.LayerNorm")?,
        })
    }

    /// `hidden = norm(hidden + output(attention(query(hidden))))`
    fn attend(&self, tile: &mut Tile<'_>, stores: &KeyValues, workspace: &mut Workspace) {
        pack(tile, &self.query.linear, workspace);
        let Tile { hidden, spans, .. } = tile;
        let heads = self.shape.heads;
        let block = AttentionBlock { heads, mask: Mask::Bidirectional, output: &self.output.linear, stores };
        let queries = |panels, rows: &Operand, products: &mut Panels<'_>, clock: &mut Clock<'_>| {
            let bias = self.query.bias(&panels);
            self.query.linear.forward(rows, panels, products);
            clock.lap(Kind::Projection);
            add_bias(self.level, products, bias);
            clock.lap(Kind::Activation);
        };
        block.run((hidden, spans), workspace, queries, |_| ());
        self.normalize(tile, &self.attention_norm, &self.output.bias, workspace);
    }

    /// `hidden = norm(hidden + down(gelu(intermediate(hidden))))`
    fn mlp(&self, tile: &mut Tile<'_>, workspace: &mut Workspace) {
        pack(tile, &self.intermediate.linear, workspace);
        let block = MlpBlock { intermediate: self.shape.intermediate, down: &self.down.linear, parts: 0 };
        let activate =
            |panel: usize, rows: &Operand, (_, to): (&mut Panels<'_>, &mut Panels<'_>), clock: &mut Clock<'_>| {
                self.intermediate.linear.forward(rows, panel..panel + 1, to);
                clock.lap(Kind::GateAndUp);
                gelu(self.level, to, self.intermediate.bias(&(panel..panel + 1)));
            };
        block.run(&mut tile.hidden, workspace, activate, |_| ());
        self.normalize(tile, &self.mlp_norm, &self.down.bias, workspace);
    }

    fn normalize(&self, tile: &mut Tile<'_>, norm: &LayerNorm, bias: &[f32], workspace: &mut Workspace) {
        let mut clock = Clock::new(&mut workspace.profile);
        norm.apply(&mut tile.hidden, bias, self.level);
        clock.lap(Kind::Norm);
    }
}

/// The tile's rows, for products.
fn pack(tile: &Tile<'_>, next: &Linear, workspace: &mut Workspace) {
    let Workspace { normed, profile, .. } = workspace;
    let mut clock = Clock::new(profile);
    normed.reshape(next.form(), tile.hidden.rows());
    normed.pack(&tile.hidden, &[], &[]);
    clock.lap(Kind::Pack);
}

impl TileLayer for EncoderLayer {
    type Context = ();

    fn enter(&self, _tile: &mut Tile<'_>) {}

    fn keys_and_values(&self, tile: &Tile<'_>, to: &Writing<'_>, (): &(), workspace: &mut Workspace) {
        pack(tile, &self.key.linear, workspace);
        each_key_head(self.shape.heads, tile.hidden.rows(), workspace, |head, panels, rows, products, clock| {
            self.key.linear.forward(rows, panels.clone(), products);
            clock.lap(Kind::Projection);
            add_bias(self.level, products, self.key.bias(&panels));
            to.put_keys(head, products, tile.slots);
            clock.lap(Kind::Store);
            self.value.linear.forward(rows, panels.clone(), products);
            clock.lap(Kind::Projection);
            add_bias(self.level, products, self.value.bias(&panels));
            to.put_values(head, products, tile.slots);
            clock.lap(Kind::Store);
        });
    }

    fn finish(&self, tile: &mut Tile<'_>, stores: &KeyValues, (): &(), workspace: &mut Workspace) {
        self.attend(tile, stores, workspace);
        self.mlp(tile, workspace);
    }
}
