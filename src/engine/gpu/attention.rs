//! Attention: what its kernels are given, in the memory layout of `attention.cuh`, and their launch.

use anyhow::Result;
use bytemuck::{Pod, Zeroable};

use super::device::{Address, Launch, Type, View};
use super::operations::{Gpu, ROWS, Rows, arguments, int};
use crate::model::{Heads, Mask};

/// Rows (queries times heads of a group) of a block.
const TILE: usize = 64;
/// Rows of each worker of a block of `attention_hopper.cu`, and its workers for early and for late queries.
const WORKER_ROWS: usize = 64;
const EARLY_WORKERS: usize = 3;
const LATE_WORKERS: usize = 2;
/// The position from which on that kernel is worth its larger tiles. On an H200 attention within chunks of 400 tokens took a fifth
/// less time with 1,024 than with 256, and documents of thousands of tokens took the same. It goes by positions and by nothing else, so that a query is
/// computed the same way in every batch.
pub(super) const LATE_FROM: usize = 1024;

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
    /// In layers with windows, wherever they stand.
    pub windowed: usize,
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
    /// Which keys they see.
    pub mask: Mask,
    /// The farthest that a key may stand from its query. Then all queries are in `tiles`.
    pub window: Option<usize>,
    /// What the products of queries and keys are multiplied by.
    pub scale: f64,
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
    window: i32,
}

/// A window that no prompt is longer than.
const NO_WINDOW: i32 = 1 << 30;

/// The kernels that there are for attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AttentionKernel {
    /// `attention_plain.cu`: all types and heads.
    Plain,
    /// `attention.cu`: 16 bits, heads of 32, 64 or 128 features.
    Tensor,
    /// The same in windows.
    Windows,
    /// `attention_hopper.cu`, early queries: 16 bits, heads of 64 or 128 features, on the cards of one generation.
    HopperEarly,
    /// Late queries, with more keys at a time.
    HopperLate,
}

impl AttentionKernel {
    /// Whether it has a block for each processor, which goes on until there is no more to do.
    pub(super) fn goes_on(self) -> bool {
        workers(self).is_some()
    }
}

/// Kernels for early queries, the fastest first. Late ones have one, or are taken as early ones.
const EARLY: [AttentionKernel; 2] = [AttentionKernel::HopperEarly, AttentionKernel::Tensor];

impl Gpu {
    /// How queries are handed out.
    pub fn tiling(&self, heads: Heads) -> Tiling {
        let has_late = self.has(AttentionKernel::HopperLate, heads);
        Tiling {
            early: queries(self.early(heads), heads),
            windowed: queries(AttentionKernel::Windows, heads),
            position: if has_late { self.late_from } else { usize::MAX },
            late: queries(AttentionKernel::HopperLate, heads),
        }
    }

    /// The fastest kernel for early queries that may run.
    fn early(&self, heads: Heads) -> AttentionKernel {
        let found = EARLY.into_iter().find(|kernel| self.has(*kernel, heads));
        found.unwrap_or(AttentionKernel::Plain)
    }

    /// Whether attention for such heads can run, and may, on a kernel.
    pub(super) fn has(&self, kernel: AttentionKernel, heads: Heads) -> bool {
        let features: &[usize] = match kernel {
            AttentionKernel::Plain => return true,
            AttentionKernel::Tensor | AttentionKernel::Windows => &[32, 64, 128],
            AttentionKernel::HopperEarly | AttentionKernel::HopperLate => &[64, 128],
        };
        let fits = self.value() != Type::F32 && features.contains(&heads.head_dim) && heads.group() <= TILE;
        fits && !self.wrong.contains(&kernel) && self.device().has(&self.kernel(kernel, heads))
    }

    fn kernel(&self, kernel: AttentionKernel, heads: Heads) -> String {
        let value = self.value().name();
        let name = match kernel {
            AttentionKernel::Plain => return format!("attend_plain_{value}"),
            AttentionKernel::Tensor => "attend",
            AttentionKernel::Windows => "attend_windows",
            AttentionKernel::HopperEarly => "attend_hopper_early",
            AttentionKernel::HopperLate => "attend_hopper_late",
        };
        format!("{name}_{value}_{}", heads.head_dim)
    }

    /// `results = softmax(queries · keysᵀ · scale) · values`
    ///
    /// # Errors
    /// If the device fails.
    ///
    /// # Safety
    /// The tiles in the device's memory name rows and ranges that are there, and the ranges name rows of keys and values.
    pub unsafe fn attend(&self, attending: &Attending<'_>, heads: Heads) -> Result<()> {
        if attending.window.is_some() {
            assert!(attending.late_tiles.bytes() == 0, "queries in windows are not divided into early and late ones");
            let fast = self.has(AttentionKernel::Windows, heads);
            let kernel = if fast { AttentionKernel::Windows } else { AttentionKernel::Plain };
            // SAFETY: as the caller's.
            return unsafe { self.attend_by(kernel, attending, attending.tiles, heads) };
        }
        // The longer work first.
        if attending.late_tiles.bytes() > 0 {
            // SAFETY: as the caller's.
            unsafe { self.attend_by(AttentionKernel::HopperLate, attending, attending.late_tiles, heads)? };
        }
        // SAFETY: as the caller's.
        unsafe { self.attend_by(self.early(heads), attending, attending.tiles, heads) }
    }

    /// The same for these tiles, whatever kernel would be chosen.
    ///
    /// # Safety
    /// As [`Gpu::attend`].
    pub(super) unsafe fn attend_by(
        &self,
        kernel: AttentionKernel,
        attending: &Attending<'_>,
        tiles: View<'_>,
        heads: Heads,
    ) -> Result<()> {
        let Heads { query, key, head_dim } = heads;
        let size = self.value().size();
        assert!(attending.keys.width == attending.values.width);
        assert!(head_dim <= 256, "such heads are refused before weights are read");
        let raw = RawAttending {
            queries: attending.queries.address(size, query * head_dim),
            keys: attending.keys.address(size, key * head_dim),
            values: attending.values.address(size, key * head_dim),
            results: attending.results.address(size, query * head_dim),
            tiles: tiles.address(),
            ranges: attending.ranges.address(),
            query_width: int(attending.queries.width)?,
            key_width: int(attending.keys.width)?,
            result_width: int(attending.results.width)?,
            group: int(heads.group())?,
            group_reciprocal: int((1usize << 16).div_ceil(heads.group()))?,
            causal: i32::from(attending.mask == Mask::Causal),
            // In this form it is the same number for 1 / √head_dim as by f32's root.
            scale: std::f32::consts::LOG2_E / (1. / attending.scale) as f32,
            window: match attending.window {
                Some(window) => int(window)?.min(NO_WINDOW),
                None => NO_WINDOW,
            },
        };
        let count = tiles.bytes() / size_of::<QueryTile>();
        let pieces = [int(count)?, int(key)?];
        let features = int(head_dim)?;
        let workers = workers(kernel);
        let launch = match workers {
            Some(workers) => hopper_launch(workers, head_dim, (count * key).min(self.device().processors()))?,
            None => launch(kernel, pieces.map(i32::cast_unsigned), head_dim),
        };
        // SAFETY: the memory was checked; tiles and ranges name rows that are there by the caller's word. Kernels for
        // one number of features don't look at a second argument, unless it is what they have to do.
        unsafe {
            let name = self.kernel(kernel, heads);
            match workers {
                Some(_) => self.device().launch(&name, launch, arguments!(raw, pieces)),
                None => self.device().launch(&name, launch, arguments!(raw, features)),
            }
        }
    }
}

/// Queries that a block takes.
pub(super) fn queries(kernel: AttentionKernel, heads: Heads) -> usize {
    let rows = workers(kernel).map_or(TILE, |workers| workers * WORKER_ROWS);
    (rows / heads.group()).max(1)
}

/// Workers of a block of Hopper's kernels; None for others.
fn workers(kernel: AttentionKernel) -> Option<usize> {
    match kernel {
        AttentionKernel::HopperEarly => Some(EARLY_WORKERS),
        AttentionKernel::HopperLate => Some(LATE_WORKERS),
        _ => None,
    }
}

/// Blocks that go through all pieces of work, in memory as `Room` of `attention_hopper.cu` has it.
fn hopper_launch(workers: usize, head_dim: usize, blocks: usize) -> Result<Launch> {
    const SIZE: usize = 2;
    const ROOMS: usize = 2;
    /// What aligns tiles to 1,024 bytes.
    const ALIGNING: usize = 1024;
    let (keys, stages) = if workers == EARLY_WORKERS { (64, 6) } else { (128, 4) };
    let threads = (workers + 1) * 128;
    let tiles = (ROOMS * workers * WORKER_ROWS + stages * keys) * head_dim * SIZE;
    let barriers = 2 * stages + ROOMS;
    let shared = ALIGNING + tiles + 4 * threads + ROOMS * size_of::<QueryTile>() + 8 * barriers;
    let [blocks, threads, shared] = [blocks, threads, shared].map(|count| int(count).map(i32::cast_unsigned));
    Ok(Launch { grid: [blocks?, 1], block: [threads?, 1], shared: shared? })
}

fn launch(kernel: AttentionKernel, grid: [u32; 2], head_dim: usize) -> Launch {
    /// Bytes of an activation; other types have the plain kernel.
    const SIZE: usize = 2;
    match kernel {
        AttentionKernel::Plain => Launch { grid, block: [32, ROWS], shared: 0 },
        // Two tiles of keys and two of values.
        _ => Launch { grid, block: [128, 1], shared: (4 * TILE * head_dim * SIZE) as u32 },
    }
}
