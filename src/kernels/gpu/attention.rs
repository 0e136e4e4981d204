//! Attention: what its kernels are given, in the memory layout of `attention.cuh`, and their launch.

use anyhow::{Result, ensure};
use bytemuck::{Pod, Zeroable};

use super::device::{Address, Launch, Type, View};
use super::operations::{Gpu, ROWS, Rows, arguments, int};
use crate::kernels::Heads;

/// Rows (queries times heads of a group) of a block.
const TILE: usize = 64;
/// The same of `attention_hopper.cu`, which has as many keys at a time.
const LATE_TILE: usize = 128;
/// The position from which on that kernel is worth its larger tiles. It goes by positions and by nothing else, so that a
/// query is computed the same way in every batch.
const LATE: usize = 256;

/// Consecutive positions of a prompt, at consecutive tokens.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct KeyRange {
    /// The first position.
    pub position: i32,
    /// Its token.
    pub token: i32,
    /// How many.
    pub length: i32,
}

/// Consecutive queries of one prompt. A prompt's ranges are in the order of positions, from 0 on, without gaps.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct QueryTile {
    /// Row of the queries and of the results.
    pub first_row: i32,
    /// How many.
    pub rows: i32,
    /// Position of the first query.
    pub position: i32,
    /// The prompt's first range.
    pub first_range: i32,
    /// How many.
    pub ranges: i32,
    /// Positions that the last query sees; the ranges reach as far.
    pub visible: i32,
}

/// How many queries of a prompt a block of attention takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tiling {
    /// Of those before a position.
    pub early: usize,
    /// That position; nothing comes behind it where all are taken alike.
    pub position: usize,
    /// Of those from there on, in tiles of their own.
    pub late: usize,
}

/// Who looks at what.
pub struct Attending<'a> {
    /// Rows of all query heads.
    pub queries: Rows<'a>,
    /// Rows of all key heads, by token.
    pub keys: Rows<'a>,
    /// Rows of all value heads, as far from one another as those of keys.
    pub values: Rows<'a>,
    /// Rows of all query heads.
    pub results: Rows<'a>,
    /// `QueryTile`s.
    pub tiles: View<'a>,
    /// Those of late queries, see [`Tiling`].
    pub late_tiles: View<'a>,
    /// `KeyRange`s.
    pub ranges: View<'a>,
    /// Whether queries see only keys up to their own position.
    pub causal: bool,
}

/// `Attending` of `attention.cuh`.
#[repr(C)]
struct RawAttending {
    queries: Address,
    keys: Address,
    values: Address,
    results: Address,
    tiles: Address,
    ranges: Address,
    query_width: i32,
    key_width: i32,
    result_width: i32,
    group: i32,
    group_reciprocal: i32,
    causal: i32,
    scale: f32,
}

impl Gpu {
    /// How queries are handed out.
    pub fn tiling(&self, heads: Heads) -> Tiling {
        let queries = |rows: usize| (rows / heads.group()).max(1);
        let late = self.is_fast(heads) && self.device().has(&self.kernel("attend_hopper", heads));
        Tiling { early: queries(TILE), position: if late { LATE } else { usize::MAX }, late: queries(LATE_TILE) }
    }

    /// Whether attention runs on the tensor cores.
    fn is_fast(&self, heads: Heads) -> bool {
        self.value() != Type::F32 && [64, 128].contains(&heads.head_dim) && heads.group() <= TILE
    }

    fn kernel(&self, name: &str, heads: Heads) -> String {
        format!("{name}_{}_{}", self.value().name(), heads.head_dim)
    }

    /// `results = softmax(queries · keysᵀ / √head_dim) · values`
    ///
    /// # Errors
    /// If the device fails.
    pub fn attend(&self, attending: &Attending<'_>, heads: Heads) -> Result<()> {
        let Heads { query, key, head_dim } = heads;
        let size = self.value().size();
        assert!(attending.keys.width == attending.values.width);
        ensure!(head_dim <= 256, "heads of {head_dim} features are not supported on a GPU");
        let raw = RawAttending {
            queries: attending.queries.address(size, query * head_dim),
            keys: attending.keys.address(size, key * head_dim),
            values: attending.values.address(size, key * head_dim),
            results: attending.results.address(size, query * head_dim),
            tiles: attending.tiles.address(),
            ranges: attending.ranges.address(),
            query_width: int(attending.queries.width)?,
            key_width: int(attending.keys.width)?,
            result_width: int(attending.results.width)?,
            group: int(heads.group())?,
            group_reciprocal: int((1usize << 16).div_ceil(heads.group()))?,
            causal: i32::from(attending.causal),
            scale: std::f32::consts::LOG2_E / (head_dim as f32).sqrt(),
        };
        // The longer work first.
        self.attend_late(attending, heads, RawAttending { tiles: attending.late_tiles.address(), ..raw })?;
        let grid = grid(attending.tiles, key)?;
        if self.is_fast(heads) {
            // Two tiles of keys and two of values.
            let shared = (4 * TILE * head_dim * size) as u32;
            let launch = Launch { grid, block: [128, 1], shared };
            // SAFETY: the memory was checked; that tiles and ranges name rows that are there is the layout's care.
            return unsafe { self.device().launch(&self.kernel("attend", heads), launch, arguments!(raw)) };
        }
        let head_dim = int(head_dim)?;
        // SAFETY: as above.
        unsafe { self.launch("attend_plain", Launch { grid, block: [32, ROWS], shared: 0 }, arguments!(raw, head_dim)) }
    }

    fn attend_late(&self, attending: &Attending<'_>, heads: Heads, raw: RawAttending) -> Result<()> {
        const THREADS: u32 = 256;
        if attending.late_tiles.bytes() == 0 {
            return Ok(());
        }
        let tile = LATE_TILE * heads.head_dim * self.value().size();
        // What aligns them, one of queries, two of keys and two of values, and a float of each thread.
        let shared = 1024 + 5 * tile as u32 + 4 * THREADS;
        let launch = Launch { grid: grid(attending.late_tiles, heads.key)?, block: [THREADS, 1], shared };
        // SAFETY: as in `attend`.
        unsafe { self.device().launch(&self.kernel("attend_hopper", heads), launch, arguments!(raw)) }
    }
}

/// A block for each tile and key head.
fn grid(tiles: View<'_>, key_heads: usize) -> Result<[u32; 2]> {
    let count = tiles.bytes() / size_of::<QueryTile>();
    Ok([int(count)?.cast_unsigned(), int(key_heads)?.cast_unsigned()])
}
