//! How much a decoder has to do and to keep, by its shape alone.

use super::DecoderConfig;
use crate::batch::Batch;

impl DecoderConfig {
    /// Weights of a layer's products.
    pub(super) fn layer_weights(&self) -> usize {
        let [keys_and_values, rest] = self.parts();
        keys_and_values + rest
    }

    /// Of these, those of keys and values, and the others.
    fn parts(&self) -> [usize; 2] {
        let keys_and_values = 2 * self.key_heads * self.head_dim * self.hidden;
        [keys_and_values, 2 * self.heads * self.head_dim * self.hidden + 3 * self.hidden * self.intermediate]
    }

    /// Multiplications and additions that a batch needs, in linear layers and in attention. In the last layer, all but keys
    /// and values are those of the pairs' last tokens.
    pub fn operations(&self, batch: &Batch) -> [f64; 2] {
        let layers = self.layers as f64;
        let [keys_and_values, rest] = self.parts().map(|weights| 2. * weights as f64);
        let (tokens, pairs) = (batch.token_ids.len() as f64, batch.pairs().count() as f64);
        let linear = tokens * (layers * keys_and_values + (layers - 1.) * rest) + pairs * rest;
        let sees = |position: &u32| f64::from(*position) + 1.;
        let ends = batch.pair_segments().map(|segment| &batch.positions[batch.segments[segment].tokens.end - 1]);
        let seen = (layers - 1.) * batch.positions.iter().map(sees).sum::<f64>() + ends.map(sees).sum::<f64>();
        [linear, seen * (4 * self.heads * self.head_dim) as f64]
    }
}
