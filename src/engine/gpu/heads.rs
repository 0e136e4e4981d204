//! What is done to the heads of merged products before attention: see `heads.cu` and `rotate.cu`.

use anyhow::Result;

use super::device::{Address, Launch, Memory, Type, View};
use super::operations::{Gpu, Rows, arguments, by_row, int};
use crate::model::Heads;

/// Angles by position, and the positions.
#[derive(Clone, Copy)]
pub struct Angles<'a> {
    /// `(positions, head_dim / 2)`, f32.
    pub cosines: &'a Memory,
    /// `(positions, head_dim / 2)`, f32.
    pub sines: &'a Memory,
    /// Of each row, u32.
    pub positions: View<'a>,
}

/// What is done to queries and keys that have norms.
pub struct QkNormRope<'a> {
    /// RMSNorm's weight of query heads, f32.
    pub query_weight: &'a Memory,
    /// RMSNorm's weight of key heads, f32.
    pub key_weight: &'a Memory,
    /// How they turn.
    pub angles: Angles<'a>,
    /// RMSNorm's ε.
    pub epsilon: f32,
}

/// `QkNormRope` of `heads.cu`.
#[repr(C)]
struct RawQkNormRope {
    query_weight: Address,
    key_weight: Address,
    cosines: Address,
    sines: Address,
    positions: Address,
    tokens: i32,
    query_heads: i32,
    key_heads: i32,
    value_heads: i32,
    head_dim: i32,
    epsilon: f32,
}

/// `Rotation` of `rotate.cu`.
#[repr(C)]
struct RawRotation {
    bias: Address,
    cosines: Address,
    sines: Address,
    positions: Address,
    turned: i32,
    heads: i32,
    head_dim: i32,
}

impl Angles<'_> {
    fn check(&self, rows: usize) {
        let reach = self.positions.bytes() >= rows * 4;
        assert!(reach && self.sines.bytes() == self.cosines.bytes(), "angles do not fit the rows");
    }
}

impl Gpu {
    /// Normalizes and turns the query and key heads of merged products (queries, keys, values) in place; `queries` is how
    /// many of the heads are queries, `keys` keys, and the rest of a row are left alone.
    ///
    /// # Errors
    /// If the device fails.
    ///
    /// # Safety
    /// The tables of angles reach to all positions that stand in the device's memory.
    pub unsafe fn normalize_and_rotate(
        &self,
        products: Rows<'_>,
        heads: Heads,
        parts: [usize; 2],
        operation: &QkNormRope<'_>,
    ) -> Result<()> {
        let [query_heads, key_heads] = parts;
        let rest = products.width / heads.head_dim - query_heads - key_heads;
        let fits = heads.head_dim <= 256 && heads.head_dim.is_multiple_of(4);
        assert!(fits, "such heads are refused before weights are read");
        let QkNormRope { query_weight, key_weight, angles, epsilon } = operation;
        assert!(query_weight.bytes() >= heads.head_dim * 4 && key_weight.bytes() >= heads.head_dim * 4);
        angles.check(products.count);
        let raw = RawQkNormRope {
            query_weight: query_weight.address(),
            key_weight: key_weight.address(),
            cosines: angles.cosines.address(),
            sines: angles.sines.address(),
            positions: angles.positions.address(),
            tokens: int(products.count)?,
            query_heads: int(query_heads)?,
            key_heads: int(key_heads)?,
            value_heads: int(rest)?,
            head_dim: int(heads.head_dim)?,
            epsilon: *epsilon,
        };
        let rows = products.address(self.value().size(), products.width);
        // There are kernels for heads of published models.
        let fixed = self.value() != Type::F32 && [64, 128].contains(&heads.head_dim);
        let (kernel, launch) = if fixed {
            let kernel = format!("qk_norm_rope_{}_{}", self.value().name(), heads.head_dim);
            (kernel, Launch { grid: [raw.tokens.cast_unsigned(), 1], block: [128, 1], shared: 0 })
        } else {
            (format!("qk_norm_rope_{}", self.value().name()), by_row(products.count * (query_heads + key_heads))?)
        };
        // SAFETY: the memory was checked, and the tables reach to all positions by the caller's word.
        unsafe { self.device().launch(&kernel, launch, arguments!(rows, raw)) }
    }

    /// Turns the first `turned` heads of each row in place, and before that adds a bias, which all heads have: the memory and the
    /// column of it at which the rows' first head stands.
    ///
    /// # Errors
    /// If the device fails.
    ///
    /// # Safety
    /// As [`Gpu::normalize_and_rotate`].
    pub unsafe fn rotate(
        &self,
        products: Rows<'_>,
        (heads, turned): (Heads, usize),
        bias: Option<(&Memory, usize)>,
        angles: Angles<'_>,
    ) -> Result<()> {
        assert!(heads.head_dim.is_multiple_of(2), "such heads are refused before weights are read");
        angles.check(products.count);
        assert!(bias.is_none_or(|(memory, column)| memory.bytes() >= (column + products.width) * 4));
        let raw = RawRotation {
            bias: bias.map_or(0, |(memory, column)| memory.address() + (column * 4) as u64),
            cosines: angles.cosines.address(),
            sines: angles.sines.address(),
            positions: angles.positions.address(),
            turned: int(turned)?,
            heads: int(products.width / heads.head_dim)?,
            head_dim: int(heads.head_dim)?,
        };
        let rows = products.address(self.value().size(), products.width);
        let launch = Launch { grid: [int(products.count)?.cast_unsigned(), 1], block: [128, 1], shared: 0 };
        // SAFETY: the memory was checked, and the tables reach to all positions by the caller's word.
        unsafe { self.launch("rotate", launch, arguments!(rows, raw)) }
    }
}
