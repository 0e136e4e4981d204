//! What a transformer computes, as data. A family fills it in from a configuration, an engine interprets it; neither knows
//! the other.
//!
//! Every weight is a [`Tensor`]: the name that transformers gives it, and its shape. So the description is also the list of
//! what a checkpoint must have.

use super::rotary::Rotary;
use super::tensor::{Linear, Norm, Tensor};

/// A transformer that scores a prompt.
#[derive(Clone, Debug, PartialEq)]
pub struct Architecture {
    /// The family, as `model_type` in config.json names it.
    pub family: &'static str,
    /// Features of the residual stream.
    pub hidden: usize,
    /// The longest prompt that the model was made for, in tokens.
    pub max_length: usize,
    /// How tokens become the residual stream.
    pub embedding: Embedding,
    /// The layers, of which there is at least one.
    pub layers: Vec<Layer>,
    /// The norm behind the last layer.
    pub final_norm: Option<Norm>,
    /// Which hidden vector stands for a prompt.
    pub pooling: Pooling,
    /// Tokens of this id at a prompt's end are passed over: the last one before them is the last token.
    pub padding: Option<u32>,
    /// How that vector becomes a logit.
    pub head: Head,
}

/// How tokens become vectors.
#[derive(Clone, Debug, PartialEq)]
pub struct Embedding {
    /// A row for each token.
    pub tokens: Tensor,
    /// What the row is multiplied by: √hidden in Gemma.
    pub scale: f32,
    /// A row for each position, which is added.
    pub positions: Option<Positions>,
    /// A row for each token type, which is added.
    pub token_types: Option<Tensor>,
    /// The norm of the sum.
    pub norm: Option<Norm>,
    /// What makes the residual stream of the normalized sum, where the rows are narrower than that: ELECTRA's small models.
    pub projection: Option<Linear>,
}

impl Embedding {
    /// A token's row is all there is.
    pub fn of_tokens(tokens: Tensor) -> Self {
        Self { tokens, scale: 1., positions: None, token_types: None, norm: None, projection: None }
    }
}

/// Learned positions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Positions {
    /// The rows.
    pub table: Tensor,
    /// The row of a prompt's first token.
    pub first: usize,
}

/// A layer: attention and MLP, each added to the residual stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    /// Where the two norms stand.
    pub placement: NormPlacement,
    /// The norm of attention; none in ModernBERT's first layer.
    pub attention_norm: Option<Norm>,
    /// Attention.
    pub attention: Attention,
    /// The norm of the MLP.
    pub mlp_norm: Norm,
    /// The MLP.
    pub mlp: Mlp,
}

/// Where a layer's norms stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NormPlacement {
    /// `x + f(norm(x))`
    Before,
    /// `norm(x + f(x))`
    After,
}

/// Attention of a layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Attention {
    /// The heads.
    pub heads: Heads,
    /// Queries, heads one after the other.
    pub query: Linear,
    /// Keys.
    pub key: Linear,
    /// Values.
    pub value: Linear,
    /// What attention gives becomes features of the residual stream.
    pub output: Linear,
    /// Norms of each query and key head, before they are rotated.
    pub query_key_norms: Option<[Norm; 2]>,
    /// The rotary embedding of queries and keys.
    pub rotary: Option<Rotary>,
    /// What the distance of a key adds to its score.
    pub relative: Option<Relative>,
    /// Which keys a query sees.
    pub mask: Mask,
    /// The farthest that a key may stand from its query, to either side: half of ModernBERT's `local_attention`, and one less
    /// than the `sliding_window` of Mistral, which counts the query's own key.
    pub window: Option<usize>,
    /// What the products of queries and keys are multiplied by.
    pub scale: f64,
}

/// Disentangled attention (He et al., 2021): a score is the sum of content with content, the query's content with the key's
/// distance, and the key's content with the query's distance.
#[derive(Clone, Debug, PartialEq)]
pub struct Relative {
    /// A row for each distance: those of keys that stand farther behind come first. It is the same in all layers.
    pub table: Tensor,
    /// The norm of its rows.
    pub norm: Option<Norm>,
    /// Makes keys of the rows, for the content of queries.
    pub key: Option<Linear>,
    /// Makes queries of the rows, for the content of keys.
    pub query: Option<Linear>,
    /// Distances from half of this number on share a row with others, on a logarithmic scale; none if each has its own.
    pub buckets: Option<usize>,
    /// The farthest distance that has a row of its own; all beyond share that one.
    pub max_distance: usize,
}

impl Relative {
    /// The linear layers that the rows go through.
    pub fn projections(&self) -> impl Iterator<Item = &Linear> {
        self.key.iter().chain(&self.query)
    }
}

/// The shape of attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heads {
    /// Query heads.
    pub query: usize,
    /// Key and value heads; divides the query heads.
    pub key: usize,
    /// Features of a head; not always those of the residual stream over the heads.
    pub head_dim: usize,
}

impl Heads {
    /// Query heads that share a key head.
    pub fn group(self) -> usize {
        self.query / self.key
    }

    /// Features of all query heads.
    pub fn query_width(self) -> usize {
        self.query * self.head_dim
    }

    /// Features of all key heads, and of all value heads.
    pub fn key_width(self) -> usize {
        self.key * self.head_dim
    }

    /// The usual scale of scores: `1 / √head_dim`.
    pub fn usual_scale(self) -> f64 {
        1. / (self.head_dim as f64).sqrt()
    }
}

/// Which keys a query sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mask {
    /// Those up to its own position.
    Causal,
    /// All of its prompt.
    Bidirectional,
}

/// The MLP of a layer.
#[derive(Clone, Debug, PartialEq)]
pub enum Mlp {
    /// `down(activation(gate(x)) · up(x))` (Shazeer, 2020).
    Gated {
        /// What goes through the activation.
        gate: Linear,
        /// What it is multiplied with.
        up: Linear,
        /// Back to the residual stream.
        down: Linear,
        /// The activation.
        activation: Activation,
    },
    /// `down(activation(up(x)))`
    Plain {
        /// What goes through the activation.
        up: Linear,
        /// Back to the residual stream.
        down: Linear,
        /// The activation.
        activation: Activation,
    },
}

impl Mlp {
    /// The products that come before the activation.
    pub fn inner(&self) -> Vec<&Linear> {
        match self {
            Self::Gated { gate, up, .. } => vec![gate, up],
            Self::Plain { up, .. } => vec![up],
        }
    }

    /// The product behind it.
    pub fn down(&self) -> &Linear {
        match self {
            Self::Gated { down, .. } | Self::Plain { down, .. } => down,
        }
    }

    /// The activation.
    pub fn activation(&self) -> Activation {
        match self {
            Self::Gated { activation, .. } | Self::Plain { activation, .. } => *activation,
        }
    }

    /// Features between the products.
    pub fn intermediate(&self) -> usize {
        match self {
            Self::Gated { gate: first, .. } | Self::Plain { up: first, .. } => first.outputs(),
        }
    }
}

/// Activations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// `x · sigmoid(x)`, also called swish.
    Silu,
    /// `x · Φ(x)`, by the error function.
    Gelu,
    /// The same, approximated by tanh.
    GeluTanh,
    /// `max(x, 0)`
    Relu,
    /// The hyperbolic tangent.
    Tanh,
}

/// Which hidden vector stands for a prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    /// That of the first token.
    FirstToken,
    /// That of the last token.
    LastToken,
    /// The mean of all tokens'.
    Mean,
}

/// From the pooled vector to the logit.
#[derive(Clone, Debug, PartialEq)]
pub struct Head {
    /// What comes first.
    pub steps: Vec<HeadStep>,
    /// The last product.
    pub output: HeadOutput,
    /// What the product is divided by: 1 in most models, a setting of Nemotron's.
    pub temperature: f64,
}

/// A step of a head.
#[derive(Clone, Debug, PartialEq)]
pub enum HeadStep {
    /// A linear layer and its activation.
    Dense(Linear, Option<Activation>),
    /// A norm.
    Norm(Norm),
}

/// The last product of a head.
#[derive(Clone, Debug, PartialEq)]
pub enum HeadOutput {
    /// A language model's matrix with a row for each token, of which the recipe names one or two: the answers.
    Vocabulary(Tensor),
    /// The rows of such a matrix for two answers alone, as llama.cpp keeps them.
    Answers {
        /// The rows.
        rows: Tensor,
        /// The row whose product grows with relevance.
        yes: usize,
        /// The row whose product is subtracted.
        no: usize,
    },
    /// A single row.
    Classifier(Linear),
}

impl Architecture {
    /// How many tokens the model knows.
    pub fn vocabulary(&self) -> usize {
        self.embedding.tokens.rows.len()
    }

    /// The token that has one position wherever it stands: padding, in the families whose positions begin behind that.
    pub fn padding_position(&self) -> Option<u32> {
        let first = self.embedding.positions.as_ref()?.first;
        first.checked_sub(1).map(|token| token as u32)
    }

    /// The longest prompt that can be computed, in tokens: learned positions end.
    pub fn longest_prompt(&self) -> usize {
        self.embedding.positions.as_ref().map_or(usize::MAX, |_| self.max_length)
    }

    /// Whether attention is disentangled from positions, and sees distances by itself.
    pub fn sees_distances(&self) -> bool {
        self.layers.iter().any(|layer| layer.attention.relative.is_some())
    }

    /// Whether prompts can share a beginning: a token's hidden vectors depend on nothing that follows it, and the pooled one is
    /// the prompt's own.
    pub fn shares_prefixes(&self) -> bool {
        let is_causal = |layer: &Layer| layer.attention.mask == Mask::Causal;
        self.pooling == Pooling::LastToken && self.layers.iter().all(is_causal)
    }

    /// Whether every token sees all of its prompt.
    pub fn looks_both_ways(&self) -> bool {
        self.layers.iter().all(|layer| layer.attention.mask == Mask::Bidirectional)
    }

    /// All tensors that are read. Those of the head and the embedding come first, then the layers.
    pub fn tensors(&self) -> Vec<&Tensor> {
        let mut tensors = Vec::new();
        match &self.head.output {
            HeadOutput::Vocabulary(tensor) | HeadOutput::Answers { rows: tensor, .. } => tensors.push(tensor),
            HeadOutput::Classifier(linear) => tensors.extend(linear.tensors()),
        }
        for step in &self.head.steps {
            match step {
                HeadStep::Dense(linear, _) => tensors.extend(linear.tensors()),
                HeadStep::Norm(norm) => tensors.extend(norm.tensors()),
            }
        }
        let Embedding { tokens, positions, token_types, norm, projection, .. } = &self.embedding;
        tensors.push(tokens);
        tensors.extend(positions.iter().map(|positions| &positions.table));
        tensors.extend(token_types);
        tensors.extend(projection.iter().flat_map(Linear::tensors));
        tensors.extend(norm.iter().chain(&self.final_norm).flat_map(Norm::tensors));
        // All layers read the same table.
        let relative = self.layers.iter().find_map(|layer| layer.attention.relative.as_ref());
        tensors.extend(relative.map(|relative| &relative.table));
        tensors.extend(relative.iter().flat_map(|relative| &relative.norm).flat_map(Norm::tensors));
        tensors.extend(self.layers.iter().flat_map(Layer::tensors));
        tensors
    }

    /// The prefix of the names of the head's tensors.
    pub fn head_prefix(&self) -> &str {
        let name = match &self.head.output {
            HeadOutput::Vocabulary(_) => "lm_head.",
            HeadOutput::Answers { rows, .. } => &rows.name,
            HeadOutput::Classifier(linear) => &linear.weight.name,
        };
        name.split_inclusive('.').next().unwrap_or(name)
    }
}

impl Layer {
    /// All linear layers but those of distances.
    pub fn linears(&self) -> impl Iterator<Item = &Linear> {
        let Attention { query, key, value, output, .. } = &self.attention;
        [query, key, value, output, self.mlp.down()].into_iter().chain(self.mlp.inner())
    }

    fn tensors(&self) -> impl Iterator<Item = &Tensor> {
        let Attention { query, key, value, output, query_key_norms, .. } = &self.attention;
        let attention = [query, key, value, output].into_iter().flat_map(Linear::tensors);
        let heads = query_key_norms.iter().flatten().flat_map(Norm::tensors);
        let mlp = self.mlp.inner().into_iter().chain([self.mlp.down()]).flat_map(Linear::tensors);
        let norm = self.attention_norm.iter().flat_map(Norm::tensors);
        // Layers whose positions are projected as their contents are have no other tensors for them.
        let relative = self.attention.relative.iter().flat_map(Relative::projections);
        let own = relative.filter(move |linear| *linear != query && *linear != key).flat_map(Linear::tensors);
        norm.chain(own).chain(attention).chain(heads).chain(self.mlp_norm.tensors()).chain(mlp)
    }
}
