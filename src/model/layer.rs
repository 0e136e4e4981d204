//! One layer of a decoder, on one tile of tokens.

use std::time::Instant;

use anyhow::Result;

use super::Weights;
use crate::kernels::{
    Arithmetic, Attend, Attended, Attention, Buffer, HeadTurn, Heads, KeyValues, Kind, Level, Linear, Matrix, Operand,
    PANEL, Panels, Profile, Rope, Source, Span, Squares, Writing, swiglu,
};

/// Features inside the MLP that are computed before they are multiplied further.
const CHUNK: usize = 1024;

/// The shape of a layer.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    pub(super) heads: Heads,
    pub(super) hidden: usize,
    pub(super) intermediate: usize,
    pub(super) epsilon: f32,
}

/// Tokens that one thread computes.
pub(super) struct Tile<'a> {
    /// The residual stream.
    pub(super) hidden: Panels<'a>,
    pub(super) positions: Vec<u32>,
    /// Where their keys and values go.
    pub(super) slots: &'a [usize],
    /// Which keys they look at.
    pub(super) spans: Vec<Span<'a>>,
    /// Of the residual stream.
    pub(super) squares: Squares,
}

/// Memory for what a layer computes in between.
#[derive(Default)]
pub(super) struct Workspace {
    normed: Operand,
    inner: Operand,
    products: Buffer<f32>,
    results: Buffer<f32>,
    attention: Option<Attention>,
    pub(super) profile: Profile,
}

pub(super) struct Layer {
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

impl<'a> Tile<'a> {
    /// Rows of the residual stream in `memory`, which has room for whole panels of so many and of padding.
    pub(super) fn new(memory: &'a mut [f32], rows: usize) -> Self {
        let hidden = Panels::new(memory, rows.next_multiple_of(PANEL));
        let mut squares = Squares::default();
        squares.clear(hidden.rows());
        Self { hidden, positions: Vec::with_capacity(rows), slots: &[], spans: Vec::new(), squares }
    }

    /// Sets the rows to those of tokens; what is beyond them is zeros.
    pub(super) fn embed(&mut self, token_ids: &[u32], embedding: &Matrix<'_>) {
        for panel in 0..self.hidden.count() {
            self.hidden.panel_mut(panel).iter_mut().skip(token_ids.len()).for_each(|row| row.fill(0.));
        }
        let mut values = vec![0f32; embedding.inputs.next_multiple_of(PANEL)];
        for (row, &token) in token_ids.iter().enumerate() {
            embedding.row(token as usize, &mut values[..embedding.inputs]);
            for (panel, values) in values.as_chunks::<PANEL>().0.iter().enumerate() {
                self.hidden.panel_mut(panel)[row] = *values;
            }
        }
    }

    /// Takes over a row of another tile.
    pub(super) fn copy_row(&mut self, row: usize, other: &Tile<'_>, from: usize) {
        for panel in 0..self.hidden.count() {
            self.hidden.panel_mut(panel)[row] = other.hidden.panel(panel)[from];
        }
    }
}

impl Layer {
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
        let by_head = |count: usize| -> Vec<Source> {
            let width = heads.panels() * PANEL;
            let row = |output: usize| {
                (output % width < heads.head_dim).then(|| output / width * heads.head_dim + output % width)
            };
            (0..count * width).map(|output| row(output).map(|row| (0, row))).collect()
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
            query: linear(&["self_attn.q_proj"], [queries, hidden], &by_head(heads.query))?,
            key: linear(&["self_attn.k_proj"], [keys, hidden], &by_head(heads.key))?,
            value: linear(&["self_attn.v_proj"], [keys, hidden], &by_head(heads.key))?,
            output: linear(&["self_attn.o_proj"], [hidden, queries], &as_it_is)?,
            query_norm: norm("self_attn.q_norm", heads.head_dim)?,
            key_norm: norm("self_attn.k_norm", heads.head_dim)?,
            mlp_norm: norm_of_panels("post_attention_layernorm")?,
            gate_and_up: linear(&["mlp.gate_proj", "mlp.up_proj"], [intermediate, hidden], &in_turn)?,
            down: linear(&["mlp.down_proj"], [hidden, intermediate], &as_it_is)?,
        })
    }

    /// A tile's keys and values, kept for every tile's attention.
    pub(super) fn keys_and_values(&self, tile: &Tile<'_>, to: &Writing<'_>, rope: &Rope, workspace: &mut Workspace) {
        let (heads, rows) = (self.shape.heads, tile.hidden.rows());
        self.normalize(tile, &self.attention_norm, &self.key, workspace);
        let Workspace { normed, products, profile, .. } = workspace;
        let mut lap = Instant::now();
        let turn = HeadTurn { weight: &self.key_norm, epsilon: self.shape.epsilon, rope };
        products.reserve(heads.panels() * rows * PANEL);
        let mut products = Panels::new(&mut products[..heads.panels() * rows * PANEL], rows);
        for head in 0..heads.key {
            let panels = head * heads.panels()..(head + 1) * heads.panels();
            self.key.forward(normed, panels.clone(), &mut products);
            profile.lap(Kind::Projection, &mut lap);
            turn.apply(&mut products, &tile.positions, self.level);
            profile.lap(Kind::Rotary, &mut lap);
            to.put_keys(head, &products, tile.slots);
            profile.lap(Kind::Store, &mut lap);
            self.value.forward(normed, panels, &mut products);
            profile.lap(Kind::Projection, &mut lap);
            to.put_values(head, &products, tile.slots);
            profile.lap(Kind::Store, &mut lap);
        }
    }

    /// The layer on a tile, once all keys and values are there.
    pub(super) fn finish(&self, tile: &mut Tile<'_>, stores: &KeyValues, rope: &Rope, workspace: &mut Workspace) {
        self.attend(tile, stores, rope, workspace);
        self.mlp(tile, workspace);
    }

    /// `hidden += o(attention(q(norm(hidden))))`
    fn attend(&self, tile: &mut Tile<'_>, stores: &KeyValues, rope: &Rope, workspace: &mut Workspace) {
        let (heads, rows) = (self.shape.heads, tile.hidden.rows());
        self.normalize(tile, &self.attention_norm, &self.query, workspace);
        let Workspace { normed, inner, products, results, attention, profile, .. } = workspace;
        let mut lap = Instant::now();
        let attention = attention.get_or_insert_with(|| Attention::new(stores, Attend::Causal));
        let turn = HeadTurn { weight: &self.query_norm, epsilon: self.shape.epsilon, rope };
        let group_panels = heads.group() * heads.panels();
        products.reserve(group_panels * rows * PANEL);
        let mut products = Panels::new(&mut products[..group_panels * rows * PANEL], rows);
        let features = heads.query * heads.head_dim;
        inner.reshape(self.output.form(), rows);
        let at_once = inner.packs_single_panels() && heads.head_dim.is_multiple_of(16);
        let panels = features.div_ceil(PANEL);
        results.reserve(panels * PANEL * rows);
        let mut attended = Panels::new(&mut results[..panels * PANEL * rows], rows);
        if at_once {
            inner.clear_after(features);
        } else {
            // The last features may belong to no head.
            attended.panel_mut(panels - 1).fill([0.; PANEL]);
        }
        for key_head in 0..heads.key {
            self.query.forward(normed, key_head * group_panels..(key_head + 1) * group_panels, &mut products);
            profile.lap(Kind::Projection, &mut lap);
            for head in 0..heads.group() {
                let panels = head * heads.panels()..(head + 1) * heads.panels();
                turn.apply(&mut products.part(panels), &tile.positions, self.level);
            }
            profile.lap(Kind::Rotary, &mut lap);
            let mut to = if at_once { Attended::Operand(inner) } else { Attended::Panels(&mut attended) };
            attention.forward(&products, &tile.spans, key_head, stores, &mut to);
            profile.lap(Kind::Attention, &mut lap);
        }
        if !at_once {
            inner.pack(&attended, &[], &[]);
        }
        profile.lap(Kind::Pack, &mut lap);
        tile.squares.clear(rows);
        self.output.add(inner, 0, &mut tile.hidden, |panel| tile.squares.add(panel, self.level));
        profile.lap(Kind::Output, &mut lap);
    }

    /// `hidden += down(silu(gate(norm(hidden))) · up(norm(hidden)))`
    fn mlp(&self, tile: &mut Tile<'_>, workspace: &mut Workspace) {
        let rows = tile.hidden.rows();
        self.normalize(tile, &self.mlp_norm, &self.gate_and_up, workspace);
        let Workspace { normed, inner, products, results, profile, .. } = workspace;
        let mut lap = Instant::now();
        products.reserve(2 * PANEL * rows);
        let mut products = Panels::new(&mut products[..2 * PANEL * rows], rows);
        results.reserve(CHUNK * rows);
        let panels = self.shape.intermediate.div_ceil(PANEL);
        for first in (0..panels).step_by(CHUNK / PANEL) {
            let chunk = first..panels.min(first + CHUNK / PANEL);
            let mut activated = Panels::new(&mut results[..chunk.len() * PANEL * rows], rows);
            inner.reshape(self.down.form().of(chunk.len() * PANEL), rows);
            for panel in chunk.clone() {
                self.gate_and_up.forward(normed, 2 * panel..2 * panel + 2, &mut products);
                profile.lap(Kind::GateAndUp, &mut lap);
                // Where each panel is packed at once, all take the same place, which stays in the cache.
                let place = if inner.packs_single_panels() { 0 } else { panel - first };
                let mut activated = activated.part(place..place + 1);
                swiglu(self.level, &products, &mut activated);
                profile.lap(Kind::Activation, &mut lap);
                if inner.packs_single_panels() {
                    inner.pack_single(panel - first, activated.panel(0));
                    profile.lap(Kind::Pack, &mut lap);
                }
            }
            if inner.packs_single_panels() {
                inner.fill(chunk.len());
            } else {
                inner.pack(&activated, &[], &[]);
            }
            profile.lap(Kind::Pack, &mut lap);
            let last = chunk.end == panels;
            tile.squares.clear(rows);
            self.down.add(inner, first * PANEL, &mut tile.hidden, |panel| {
                if last {
                    tile.squares.add(panel, self.level);
                }
            });
            profile.lap(Kind::Down, &mut lap);
        }
    }

    fn normalize(&self, tile: &Tile<'_>, weight: &[f32], next: &Linear, workspace: &mut Workspace) {
        let Shape { hidden, epsilon, .. } = self.shape;
        let mut lap = Instant::now();
        let scales = tile.squares.scales(hidden, epsilon, self.level);
        workspace.normed.reshape(next.form(), tile.hidden.rows());
        workspace.normed.pack(&tile.hidden, &scales, weight);
        workspace.profile.lap(Kind::Norm, &mut lap);
    }

    /// Multiplications and additions of the products for each token: those of keys and values, and the rest.
    pub(super) fn operations(shape: Shape) -> [f64; 2] {
        let Shape { heads, hidden, intermediate, .. } = shape;
        let keys_and_values = 2 * heads.key * heads.head_dim * hidden;
        let rest = 2 * heads.query * heads.head_dim * hidden + 3 * hidden * intermediate;
        [2. * keys_and_values as f64, 2. * rest as f64]
    }
}
