//! The two halves of every transformer layer on a tile, as far as they don't depend on the architecture.

use std::ops::Range;
use std::time::Instant;

use super::workspace::Workspace;
use crate::engine::cpu::{Attended, Attention, Features, KeyValues, Linear, Operand, PANEL, Panels, Sight, Span};
use crate::engine::{Kind, Profile};
use crate::model::Heads;

/// Features inside an MLP that are computed before they are multiplied further.
const CHUNK: usize = 1024;

/// Time that is being counted.
pub(super) struct Clock<'a> {
    profile: &'a mut Profile,
    lap: Instant,
}

impl<'a> Clock<'a> {
    pub(super) fn new(profile: &'a mut Profile) -> Self {
        Self { profile, lap: Instant::now() }
    }

    /// Counts the time since the last lap as this kind of work.
    pub(super) fn lap(&mut self, kind: Kind) {
        self.profile.lap(kind, &mut self.lap);
    }
}

/// Calls `compute` with each key head, its panels, the tile's rows as they stand in the workspace, and room for a head.
pub(super) fn each_key_head(
    heads: Heads,
    rows: usize,
    workspace: &mut Workspace,
    mut compute: impl FnMut(usize, Range<usize>, &Operand, &mut Panels<'_>, &mut Clock<'_>),
) {
    let Workspace { normed, products, profile, .. } = workspace;
    products.reserve(heads.panels() * rows * PANEL);
    let mut products = Panels::new(&mut products[..heads.panels() * rows * PANEL], rows);
    let mut clock = Clock::new(profile);
    for head in 0..heads.key {
        compute(head, head * heads.panels()..(head + 1) * heads.panels(), normed, &mut products, &mut clock);
    }
}

/// Attention of a tile whose rows, as they are multiplied with the weights of queries, stand in the workspace.
pub(super) struct AttentionBlock<'a> {
    pub(super) heads: Heads,
    pub(super) sight: Sight,
    /// Multiplies what attention gives.
    pub(super) output: &'a Linear,
    pub(super) stores: &'a KeyValues,
}

impl AttentionBlock<'_> {
    /// `hidden += output(attention(queries))`. `queries` computes the panels of the query heads of one key head; `done` is
    /// called with each panel of the residual stream when it is finished.
    pub(super) fn run(
        &self,
        (hidden, spans): (&mut Panels<'_>, &[Span<'_>]),
        workspace: &mut Workspace,
        mut queries: impl FnMut(Range<usize>, &Operand, &mut Panels<'_>, &mut Clock<'_>),
        done: impl FnMut(&[Features]),
    ) {
        let (heads, rows) = (self.heads, hidden.rows());
        let Workspace { normed, inner, products, results, attention, profile, .. } = workspace;
        let mut clock = Clock::new(profile);
        let attention = attention.get_or_insert_with(|| Attention::new(self.stores, self.sight));
        attention.set_sight(self.sight);
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
            queries(key_head * group_panels..(key_head + 1) * group_panels, normed, &mut products, &mut clock);
            let mut to = if at_once { Attended::Operand(inner) } else { Attended::Panels(&mut attended) };
            attention.forward(&products, spans, key_head, self.stores, &mut to);
            clock.lap(Kind::Attention);
        }
        if !at_once {
            inner.pack(&attended, &[], &[]);
        }
        clock.lap(Kind::Pack);
        self.output.add(inner, 0, hidden, done);
        clock.lap(Kind::Output);
    }
}

/// The MLP of a tile whose rows stand in the workspace, normalized and packed.
pub(super) struct MlpBlock<'a> {
    /// Features inside.
    pub(super) intermediate: usize,
    /// Multiplies them.
    pub(super) down: &'a Linear,
    /// Panels of products that make one panel inside.
    pub(super) parts: usize,
}

impl MlpBlock<'_> {
    /// `hidden += down(activated)`. `activate` computes one panel inside, with room for its products; `done` is called with
    /// each panel of the residual stream when it is finished.
    pub(super) fn run(
        &self,
        hidden: &mut Panels<'_>,
        workspace: &mut Workspace,
        mut activate: impl FnMut(usize, &Operand, (&mut Panels<'_>, &mut Panels<'_>), &mut Clock<'_>),
        mut done: impl FnMut(&[Features]),
    ) {
        let rows = hidden.rows();
        let Workspace { normed, inner, products, results, profile, .. } = workspace;
        let mut clock = Clock::new(profile);
        products.reserve(self.parts * PANEL * rows);
        let mut products = Panels::new(&mut products[..self.parts * PANEL * rows], rows);
        results.reserve(CHUNK * rows);
        let panels = self.intermediate.div_ceil(PANEL);
        for first in (0..panels).step_by(CHUNK / PANEL) {
            let chunk = first..panels.min(first + CHUNK / PANEL);
            let mut activated = Panels::new(&mut results[..chunk.len() * PANEL * rows], rows);
            inner.reshape(self.down.form().of(chunk.len() * PANEL), rows);
            for panel in chunk.clone() {
                // If each panel is packed at once, all of them use the same place, which stays in the cache.
                let place = if inner.packs_single_panels() { 0 } else { panel - first };
                let mut activated = activated.part(place..place + 1);
                activate(panel, normed, (&mut products, &mut activated), &mut clock);
                clock.lap(Kind::Activation);
                if inner.packs_single_panels() {
                    inner.pack_single(panel - first, activated.panel(0));
                    clock.lap(Kind::Pack);
                }
            }
            if inner.packs_single_panels() {
                inner.fill(chunk.len());
            } else {
                inner.pack(&activated, &[], &[]);
            }
            clock.lap(Kind::Pack);
            let last = chunk.end == panels;
            self.down.add(inner, first * PANEL, hidden, |panel| {
                if last {
                    done(panel);
                }
            });
            clock.lap(Kind::Down);
        }
    }
}
