//! The operations and the memory that a decoder needs, computed from its shape.

use super::DecoderConfig;
use crate::batch::Batch;
use crate::engine::cpu::Heads;
use crate::engine::{Kind, Work};

/// Rows of a batch, summed over a decoder's layers.
struct Rows {
    /// The rows of all tokens, in every layer.
    tokens: f64,
    /// The rows for which more than keys and values is computed: those of tokens, and in the last layer those of pairs.
    whole: f64,
    /// The rows of the pairs' last tokens, for which alone the last layer is computed.
    pairs: f64,
    /// Keys that the queries see.
    seen: f64,
}

impl DecoderConfig {
    /// Weights of a layer's products.
    pub(crate) fn layer_weights(&self) -> usize {
        let Self { hidden, intermediate, .. } = *self;
        hidden * (2 * self.query_width() + 2 * self.key_width() + 3 * intermediate)
    }

    /// Heads, as attention counts them.
    pub(crate) fn attention(&self) -> Heads {
        Heads { query: self.heads, key: self.key_heads, head_dim: self.head_dim }
    }

    /// Features of all query heads.
    pub(crate) fn query_width(&self) -> usize {
        self.heads * self.head_dim
    }

    /// Features of all key heads, and of all value heads.
    pub(crate) fn key_width(&self) -> usize {
        self.key_heads * self.head_dim
    }

    /// Features of the widest merged product: queries, keys and values, or gates and ups.
    pub(crate) fn products_width(&self) -> usize {
        (self.query_width() + 2 * self.key_width()).max(2 * self.intermediate)
    }

    fn rows(&self, batch: &Batch) -> Rows {
        let (layers, pairs) = (self.layers as f64, batch.pairs().count() as f64);
        let tokens = batch.token_ids.len() as f64;
        let sees = |position: &u32| f64::from(*position) + 1.;
        let ends = batch.pair_segments().map(|segment| &batch.positions[batch.segments[segment].tokens.end - 1]);
        let seen = (layers - 1.) * batch.positions.iter().map(sees).sum::<f64>() + ends.map(sees).sum::<f64>();
        Rows { tokens: layers * tokens, whole: (layers - 1.) * tokens + pairs, pairs, seen }
    }

    /// Operations that a batch needs. In the last layer, all but keys and values are those of the pairs' last tokens.
    pub fn operations(&self, batch: &Batch) -> Work {
        let Rows { tokens, whole, seen, .. } = self.rows(batch);
        let [hidden, inner, queries, keys] =
            [self.hidden, self.intermediate, self.query_width(), self.key_width()].map(|width| width as f64);
        let mut work = Work::default();
        work.operate(Kind::Projection, 2. * hidden * (whole * queries + tokens * 2. * keys));
        work.operate(Kind::Output, 2. * whole * queries * hidden);
        work.operate(Kind::GateAndUp, 2. * whole * hidden * 2. * inner);
        work.operate(Kind::Down, 2. * whole * inner * hidden);
        work.operate(Kind::Attention, 4. * seen * queries);
        work
    }

    /// The same, with the bytes that cross a device's memory where every step is an operation on all tokens: activations and
    /// weights have `size` bytes, the residual stream has four.
    pub fn operations_and_bytes(&self, batch: &Batch, size: usize) -> Work {
        let Rows { tokens, whole, pairs, .. } = self.rows(batch);
        let [hidden, inner, queries, keys, size] =
            [self.hidden, self.intermediate, self.query_width(), self.key_width(), size].map(|width| width as f64);
        let layers = self.layers as f64;
        // Read and written.
        let residual = 2. * 4. * hidden * whole;
        let mut work = self.operations(batch);
        let merged = whole * queries + tokens * 2. * keys;
        work.transfer(
            Kind::Projection,
            size * ((tokens + pairs) * hidden + merged + layers * hidden * (queries + 2. * keys)),
        );
        work.transfer(Kind::Rotary, 2. * size * (whole * queries + tokens * keys));
        work.transfer(Kind::Attention, size * (whole * 2. * queries + tokens * 2. * keys));
        work.transfer(Kind::Output, residual + size * queries * (whole + layers * hidden));
        work.transfer(Kind::GateAndUp, size * (whole * (hidden + 2. * inner) + layers * hidden * 2. * inner));
        work.transfer(Kind::Activation, size * whole * 3. * inner);
        work.transfer(Kind::Down, residual + size * inner * (whole + layers * hidden));
        // Two a layer, one of them of all tokens; the last one's rows are gathered and read once more for the head.
        work.transfer(Kind::Norm, (4. + size) * hidden * (tokens + pairs + whole) + 3. * 4. * hidden * pairs);
        work.transfer(Kind::Embedding, (4. + size) * hidden * tokens / layers);
        work
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{Limits, plan};
    use crate::recipe::Prompt;

    #[test]
    fn counted_by_hand() {
        let config = DecoderConfig {
            vocabulary: 100,
            hidden: 8,
            intermediate: 24,
            layers: 3,
            heads: 4,
            key_heads: 2,
            head_dim: 4,
            norm_epsilon: 1e-6,
            rope_theta: 1e4,
            max_positions: 64,
        };
        let prompt = |last: u32| Prompt { token_ids: vec![1, 2, 3, last], truncated: false };
        let limits = Limits { pairs: 9, tokens: 99, share_prefixes: true, fill: false };
        let batch = &plan(&[vec![prompt(4), prompt(5)]], limits)[0];
        // Three tokens that both share, and one of each.
        assert_eq!(batch.token_ids.len(), 5);
        let work = config.operations_and_bytes(batch, 2);
        let operations = |kind: Kind| work.operations[kind as usize];
        let bytes = |kind: Kind| work.bytes[kind as usize];
        // Two layers with all 5 tokens, one with 2 pairs; queries are 16 wide, keys 8.
        assert_eq!(operations(Kind::Projection), 2. * 8. * (12. * 16. + 15. * 16.));
        assert_eq!(operations(Kind::GateAndUp), 2. * 8. * 48. * 12.);
        assert_eq!(operations(Kind::Down) + operations(Kind::Output), 2. * 8. * (24. + 16.) * 12.);
        // Tokens see 1, 2, 3, 4 and 4 keys: for each key and query feature a product of scores and one of values.
        assert_eq!(operations(Kind::Attention), 4. * 16. * (2. * 14. + 8.));
        assert_eq!(bytes(Kind::Projection), 2. * ((15. + 2.) * 8. + 12. * 16. + 15. * 16. + 3. * 8. * 32.));
        assert_eq!(bytes(Kind::Rotary), 2. * 2. * (12. * 16. + 15. * 8.));
        assert_eq!(bytes(Kind::Attention), 2. * (12. * 32. + 15. * 16.));
        assert_eq!(bytes(Kind::Output), 12. * 8. * 8. + 2. * 16. * (12. + 3. * 8.));
        assert_eq!(bytes(Kind::GateAndUp), 2. * (12. * (8. + 48.) + 3. * 8. * 48.));
        assert_eq!(bytes(Kind::Norm), 6. * 8. * (15. + 2. + 12.) + 12. * 8. * 2.);
        assert_eq!(bytes(Kind::Activation), 2. * 12. * 72.);
        assert_eq!(bytes(Kind::Embedding), 5. * 8. * (2. + 4.));
        assert_eq!(bytes(Kind::Down), 12. * 8. * 8. + 2. * 24. * (12. + 3. * 8.));
        assert_eq!(work.operations, config.operations(batch).operations);
    }
}
