// Streaming attention on the tensor cores (as FlashAttention-2: Dao, 2023), over packed prompts whose keys stand in several
// places: those of a shared beginning are read where they are.
//
// A block of four warps has 64 rows: the query heads of one key head, of as many consecutive tokens as fit. It goes through
// the keys 64 at a time; while one tile of keys and values is multiplied, the next is on its way to shared memory:
//
//   scores (64 x 64)      = queries (64 x D) * keys^T        a warp has 16 of the rows
//   sums   (64 x D)      += weights (64 x 64) * values       weights go from sums to operands without leaving registers
//
// Shared memory, rows of D values in pieces of 16 bytes; piece p of row r stands at p ^ (r % 8), or at p ^ (r / 2 % 4) where a row
// has but four, so that eight rows' pieces lie in different banks:
//
//   [keys 64 x D][keys 64 x D][values 64 x D][values 64 x D]
//
// Where queries see no farther than a window, it goes through those tiles of keys alone that some of its queries see.
#include "softmax.cuh"

constexpr int TILE = 64;
constexpr int WARPS = 4;
constexpr int PIECE = 8;
// Blocks that a multiprocessor has at a time, where its shared memory has room for them; bounds the registers.
constexpr int BLOCKS = 3;

template <typename T, int D>
__device__ inline T* place(T* tile, int row, int piece) {
    int shift = D / PIECE >= 8 ? row % 8 : row / 2 % 4;
    return tile + row * D + ((piece ^ shift) * PIECE);
}

// Sets out tiles of keys and values, of positions from `first` on; what no query sees becomes zeros.
template <typename T, int D>
struct Fetch {
    static constexpr int PIECES = D / PIECE;
    // Rows from one of a thread's pieces to its next: a multiple of 8, so that all stand at the same place of their rows.
    static constexpr int STRIDE = WARPS * 32 / PIECES;
    static_assert(STRIDE % 8 == 0 && TILE % STRIDE == 0);

    const T* keys;
    const T* values;
    int width;
    Tokens tokens;
    int row = threadIdx.x / PIECES;

    __device__ Fetch(const Attending<T>& attending, const QueryTile& tile, int key_head)
        : width(attending.key_width), tokens(attending.ranges, tile) {
        int column = key_head * D + threadIdx.x % PIECES * PIECE;
        keys = attending.keys + column;
        values = attending.values + column;
    }

    __device__ void operator()(T* tile_keys, T* tile_values, int first) {
        tokens.move(first, TILE);
        int start = static_cast<int>(place<T, D>(tile_keys, row, threadIdx.x % PIECES) - tile_keys);
#pragma unroll
        for (int pass = 0; pass < TILE / STRIDE; pass++) {
            int position = first + row + pass * STRIDE;
            bool present = position < tokens.visible;
            size_t offset = static_cast<size_t>(tokens.at(min(position, tokens.visible - 1))) * width;
            copy_async(tile_keys + start + pass * STRIDE * D, keys + offset, present);
            copy_async(tile_values + start + pass * STRIDE * D, values + offset, present);
        }
        commit_copies();
    }
};

template <typename T, int D, bool WINDOWED>
__device__ void attend(const Attending<T>& attending) {
    DYNAMIC_SHARED(shared);
    T* keys = reinterpret_cast<T*>(shared);
    T* values = keys + 2 * TILE * D;
    const QueryTile whole = attending.tiles[blockIdx.x], tile = WINDOWED ? within_window(attending, whole) : whole;
    int key_head = blockIdx.y, warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    // The tiles of keys that are seen.
    int begin = WINDOWED ? max(0, tile.position - attending.window) / TILE : 0, end = (tile.visible + TILE - 1) / TILE;
    Fetch<T, D> fetch(attending, tile, key_head);
    fetch(keys + begin % 2 * TILE * D, values + begin % 2 * TILE * D, begin * TILE);

    Rows<T, D> rows(attending, tile, key_head, warp, lane);
    if constexpr (WINDOWED) rows.narrow_to_windows(attending, tile, warp, lane);
    uint32_t queries[D / 16][4];
#pragma unroll
    for (int step = 0; step < D / 16; step++)
#pragma unroll
        for (int part = 0; part < 4; part++)
            queries[step][part] = load_pair(rows.query[part % 2] + step * 16 + part / 2 * 8 + lane % 4 * 2);

    float sums[D / 8][4] = {};
    Softmax softmax;
    for (int index = begin; index < end; index++) {
        wait_for_copies<0>();
        // What was fetched is seen by all, and the other half is read no more.
        __syncthreads();
        T* tile_keys = keys + index % 2 * TILE * D;
        T* tile_values = values + index % 2 * TILE * D;
        if (index + 1 < end) {
            int other = (index + 1) % 2 * TILE * D;
            fetch(keys + other, values + other, (index + 1) * TILE);
        }

        float scores[TILE / 8][4] = {};
#pragma unroll
        for (int step = 0; step < D / 16; step++) {
#pragma unroll
            for (int pair = 0; pair < TILE / 16; pair++) {
                // Matrices: keys 0-7 and features 0-7, keys 0-7 and 8-15, keys 8-15 and 0-7, keys 8-15 and 8-15.
                uint32_t right[4];
                int key = pair * 16 + lane / 16 * 8 + lane % 8;
                load_matrices<false>(right, place<T, D>(tile_keys, key, step * 2 + lane / 8 % 2));
                multiply_add(scores[2 * pair], queries[step], right[0], right[1], T());
                multiply_add(scores[2 * pair + 1], queries[step], right[2], right[3], T());
            }
        }

        float factors[2];
        softmax.weigh<WINDOWED>(scores, factors, index * TILE, rows.sees, attending.scale, rows.from);
#pragma unroll
        for (int part = 0; part < D / 8; part++)
#pragma unroll
            for (int value = 0; value < 4; value++) sums[part][value] *= factors[value / 2];

#pragma unroll
        for (int step = 0; step < TILE / 16; step++) {
            uint32_t weights[4];
            narrow_weights<T>(weights, scores[2 * step], scores[2 * step + 1]);
#pragma unroll
            for (int pair = 0; pair < D / 16; pair++) {
                // Matrices, transposed: keys 0-7 and features 0-7, keys 8-15 and 0-7, keys 0-7 and 8-15, keys 8-15 and 8-15.
                uint32_t right[4];
                int key = step * 16 + lane / 8 % 2 * 8 + lane % 8;
                load_matrices<true>(right, place<T, D>(tile_values, key, pair * 2 + lane / 16));
                multiply_add(sums[2 * pair], weights, right[0], right[1], T());
                multiply_add(sums[2 * pair + 1], weights, right[2], right[3], T());
            }
        }
    }

    finish(softmax, sums, rows);
}

#define KERNEL(T, name, D)                                                                                        \
    extern "C" __global__ void __launch_bounds__(WARPS * 32, BLOCKS) attend_##name##_##D(Attending<T> attending) {       \
        attend<T, D, false>(attending);                                                                           \
    }                                                                                                             \
    extern "C" __global__ void __launch_bounds__(WARPS * 32, BLOCKS)                                              \
        attend_windows_##name##_##D(Attending<T> attending) {                                                     \
        attend<T, D, true>(attending);                                                                            \
    }
KERNEL(bfloat16, bf16, 32)
KERNEL(bfloat16, bf16, 64)
KERNEL(bfloat16, bf16, 128)
KERNEL(float16, f16, 32)
KERNEL(float16, f16, 64)
KERNEL(float16, f16, 128)
#undef KERNEL
