//! One layer of a decoder, on one tile of tokens.

use anyhow::Result;

use super::blocks::{AttentionBlock, Clock, MlpBlock, Shape, by_head, each_key_head};
use super::pass::TileLayer;
use super::workspace::{Tile, Workspace};
use crate::checkpoint::Weights;
use crate::engine::Kind;
use crate::engine::cpu::{
    Arithmetic, KeyValues, Level, Linear, Mask, Operand, PANEL, Panels, QkNormRope, Rope, Source, Writing, swiglu,
};

pub(super) struct DecoderLayer {
    shape: Shape,
    level: Level,
    attention_norm: Vec<f32>,
    /// Each head is filled up to whole panels.
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    query_norm: Vec<f32>,
    key_norm: Vec<f32>,
    mlp_norm: Vec<f32>,
    /// Panels of both in turn.
    gate_and_up: Linear,
    down: Linear,
}

impl DecoderLayer {
    /// Reads the weights, named as in transformers.
    pub(super) fn load(shape: Shape, weights: &Weights, arithmetic: Arithmetic, name: &str) -> Result<Self> {
        let Shape { heads, hidden, intermediate, .. } = shape;
        let (queries, keys) = (heads.query * heads.head_dim, heads.key * heads.head_dim);
        let linear = |parts: &[&str], shape: [usize; 2], sources: &[Source]| -> Result<Linear> {
            let names: Vec<String> = parts.iter().map(|part| format!("{name}.{part}.weight")).collect();
            let matrices = names.iter().map(|name| weights.matrix(name, shape)).collect::<Result<Vec<_>>>()?;
            let linear = Linear::new(&matrices, sources, arithmetic)?;
            names.iter().for_each(|name| weights.release(name));
            Ok(linear)
        };
        let norm = |part: &str, features: usize| weights.vector(&format!("{name}.{part}.weight"), features);
        // Filled up to whole panels, as the residual stream is.
        let norm_of_panels = |part: &str| -> Result<Vec<f32>> {
            let mut weight = norm(part, hidden)?;
            weight.resize(hidden.next_multiple_of(PANEL), 0.);
            Ok(weight)
        };
        let as_it_is: Vec<Source> = (0..hidden).map(|row| Some((0, row))).collect();
        let in_turn: Vec<Source> = (0..intermediate.next_multiple_of(PANEL) * 2)
            .map(|output| (output / PANEL % 2, output / (2 * PANEL) * PANEL + output % PANEL))
            .map(|(part, row)| (row < intermediate).then_some((part, row)))
            .collect();
        Ok(Self {
            shape,
            level: arithmetic.level,
            attention_norm: norm_of_panels("input_layernorm")?,
            query: linear(&["self_attn.q_proj"], [queries, hidden], &by_head(heads, heads.query))?,
            key: linear(&["self_attn.k_proj"], [keys, hidden], &by_head(heads, heads.key))?,
            value: linear(&["self_attn.v_proj"], [keys, hidden], &by_head(heads, heads.key))?,
            output: linear(&["self_attn.o_proj"], [hidden, queries], &as_it_is)?,
            query_norm: norm("self_attn.q_norm", heads.head_dim)?,
            key_norm: norm("self_attn.k_norm", heads.head_dim)?,
            mlp_norm: norm_of_panels("post_attention_layernorm")?,
            gate_and_up: linear(&["mlp.gate_proj", "mlp.up_proj"], [intermediate, hidden], &in_turn)?,
            down: linear(&["mlp.down_proj"], [hidden, intermediate], &as_it_is)?,
        })
    }

    /// `hidden += o(attention(q(norm(hidden))))`
    fn attend(&self, tile: &mut Tile<'_>, stores: &KeyValues, rope: &Rope, workspace: &mut Workspace) {
        let (heads, level) = (self.shape.heads, self.level);
        self.normalize(tile, &self.attention_norm, &self.query, workspace);
        let turn = QkNormRope { weight: &self.query_norm, epsilon: self.shape.epsilon, rope };
        let Tile { hidden, positions, spans, squares, .. } = tile;
        squares.clear(hidden.rows());
        let block = AttentionBlock { heads, mask: Mask::Causal, output: &self.output, stores };
        let queries = |panels, normed: &Operand, products: &mut Panels<'_>, clock: &mut Clock<'_>| {
            self.query.forward(normed, panels, products);
            clock.lap(Kind::Projection);
            for head in 0..heads.group() {
                let panels = head * heads.panels()..(head + 1) * heads.panels();
                turn.apply(&mut products.part(panels), positions, level);
            }
            clock.lap(Kind::Rotary);
        };
        block.run((hidden, spans), workspace, queries, |panel| squares.add(panel, level));
    }

    /// `hidden += down(silu(gate(norm(hidden))) · up(norm(hidden)))`
    fn mlp(&self, tile: &mut Tile<'_>, workspace: &mut Workspace) {
        self.normalize(tile, &self.mlp_norm, &self.gate_and_up, workspace);
        let Tile { hidden, squares, .. } = tile;
        squares.clear(hidden.rows());
        let block = MlpBlock { intermediate: self.shape.intermediate, down: &self.down, parts: 2 };
        let activate = |panel: usize,
                        normed: &Operand,
                        (products, to): (&mut Panels<'_>, &mut Panels<'_>),
                        clock: &mut Clock<'_>| {
            self.gate_and_up.forward(normed, 2 * panel..2 * panel + 2, products);
            clock.lap(Kind::GateAndUp);
            swiglu(self.level, products, to);
        };
        block.run(hidden, workspace, activate, |panel| squares.add(panel, self.level));
    }

    fn normalize(&self, tile: &Tile<'_>, weight: &[f32], next: &Linear, workspace: &mut Workspace) {
        let Shape { hidden, epsilon, .. } = self.shape;
        let Workspace { normed, profile, .. } = workspace;
        let mut clock = Clock::new(profile);
        let scales = tile.squares.scales(hidden, epsilon, self.level);
        normed.reshape(next.form(), tile.hidden.rows());
        normed.pack(&tile.hidden, &scales, weight);
        clock.lap(Kind::Norm);
    }
}

impl TileLayer for DecoderLayer {
    type Context = Rope;

    fn enter(&self, tile: &mut Tile<'_>) {
        tile.squares.clear(tile.hidden.rows());
        tile.squares.add_all(&tile.hidden, self.level);
    }

    fn keys_and_values(&self, tile: &Tile<'_>, to: &Writing<'_>, rope: &Rope, workspace: &mut Workspace) {
        self.normalize(tile, &self.attention_norm, &self.key, workspace);
        let turn = QkNormRope { weight: &self.key_norm, epsilon: self.shape.epsilon, rope };
        each_key_head(self.shape.heads, tile.hidden.rows(), workspace, |head, panels, normed, products, clock| {
            self.key.forward(normed, panels.clone(), products);
            clock.lap(Kind::Projection);
            turn.apply(products, &tile.positions, self.level);
            clock.lap(Kind::Rotary);
            to.put_keys(head, products, tile.slots);
            clock.lap(Kind::Store);
            self.value.forward(normed, panels, products);
            clock.lap(Kind::Projection);
            to.put_values(head, products, tile.slots);
            clock.lap(Kind::Store);
        });
    }

    fn finish(&self, tile: &mut Tile<'_>, stores: &KeyValues, rope: &Rope, workspace: &mut Workspace) {
        self.attend(tile, stores, rope, workspace);
        self.mlp(tile, workspace);
    }
}
