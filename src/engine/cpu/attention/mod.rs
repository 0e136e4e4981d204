//! Streaming attention over packed, prefix-continuing segments with grouped heads.
//!
//! 32 columns at a time (a column is a token's query head; those that share a key head stand together) go through the keys
//! of their span in chunks of 256 consecutive positions: a product gives the scores, the running softmax turns them into
//! weights, a second product gives the chunk's weighted values, which are added to the columns' sums. Several times 32 columns
//! take their turn at a chunk while its keys and values are in the cache.
//!
//! ```text
//! keys 256 × head_dim  ·  queries head_dim × 32  =  scores 256 × 32
//! values head_dim × 256  ·  weights 256 × 32     =  products head_dim × 32
//! ```
//!
//! Each chunk is summed from zero, weights and weighted values alike: added key after key to the sums of tens of thousands,
//! the small weights would lose their digits, and an f32 result its fourth decimal.
//!
//! Blocks of keys begin at positions that are multiples of 32, in whatever segment they are, and a block in which a segment
//! continues another is put together from both. So a query's sums go the same way, to the bit, whether its prompt's beginning
//! stands in a segment of its own or not. Blocks that no column sees are skipped; weights of keys that a column does not see
//! are zero and change nothing.

mod columns;
pub(crate) mod key_values;
mod merge;
pub(crate) mod softmax;

use std::borrow::Cow;
use std::ops::Range;

use crate::engine::cpu::attention::columns::{Columns, Visible};
use crate::engine::cpu::attention::key_values::KeyValues;
use crate::engine::cpu::attention::merge::merge;
use crate::engine::cpu::attention::softmax::{Lanes, Softmax, WeightForm};
use crate::engine::cpu::gemm::microkernel::{BLOCK, Format, Kernel, Run, SIDE, WORDS};
use crate::engine::cpu::gemm::operand::Operand;
use crate::engine::cpu::gemm::panels::{PANEL, Panels};
use crate::engine::cpu::gemm::transpose::{Square, transpose};
use crate::engine::cpu::level::for_each_level;
use crate::engine::cpu::memory::Buffer;
use crate::engine::cpu::rounding::bf16_bits;
use crate::engine::cpu::rows::math::{multiply_add, row_by_row};

pub use self::columns::Sight;

/// Blocks of keys that are looked at together.
const CHUNK: usize = 8;
/// Times 32 columns that look at a chunk of keys one after the other, while it is in the cache.
const TOGETHER: usize = 8;

/// Where the keys of 32 consecutive positions are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyBlock {
    /// A block of [`KeyValues`].
    Whole(usize),
    /// Parts of several blocks: the places that each has. What nobody has is behind the span's last position.
    Parts(Vec<(usize, Range<usize>)>),
}

/// Consecutive queries that look at the same keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span<'a> {
    /// Rows of the queries in their tile.
    pub rows: Range<usize>,
    /// The position of the first query.
    pub position: usize,
    /// Positions of keys, counted from 0.
    pub length: usize,
    /// The keys of those positions.
    pub keys: Cow<'a, [KeyBlock]>,
}

/// Where the results of attention go.
pub enum Attended<'a, 'b> {
    /// To be multiplied as they are. Heads have multiples of 16 features then.
    Operand(&'a mut Operand),
    /// To be packed later.
    Panels(&'a mut Panels<'b>),
}

/// Attention of one tile's queries.
pub struct Attention {
    kernel: Kernel,
    sight: Sight,
    scratch: Scratch,
    /// Blocks that were put together: for each, its keys and its values.
    merged: Buffer<u32>,
}

/// Memory that every 32 columns use again.
#[derive(Default)]
struct Scratch {
    queries: Buffer<u32>,
    scores: Buffer<f32>,
    weights: Buffer<u32>,
    /// A chunk's weighted values of 32 features.
    products: Buffer<f32>,
    sums: Buffer<f32>,
}

/// What 32 columns look at.
#[derive(Clone, Copy)]
struct Look<'a> {
    span: &'a Span<'a>,
    key_head: usize,
    stores: &'a KeyValues,
    /// Blocks that were put together, in the order of the span.
    merged: &'a [u32],
}

impl Attention {
    /// For keys and values like these.
    pub fn new(stores: &KeyValues, sight: Sight) -> Self {
        let form = stores.form();
        let kernel = Kernel::new(form.level, form.format);
        Self { kernel, sight, scratch: Scratch::default(), merged: Buffer::default() }
    }

    /// Changes which keys queries see from now on.
    pub fn set_sight(&mut self, sight: Sight) {
        self.sight = sight;
    }

    /// `softmax(q · kᵀ · scale) · v` for the query heads of one key head.
    ///
    /// `queries` are the panels of those heads, one head after the other; `results` have all heads' features, without gaps
    /// between heads.
    pub fn forward(
        &mut self,
        queries: &Panels<'_>,
        spans: &[Span<'_>],
        key_head: usize,
        stores: &KeyValues,
        results: &mut Attended<'_, '_>,
    ) {
        self.kernel.prepare();
        let (heads, form) = (stores.heads(), stores.form());
        self.scratch.queries.reserve(TOGETHER * form.steps * BLOCK);
        self.scratch.scores.reserve(CHUNK * SIDE * SIDE);
        self.scratch.weights.reserve(CHUNK * stores.value_words());
        self.scratch.products.reserve(SIDE * SIDE);
        self.scratch.sums.reserve(TOGETHER * heads.panels() * SIDE * SIDE);
        for span in spans {
            merge(span, key_head, stores, &mut self.merged);
            let look = Look { span, key_head, stores, merged: &self.merged };
            let columns = span.rows.len() * heads.group();
            let (queries_size, sums_size) = (form.steps * BLOCK, heads.panels() * SIDE * SIDE);
            for first in (0..columns).step_by(SIDE * TOGETHER) {
                let end = columns.min(first + SIDE * TOGETHER);
                let blocks: Vec<Columns> = (first..end)
                    .step_by(SIDE)
                    .map(|first| Columns::new(span, first..end.min(first + SIDE), heads.group()))
                    .collect();
                let scratch = &mut self.scratch;
                for (packed, columns) in scratch.queries.chunks_exact_mut(queries_size).zip(&blocks) {
                    take_queries(form.level, packed, queries, look, columns);
                }
                let visible = blocks.iter().map(|columns| columns.visible(self.sight, span)).collect();
                let factors = scratch.stream(&self.kernel, self.sight.scale, look, visible);
                for ((sums, factors), columns) in scratch.sums.chunks_exact(sums_size).zip(&factors).zip(&blocks) {
                    give_results(form.level, sums, factors, look, columns, results);
                }
            }
        }
    }
}

impl Scratch {
    /// Goes through the keys. Returns by what the sums of each 32 columns must be multiplied.
    fn stream(&mut self, kernel: &Kernel, scale: f64, look: Look<'_>, visible: Vec<Visible>) -> Vec<Lanes> {
        let form = look.stores.form();
        let (key_words, value_words) = (look.stores.key_words(), look.stores.value_words());
        let scale = (std::f64::consts::LOG2_E * scale) as f32;
        let sums_size = look.stores.heads().panels() * SIDE * SIDE;
        let ranges: Vec<Range<usize>> = visible.iter().map(Visible::blocks).collect();
        let begin = ranges.iter().map(|range| range.start).min().unwrap_or(0) / CHUNK * CHUNK;
        let end = ranges.iter().map(|range| range.end).max().unwrap_or(0);
        let mut states: Vec<Softmax> = visible.into_iter().map(|visible| Softmax::new(scale, visible)).collect();
        let weight_form = WeightForm { format: form.format, rounding: form.rounding };
        // A merged block's words stand where the blocks of parts before it end.
        let mut next_merged = look.merged.chunks_exact(key_words + look.stores.heads().panels() * value_words);
        let is_merged = |block: &&KeyBlock| matches!(block, KeyBlock::Parts(_));
        let passed = look.span.keys[..begin].iter().filter(is_merged).count();
        next_merged.by_ref().take(passed).for_each(drop);
        for first in (begin..end).step_by(CHUNK) {
            let chunk = &look.span.keys[first..end.min(first + CHUNK)];
            let sources: [Source<'_>; CHUNK] = std::array::from_fn(|index| match chunk.get(index) {
                None => Source::Whole(0),
                Some(KeyBlock::Whole(block)) => Source::Whole(*block),
                Some(KeyBlock::Parts(_)) => Source::Merged(next_merged.next().unwrap_or_default()),
            });
            for (index, (softmax, range)) in states.iter_mut().zip(&ranges).enumerate() {
                // Chunks begin at the same positions whatever the columns see, so that sums are grouped alike.
                let seen = range.start.max(first)..range.end.min(first + CHUNK);
                if seen.is_empty() {
                    continue;
                }
                let sources = &sources[seen.start - first..seen.end - first];
                let queries: &[u8] = bytemuck::cast_slice(&self.queries[index * key_words..][..key_words]);
                let (scores, _) = self.scores.as_chunks_mut::<{ SIDE * SIDE }>();
                for (source, scores) in sources.iter().zip(scores) {
                    let keys = match source {
                        Source::Whole(block) => look.stores.keys(look.key_head, *block),
                        Source::Merged(words) => &words[..key_words],
                    };
                    kernel.multiply(keys, queries, bytemuck::cast_slice_mut(scores), false, queries.as_ptr());
                }
                let (scores, weights) = (&mut self.scores[..sources.len() * SIDE * SIDE], &mut self.weights);
                let scores = scores.as_chunks_mut::<SIDE>().0;
                let factors = softmax::step(form.level, softmax, scores, seen.start * SIDE, weight_form, weights);
                let sums = index * sums_size..(index + 1) * sums_size;
                self.add_values(kernel, look, sources, (sums, (seen.start > range.start).then_some(factors)));
            }
        }
        states.iter().map(Softmax::finish).collect()
    }

    /// Adds a chunk's weighted values to the sums times their factors. Without factors, the sums begin with this chunk.
    fn add_values(
        &mut self,
        kernel: &Kernel,
        look: Look<'_>,
        sources: &[Source<'_>],
        (sums, factors): (Range<usize>, Option<Lanes>),
    ) {
        let (key_words, value_words) = (look.stores.key_words(), look.stores.value_words());
        let weights: &[u8] = bytemuck::cast_slice(&self.weights);
        for (part, sums) in self.sums[sums].as_chunks_mut::<{ SIDE * SIDE }>().0.iter_mut().enumerate() {
            let (mut runs, mut count, mut first) = ([Run::NONE; CHUNK], 0, 0);
            while first < sources.len() {
                // Blocks that stand side by side are one run.
                let (values, blocks) = match sources[first] {
                    Source::Whole(block) => {
                        let follows = |next: &usize| matches!(sources.get(first + next), Some(Source::Whole(other)) if *other == block + next);
                        let blocks = 1 + (1..CHUNK).take_while(follows).count();
                        (look.stores.values(look.key_head, part, block..block + blocks), blocks)
                    }
                    Source::Merged(words) => (&words[key_words + part * value_words..][..value_words], 1),
                };
                runs[count] = Run::new(values);
                (count, first) = (count + 1, first + blocks);
            }
            let weights = &weights[..sources.len() * value_words * 4];
            let products = &mut self.products[..SIDE * SIDE];
            let results = bytemuck::cast_slice_mut(if factors.is_some() { &mut *products } else { &mut *sums });
            // SAFETY: the runs are those of slices that outlive this call.
            unsafe { kernel.multiply_runs(&runs[..count], weights, results, false, weights.as_ptr()) };
            if let Some(factors) = &factors {
                add_products(look.stores.form().level, sums, products, factors);
            }
        }
    }
}

for_each_level! {
    /// Packs the columns' queries as the right operand.
    fn take_queries(packed: &mut [u32], queries: &Panels<'_>, look: Look<'_>, columns: &Columns) {
        let (heads, form) = (look.stores.heads(), look.stores.form());
        let panels = heads.panels();
        let panel_steps = form.format.steps(PANEL);
        for step in 0..form.steps {
            let panel = step / panel_steps;
            for half in 0..2 {
                let mut rows: Square = [[0; 16]; 16];
                for (lane, words) in rows.iter_mut().enumerate() {
                    let column = half * 16 + lane;
                    if column >= columns.count {
                        break;
                    }
                    row_by_row();
                    let values = &queries.panel(columns.heads[column] * panels + panel)[columns.rows[column]];
                    if form.format == Format::Bf16 {
                        let mut halves = [0u16; PANEL];
                        for (half, value) in halves.iter_mut().zip(values) {
                            *half = bf16_bits(*value);
                        }
                        *words = bytemuck::cast(halves);
                    } else {
                        let start = step % panel_steps * WORDS;
                        for (word, value) in words.iter_mut().zip(&values[start..]) {
                            *word = form.rounding.round(*value).to_bits();
                        }
                    }
                }
                let target = &mut packed[(step * 2 + half) * WORDS * WORDS..][..WORDS * WORDS];
                target.copy_from_slice(transpose(&rows, form.level).as_flattened());
            }
        }
    }
}

for_each_level! {
    /// The finished sums go to the columns' rows.
    fn give_results(sums: &[f32], factors: &Lanes, look: Look<'_>, columns: &Columns, results: &mut Attended<'_, '_>) {
        let (heads, level) = (look.stores.heads(), look.stores.form().level);
        let group = heads.group();
        for half_part in 0..heads.head_dim.div_ceil(16) {
            // 16 features of 32 columns.
            let sums = &sums.as_chunks::<SIDE>().0[half_part * 16..][..16];
            let feature = half_part * 16;
            let features = (heads.head_dim - feature).min(16);
            for half in 0..2 {
                let mut square: Square = [[0; 16]; 16];
                let factors = &factors.as_chunks::<16>().0[half];
                for (words, sums) in square.iter_mut().zip(sums) {
                    row_by_row();
                    *words = multiplied(&sums.as_chunks::<16>().0[half], factors);
                }
                let square = transpose(&square, level);
                for (lane, words) in square.iter().enumerate() {
                    let column = half * 16 + lane;
                    if column >= columns.count {
                        break;
                    }
                    row_by_row();
                    let row = columns.rows[column];
                    let start = (look.key_head * group + columns.heads[column]) * heads.head_dim + feature;
                    let values: [f32; 16] = bytemuck::cast(*words);
                    match results {
                        Attended::Operand(operand) => operand.put_sixteen(row, start, &values),
                        Attended::Panels(panels) => put(panels, row, start, &values[..features]),
                    }
                }
            }
        }
    }
}

/// Bits of 16 products.
#[inline(always)]
fn multiplied(values: &[f32; 16], factors: &[f32; 16]) -> [u32; 16] {
    let mut words = [0u32; 16];
    for ((word, value), factor) in words.iter_mut().zip(values).zip(factors) {
        *word = (value * factor).to_bits();
    }
    words
}

/// Puts a row's features from `start` on, wherever panels begin.
#[inline(always)]
fn put(results: &mut Panels<'_>, row: usize, start: usize, values: &[f32]) {
    if let (Some(sixteen), 0) = (values.first_chunk::<16>(), start % 16) {
        results.panel_mut(start / PANEL)[row].as_chunks_mut::<16>().0[start % PANEL / 16] = *sixteen;
        return;
    }
    for (index, value) in values.iter().enumerate() {
        let feature = start + index;
        results.panel_mut(feature / PANEL)[row][feature % PANEL] = *value;
    }
}

for_each_level! {
/// `sums · factors + products`
fn add_products(sums: &mut [f32], products: &[f32], factors: &Lanes) {
    for (sums, products) in sums.as_chunks_mut::<SIDE>().0.iter_mut().zip(products.as_chunks::<SIDE>().0) {
        row_by_row();
        for ((sum, product), factor) in sums.iter_mut().zip(products).zip(factors) {
            *sum = multiply_add::<FMA>(*sum, *factor, *product);
        }
    }
}
}

/// Where a block's words are.
#[derive(Clone, Copy)]
enum Source<'a> {
    Whole(usize),
    Merged(&'a [u32]),
}
