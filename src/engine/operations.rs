//! The operations and the memory traffic that a batch needs, counted from the description alone.

use super::{Kind, Work};
use crate::batch::Batch;
use crate::model::{Architecture, Layer, Mask, Mlp, NormPlacement, Pooling};

/// Which keys the queries of a layer see.
type Sight = (Mask, Option<usize>);

/// Rows of a batch in one layer.
struct Rows {
    /// The rows of all tokens.
    tokens: f64,
    /// The rows for which more than keys and values is computed: in the last layer those of the pooled tokens.
    whole: f64,
    /// The pooled rows that are computed again, in the last layer.
    pooled: f64,
    /// Keys that the queries see.
    seen: f64,
}

/// The widths of a layer's products.
struct Widths {
    hidden: f64,
    queries: f64,
    keys: f64,
    inner: f64,
    /// The outputs of the products before the activation.
    merged: f64,
}

impl Architecture {
    /// Operations that a batch needs. In the last layer, all but keys and values are those of the pooled tokens.
    pub fn operations(&self, batch: &Batch) -> Work {
        let mut work = Work::default();
        for (layer, rows) in self.layers.iter().zip(self.rows(batch)) {
            let Widths { hidden, queries, keys, inner, merged } = layer.widths(self.hidden);
            let Rows { tokens, whole, seen, .. } = rows;
            work.operate(Kind::Projection, 2. * hidden * (whole * queries + tokens * 2. * keys));
            work.operate(Kind::Output, 2. * whole * queries * hidden);
            work.operate(Kind::GateAndUp, 2. * whole * hidden * merged);
            work.operate(Kind::Down, 2. * whole * inner * hidden);
            work.operate(Kind::Attention, 4. * seen * queries);
        }
        if let Some(projection) = &self.embedding.projection {
            let weights = projection.outputs() * projection.weight.inputs();
            work.operate(Kind::Embedding, 2. * weights as f64 * batch.token_ids.len() as f64);
        }
        work
    }

    /// The same, with the bytes that cross a device's memory where every step is an operation on all tokens: activations and
    /// weights have `size` bytes, the residual stream has four.
    pub fn operations_and_bytes(&self, batch: &Batch, size: usize) -> Work {
        let mut work = self.operations(batch);
        let (size, tokens) = (size as f64, batch.token_ids.len() as f64);
        for (layer, rows) in self.layers.iter().zip(self.rows(batch)) {
            let Widths { hidden, queries, keys, inner, merged } = layer.widths(self.hidden);
            let Rows { tokens, whole, pooled, .. } = rows;
            // Read and written.
            let residual = 2. * 4. * hidden * whole;
            let projected = whole * queries + tokens * 2. * keys;
            let inputs = (tokens + pooled) * hidden;
            work.transfer(Kind::Projection, size * (inputs + projected + hidden * (queries + 2. * keys)));
            let attention = &layer.attention;
            let turned = match (attention.rotary, &attention.query.bias) {
                (Some(_), _) => whole * queries + tokens * keys,
                // The bias alone.
                (None, Some(_)) => whole * queries,
                (None, None) => 0.,
            };
            work.transfer(Kind::Rotary, 2. * size * turned);
            work.transfer(Kind::Attention, size * (whole * 2. * queries + tokens * 2. * keys));
            work.transfer(Kind::Output, residual + size * queries * (whole + hidden));
            work.transfer(Kind::GateAndUp, size * (whole * (hidden + merged) + hidden * merged));
            work.transfer(Kind::Activation, size * whole * (inner + merged));
            work.transfer(Kind::Down, residual + size * inner * (whole + hidden));
            // Two a layer, one of them of all tokens; the last one's rows are gathered and read once more for the head. Norms
            // behind a half replace the residual stream.
            let normed = if layer.placement == NormPlacement::After { 8. + size } else { 4. + size };
            work.transfer(Kind::Norm, normed * hidden * (tokens + pooled + whole) + 3. * 4. * hidden * pooled);
        }
        work.transfer(Kind::Embedding, (4. + size) * self.hidden as f64 * tokens);
        work
    }

    /// The rows of a batch, for each layer.
    fn rows(&self, batch: &Batch) -> impl Iterator<Item = Rows> {
        let (tokens, pairs) = (batch.token_ids.len() as f64, batch.pairs().count() as f64);
        let last = self.layers.len() - 1;
        let prunes = self.pooling != Pooling::Mean;
        let mut known: Vec<(Sight, [f64; 2])> = Vec::new();
        self.layers.iter().enumerate().map(move |(index, layer)| {
            let kind = (layer.attention.mask, layer.attention.window);
            let seen = known.iter().find(|(other, _)| *other == kind).map(|(_, seen)| *seen);
            let seen = seen.unwrap_or_else(|| {
                let seen = [self.seen(batch, kind, false), self.seen(batch, kind, true)];
                known.push((kind, seen));
                seen
            });
            if index == last && prunes {
                Rows { tokens, whole: pairs, pooled: pairs, seen: seen[1] }
            } else {
                Rows { tokens, whole: tokens, pooled: 0., seen: seen[0] }
            }
        })
    }

    /// The keys that a batch's queries see, or those of the pooled tokens alone.
    fn seen(&self, batch: &Batch, (mask, window): Sight, pooled: bool) -> f64 {
        let segments = batch.segments.iter().map(|segment| {
            let positions = &batch.positions[segment.tokens.clone()];
            let length = positions.last().map_or(0, |&position| position as usize + 1);
            let sees = |position: usize| {
                let first = window.map_or(0, |window| position.saturating_sub(window));
                let end = match mask {
                    Mask::Causal => position + 1,
                    Mask::Bidirectional => window.map_or(length, |window| length.min(position + window + 1)),
                };
                (end - first) as f64
            };
            match (pooled, self.pooling) {
                (true, _) if segment.pair.is_none() => 0.,
                (true, Pooling::LastToken) => sees(length - 1),
                (true, Pooling::FirstToken) => sees(0),
                _ => positions.iter().map(|&position| sees(position as usize)).sum(),
            }
        });
        segments.sum()
    }
}

impl Layer {
    fn widths(&self, hidden: usize) -> Widths {
        let (heads, inner) = (self.attention.heads, self.mlp.intermediate());
        let merged = if matches!(self.mlp, Mlp::Gated { .. }) { 2 * inner } else { inner };
        let [hidden, queries, keys, inner, merged] =
            [hidden, heads.query_width(), heads.key_width(), inner, merged].map(|width| width as f64);
        Widths { hidden, queries, keys, inner, merged }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::batch::{Limits, plan};
    use crate::recipe::Prompt;

    #[test]
    fn counted_by_hand() {
        let config = json!({
            "model_type": "qwen3", "vocab_size": 100, "hidden_size": 8, "intermediate_size": 24, "num_hidden_layers": 3,
            "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 4, "rms_norm_eps": 1e-6, "rope_theta": 1e4,
            "max_position_embeddings": 64
        });
        let model = Architecture::of_config(&config).unwrap();
        let prompt = |last: u32| Prompt::whole(vec![1, 2, 3, last]);
        let limits = Limits { pairs: 9, tokens: 99, share_prefixes: true, fill: false };
        let batch = &plan(&[vec![prompt(4), prompt(5)]], limits)[0];
        // Three tokens that both share, and one of each.
        assert_eq!(batch.token_ids.len(), 5);
        let work = model.operations_and_bytes(batch, 2);
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
        assert_eq!(work.operations, model.operations(batch).operations);
    }

    #[test]
    fn encoders_see_their_whole_prompt() {
        let config = json!({
            "model_type": "bert", "vocab_size": 100, "hidden_size": 8, "intermediate_size": 24, "num_hidden_layers": 2,
            "num_attention_heads": 2, "type_vocab_size": 2, "max_position_embeddings": 64
        });
        let model = Architecture::of_config(&config).unwrap();
        let prompt = |length: usize| Prompt::whole(vec![7; length]);
        let limits = Limits { pairs: 9, tokens: 99, share_prefixes: false, fill: false };
        let work = model.operations(&plan(&[vec![prompt(5), prompt(3)]], limits)[0]);
        assert_eq!(work.operations[Kind::Attention as usize], 4. * 8. * ((25. + 9.) + (5. + 3.)));
        assert_eq!(work.operations[Kind::GateAndUp as usize], 2. * 8. * 24. * (8. + 2.));
    }

    /// Layers of which the first looks at everything and the others at a window, as in ModernBERT.
    fn windowed() -> Architecture {
        let config = json!({
            "model_type": "bert", "vocab_size": 100, "hidden_size": 8, "intermediate_size": 24, "num_hidden_layers": 3,
            "num_attention_heads": 2, "type_vocab_size": 2, "max_position_embeddings": 64
        });
        let mut model = Architecture::of_config(&config).unwrap();
        model.layers[1].attention.window = Some(1);
        model.layers[2].attention.window = Some(1);
        model
    }

    #[test]
    fn windows_and_means_count() {
        let prompt = |length: usize| Prompt::whole(vec![7; length]);
        let limits = Limits { pairs: 9, tokens: 99, share_prefixes: false, fill: false };
        let batch = &plan(&[vec![prompt(5), prompt(3)]], limits)[0];
        let mut model = windowed();
        // Of 5 tokens the first and the last see 2, and the others 3.
        let attention = |model: &Architecture| model.operations(batch).operations[Kind::Attention as usize];
        assert_eq!(attention(&model), 4. * 8. * ((25. + 9.) + (13. + 7.) + (2. + 2.)));
        model.pooling = Pooling::Mean;
        assert_eq!(attention(&model), 4. * 8. * ((25. + 9.) + 2. * (13. + 7.)));
        model.layers[2].attention.mask = Mask::Causal;
        assert_eq!(attention(&model), 4. * 8. * ((25. + 9.) + (13. + 7.) + (9. + 5.)));
        assert_eq!(model.operations(batch).operations[Kind::Down as usize], 2. * 8. * 24. * 3. * 8.);
        model.embedding.tokens = crate::model::Tensor::matrix("tokens", 100, 4);
        model.embedding.projection = Some(crate::model::Linear::new("projection", 8, 4));
        assert_eq!(model.operations(batch).operations[Kind::Embedding as usize], 2. * 4. * 8. * 8.);
    }
}
