//! Where the time goes: nanoseconds of all threads together, by kind of work.

use std::time::Instant;

/// Kinds of work, as users read them.
pub const KINDS: [&str; 13] = [
    "query, key and value products",
    "output products",
    "gate and up products",
    "down products",
    "attention",
    "norm",
    "rounding and packing",
    "rotary embedding",
    "keys and values",
    "activation",
    "embedding",
    "expanding quantized weights",
    "waiting for uploaded layers",
];

/// An index into [`KINDS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Products with the weights of queries, keys and values.
    Projection,
    /// Products with the weights of attention's output.
    Output,
    /// Products with the weights of gate and up.
    GateAndUp,
    /// Products with the weights of down.
    Down,
    /// Both products of attention and its softmax.
    Attention,
    /// Norms of the residual stream.
    Norm,
    /// From activations to operands.
    Pack,
    /// Norm and rotary embedding of queries and keys.
    Rotary,
    /// Keeping keys and values.
    Store,
    /// Activations, and products with gates.
    Activation,
    /// The embedding.
    Embedding,
    /// From quantized weights to operands.
    Expansion,
    /// Waiting for weights that come from host memory.
    Upload,
}

/// Time by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Profile {
    /// In the order of [`KINDS`].
    pub nanoseconds: [u64; KINDS.len()],
}

impl Profile {
    /// Adds the time since `lap` began, and begins a new one.
    #[inline]
    pub fn lap(&mut self, kind: Kind, lap: &mut Instant) {
        let now = Instant::now();
        self.nanoseconds[kind as usize] += now.duration_since(*lap).as_nanos() as u64;
        *lap = now;
    }

    /// Adds the time that all threads spent together.
    pub fn add_time(&mut self, kind: Kind, nanoseconds: u64) {
        self.nanoseconds[kind as usize] += nanoseconds;
    }

    /// The share of each kind in all that was counted, largest first.
    pub fn shares(&self) -> Vec<(&'static str, f64)> {
        let sum = self.nanoseconds.iter().sum::<u64>().max(1) as f64;
        let mut shares: Vec<_> =
            KINDS.iter().zip(self.nanoseconds).map(|(kind, time)| (*kind, time as f64 / sum)).collect();
        shares.retain(|(_, share)| *share > 0.);
        shares.sort_by(|one, other| other.1.total_cmp(&one.1));
        shares
    }

    /// Adds another's times.
    pub fn add(&mut self, other: &Self) {
        for (own, other) in self.nanoseconds.iter_mut().zip(&other.nanoseconds) {
            *own += other;
        }
    }
}
