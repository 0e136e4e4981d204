//! Operations on the residual stream, which is f32 whatever the type of activations: `norm.cu`, `normalize.cu`, `bias.cu` and
//! `pooling.cu`.

use anyhow::Result;

use super::device::{Address, Launch, Memory, Type, View};
use super::operations::{Gpu, Rows, Weight, arguments, by_row, int};
use crate::model::NormKind;

/// The tables that a token's vector is the sum of.
pub struct Tables<'a> {
    /// A row for each token, and the ids.
    pub tokens: (&'a Weight, View<'a>),
    /// What that row is multiplied by.
    pub scale: f32,
    /// A row for each position, the positions, and the row of the first.
    pub positions: Option<(&'a Weight, View<'a>, usize)>,
    /// A row for each token type, and the types.
    pub types: Option<(&'a Weight, View<'a>)>,
}

/// `Embedding` of `norm.cu`.
#[repr(C)]
struct RawEmbedding {
    token_ids: Address,
    tokens: Address,
    positions: Address,
    position_rows: Address,
    token_types: Address,
    type_rows: Address,
    first: i32,
    count: i32,
    features: i32,
    scale: f32,
}

/// A norm's values.
pub struct GpuNorm {
    /// The kind.
    pub kind: NormKind,
    /// f32.
    pub weight: Memory,
    /// f32.
    pub bias: Option<Memory>,
    /// ε.
    pub epsilon: f32,
}

/// `Normalization` of `normalize.cu`.
#[repr(C)]
struct RawNormalization {
    hidden: Address,
    added: Address,
    weight: Address,
    bias: Address,
    normed: Address,
    rows: i32,
    features: i32,
    epsilon: f32,
    centered: i32,
    replaces: i32,
}

/// Threads of a block of kernels that have a block for each row.
const THREADS: u32 = 128;

/// Blocks for each of `rows` rows of so many units.
pub(super) fn by_units(rows: usize, units: usize) -> Result<Launch> {
    let grid = [int(rows)?.cast_unsigned(), int(units)?.cast_unsigned().div_ceil(THREADS)];
    Ok(Launch { grid, block: [THREADS, 1], shared: 0 })
}

impl Gpu {
    /// `hidden (tokens, features; f32)` becomes sums of the tables' rows.
    ///
    /// # Errors
    /// If the device fails.
    ///
    /// # Safety
    /// Ids, positions and types in the device's memory name rows of their tables.
    pub unsafe fn embed(&self, tables: &Tables<'_>, hidden: Rows<'_>) -> Result<()> {
        let (tokens, ids) = tables.tokens;
        let features = tokens.inputs;
        let fits = |table: &Weight, indices: View<'_>| table.inputs == features && indices.bytes() >= hidden.count * 4;
        assert!(fits(tokens, ids) && hidden.width == features);
        assert!(tables.positions.is_none_or(|(table, positions, _)| fits(table, positions)));
        assert!(tables.types.is_none_or(|(table, types)| fits(table, types)));
        let raw = RawEmbedding {
            token_ids: ids.address(),
            tokens: tokens.memory.address(),
            positions: tables.positions.map_or(0, |(_, positions, _)| positions.address()),
            position_rows: tables.positions.map_or(0, |(table, ..)| table.memory.address()),
            token_types: tables.types.map_or(0, |(_, types)| types.address()),
            type_rows: tables.types.map_or(0, |(table, _)| table.memory.address()),
            first: int(tables.positions.map_or(0, |(.., first)| first))?,
            count: int(hidden.count)?,
            features: int(features)?,
            scale: tables.scale,
        };
        let rows = hidden.address(4, features);
        // SAFETY: the memory was checked, and no id, position or type is beyond its table by the caller's word.
        unsafe { self.launch("embed", by_row(hidden.count)?, arguments!(raw, rows)) }
    }

    /// `normed = norm(hidden + added)`, and in place of `hidden` too if the norm `replaces` it. Without a norm, rows are only
    /// copied.
    ///
    /// # Errors
    /// If the device fails.
    pub fn normalize(
        &self,
        hidden: Rows<'_>,
        norm: Option<&GpuNorm>,
        added: Option<&Memory>,
        (normed, replaces): (Option<Rows<'_>>, bool),
    ) -> Result<()> {
        let features = hidden.width;
        let vectors = [added, norm.map(|norm| &norm.weight), norm.and_then(|norm| norm.bias.as_ref())];
        assert!(vectors.iter().flatten().all(|vector| vector.bytes() >= features * 4));
        assert!(normed.is_none_or(|normed| normed.width == features && normed.count >= hidden.count));
        let [added, weight, bias] = vectors.map(|vector| vector.map_or(0, Memory::address));
        let raw = RawNormalization {
            hidden: hidden.address(4, features),
            added,
            weight,
            bias,
            normed: normed.map_or(0, |normed| normed.address(self.value().size(), features)),
            rows: int(hidden.count)?,
            features: int(features)?,
            epsilon: norm.map_or(0., |norm| norm.epsilon),
            centered: i32::from(norm.is_some_and(|norm| norm.kind == NormKind::Layer)),
            replaces: i32::from(replaces),
        };
        // SAFETY: the memory was checked.
        unsafe { self.launch("normalize", by_row(hidden.count)?, arguments!(raw)) }
    }

    /// `hidden += bias`; both are f32.
    ///
    /// # Errors
    /// If the device fails.
    pub fn add_to_hidden(&self, hidden: Rows<'_>, bias: &Memory) -> Result<()> {
        self.with_value(Type::F32).add_bias(hidden, (bias, 0), hidden.width)
    }

    /// Adds a bias (f32), from a column on, to the first features of each row of activations.
    ///
    /// # Errors
    /// If the device fails.
    pub fn add_bias(&self, rows: Rows<'_>, (bias, column): (&Memory, usize), features: usize) -> Result<()> {
        assert!(bias.bytes() >= (column + features) * 4 && rows.width >= features);
        let values = bias.address() + (column * 4) as u64;
        let place = rows.address(self.value().size(), features);
        let (width, count) = (int(rows.width)?, int(features)?);
        let launch = by_units(rows.count, features.div_ceil(4))?;
        // SAFETY: the memory was checked.
        unsafe { self.launch("add_bias", launch, arguments!(place, values, width, count)) }
    }

    /// Every row of `hidden` becomes the bias, or zeros; both are f32.
    ///
    /// # Errors
    /// If the device fails.
    pub fn fill(&self, hidden: Rows<'_>, bias: Option<&Memory>) -> Result<()> {
        let features = hidden.width;
        assert!(bias.is_none_or(|bias| bias.bytes() >= features * 4));
        let (to, values) = (hidden.address(4, features), bias.map_or(0, Memory::address));
        let (rows, width) = (int(hidden.count)?, int(features)?);
        let launch = by_row(hidden.count)?;
        // SAFETY: the memory was checked.
        unsafe { self.device().launch("fill_rows", launch, arguments!(to, values, rows, width)) }
    }

    /// `pooled` becomes the means of some of `hidden`'s rows: for each, where they begin and how many they are. Both are f32.
    ///
    /// # Errors
    /// If the device fails.
    ///
    /// # Safety
    /// The numbers in the device's memory name rows that are there.
    pub unsafe fn mean(&self, hidden: Rows<'_>, [firsts, lengths]: [View<'_>; 2], pooled: Rows<'_>) -> Result<()> {
        let features = hidden.width;
        assert!(firsts.bytes() >= pooled.count * 4 && lengths.bytes() >= pooled.count * 4 && pooled.width == features);
        let (from, to) = (hidden.address(4, features), pooled.address(4, features));
        let (firsts, lengths, width) = (firsts.address(), lengths.address(), int(features)?);
        let launch = by_units(pooled.count, features)?;
        // SAFETY: the memory was checked, and the rows are there by the caller's word.
        unsafe { self.device().launch("mean_rows", launch, arguments!(from, firsts, lengths, to, width)) }
    }

    /// `logits = vectors · head + bias`; all are f32.
    ///
    /// # Errors
    /// If the device fails.
    pub fn dot(&self, vectors: Rows<'_>, (head, bias): (&Memory, f32), logits: &Memory) -> Result<()> {
        let features = vectors.width;
        assert!(head.bytes() >= features * 4 && logits.bytes() >= vectors.count * 4);
        let (from, row, to) = (vectors.address(4, features), head.address(), logits.address());
        let (rows, width) = (int(vectors.count)?, int(features)?);
        let arguments = arguments!(from, row, bias, to, rows, width);
        // SAFETY: the memory was checked.
        unsafe { self.device().launch("dot_rows", by_row(vectors.count)?, arguments) }
    }
}
