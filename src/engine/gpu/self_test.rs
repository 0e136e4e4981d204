//! The self-test of a card: its fast kernels for attention must compute what the plain one does. They use instructions that only some cards
//! have, and that compilers and drivers have got wrong before; a wrong score is worse than a slow one.

use anyhow::Result;

use super::attention::{Attending, AttentionKernel, KeyRange, QueryTile, queries};
use super::device::{Memory, Type};
use super::operations::{Gpu, Rows};
use crate::model::{Heads, Mask};

/// The ranges of the self-test's prompt: three begin in one tile of keys, and the last goes on for so many that every half of the
/// shared memory is used twice.
const RANGES: [KeyRange; 3] = [
    KeyRange { position: 0, token: 0, length: 30 },
    KeyRange { position: 30, token: 40, length: 60 },
    KeyRange { position: 90, token: 110, length: 310 },
];
/// Its queries, as range, first of its positions, and how many: early ones, and some that see all ranges.
const QUERIES: [(usize, i32, i32); 4] = [(0, 0, 30), (1, 0, 60), (2, 0, 10), (2, 240, 70)];
/// Rows of the memory, of which some belong to no prompt.
const ROWS: usize = 430;
/// The window of the kernel that has windows: some of a tile's queries see keys that others do not.
const WINDOW: usize = 70;
/// Key heads: not all stand at the beginning of a row.
const KEY_HEADS: usize = 2;

/// What values between -1 and 1 may differ by, weighed in 16 bits: three times what was computed for kernels that are right.
fn tolerance(value: Type) -> f32 {
    if value == Type::Bf16 { 0.012 } else { 0.002 }
}

/// A prompt in 16 bits: for others there are no fast kernels.
struct SelfTest {
    heads: Heads,
    /// Queries, keys and values of a token in a row.
    products: Memory,
    ranges: Memory,
}

impl Gpu {
    /// Tests the attention kernels that the device has for these heads, those for windows if there are any. A kernel that is wrong is not used any more; the
    /// warnings that are returned name it.
    ///
    /// # Errors
    /// If the device fails.
    pub fn self_test(&mut self, heads: Heads, windows: bool) -> Result<Vec<String>> {
        let heads = Heads { query: KEY_HEADS * heads.group(), key: KEY_HEADS, ..heads };
        let mut warnings = Vec::new();
        let fast = [
            AttentionKernel::Tensor,
            AttentionKernel::Windows,
            AttentionKernel::HopperEarly,
            AttentionKernel::HopperLate,
        ];
        if fast.iter().all(|kernel| !self.has(*kernel, heads)) {
            return Ok(warnings);
        }
        let test = SelfTest::new(self, heads)?;
        let whole = test.run(self, AttentionKernel::Plain, None)?;
        let in_windows = if windows { test.run(self, AttentionKernel::Plain, Some(WINDOW))? } else { Vec::new() };
        for kernel in fast {
            let is_windowed = kernel == AttentionKernel::Windows;
            if !self.has(kernel, heads) || is_windowed && !windows {
                continue;
            }
            let (window, expected) = if is_windowed { (Some(WINDOW), &in_windows) } else { (None, &whole) };
            let results = test.run(self, kernel, window)?;
            let deviations = results.iter().zip(expected).map(|(one, other)| (one - other).abs());
            // What is not a number is the largest in this order.
            let deviation = deviations.max_by(f32::total_cmp).unwrap_or(f32::NAN);
            if deviation.is_nan() || deviation > tolerance(self.value()) {
                self.wrong.push(kernel);
                warnings.push(format!(
                    "attention's kernel {kernel:?} is off by {deviation} on this GPU and is not used, which is slower; please \
                     report it"
                ));
            }
        }
        Ok(warnings)
    }
}

impl SelfTest {
    fn new(gpu: &Gpu, heads: Heads) -> Result<Self> {
        let mut random = crate::random::Random(0x5eed);
        let mut value = || random.below(1 << 16) as f32 / (1 << 15) as f32 - 1.;
        let width = (heads.query + 2 * heads.key) * heads.head_dim;
        let values = (0..ROWS * width).map(|index| {
            let column = index % width;
            // Few keys count for a query: a key too many or too few is seen.
            if column < heads.query * heads.head_dim { 8. * value() } else { value() }
        });
        let products = gpu.narrowed(&values.collect::<Vec<f32>>())?;
        let mut ranges = gpu.memory(size_of_val(&RANGES))?;
        ranges.upload(bytemuck::cast_slice(&RANGES))?;
        Ok(Self { heads, products, ranges })
    }

    /// Results of all queries.
    fn run(&self, gpu: &Gpu, kernel: AttentionKernel, window: Option<usize>) -> Result<Vec<f32>> {
        let Heads { query, key, head_dim } = self.heads;
        let width = query * head_dim;
        // So often that each block of kernels that go on and on gets several: all of them give the same results.
        let tiles = tiles(queries(kernel, self.heads));
        let times =
            if kernel.goes_on() { (4 * gpu.device().processors()).div_ceil(KEY_HEADS * tiles.len()) } else { 1 };
        let tiles = tiles.repeat(times);
        let mut tile_memory = gpu.memory(size_of_val(&tiles[..]))?;
        tile_memory.upload(bytemuck::cast_slice(&tiles))?;
        // Not numbers, so that what is not written is seen.
        let memory = gpu.narrowed(&vec![f32::NAN; ROWS * width])?;
        let queries = Rows::new(&self.products, ROWS, width + 2 * key * head_dim);
        let keys = queries.from_column(width);
        let tiles = tile_memory.view(0..tile_memory.bytes());
        let attending = Attending {
            queries,
            keys,
            values: keys.from_column(key * head_dim),
            results: Rows::new(&memory, ROWS, width),
            tiles,
            late_tiles: tiles,
            ranges: self.ranges.view(0..self.ranges.bytes()),
            mask: Mask::Causal,
            window,
            scale: self.heads.usual_scale(),
        };
        // SAFETY: the tiles and ranges are those of the rows that were made above.
        unsafe { gpu.attend_by(kernel, &attending, tiles, self.heads)? };
        let results = gpu.widened(&memory)?;
        let rows = |&(range, start, count): &(usize, i32, i32)| {
            &results[(RANGES[range].token + start) as usize * width..][..count as usize * width]
        };
        Ok(QUERIES.iter().flat_map(rows).copied().collect())
    }
}

/// All queries, so many to a tile.
fn tiles(queries: usize) -> Vec<QueryTile> {
    let tiles = |&(range, start, count): &(usize, i32, i32)| -> Vec<QueryTile> {
        let end = start + count;
        let tile = |start: i32| {
            let rows = (end - start).min(queries as i32);
            let position = RANGES[range].position + start;
            QueryTile {
                first_row: RANGES[range].token + start,
                rows,
                position,
                first_range: 0,
                ranges: range as i32 + 1,
                visible: position + rows,
            }
        };
        (start..end).step_by(queries).map(tile).collect()
    };
    QUERIES.iter().flat_map(tiles).collect()
}
