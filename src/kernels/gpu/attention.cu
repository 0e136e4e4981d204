// Streaming attention on the tensor cores (as FlashAttention-2: Dao, 2023), over packed prompts whose keys stand in several
// places: those of a shared beginning are read where they are.
//
// A block of four warps has 64 rows: the query heads of one key head, of as many consecutive tokens as fit. It goes through
// the keys 64 at a time; while one tile of keys and values is multiplied, the next is on its way to shared memory:
//
//   scores (64 x 64)      = queries (64 x D) * keys^T        a warp has 16 of the rows
//   sums   (64 x D)      += weights (64 x 64) * values       weights go from sums to operands without leaving registers
//
// Shared memory, rows of D values in pieces of 16 bytes; piece p of row r stands at p ^ (r % 8), so that eight rows' pieces
// lie in different banks:
//
//   [keys 64 x D][keys 64 x D][values 64 x D][values 64 x D]
#include "attention.cuh"

constexpr int TILE = 64;
constexpr int WARPS = 4;
constexpr int PIECE = 8;
// Blocks that a multiprocessor has at a time, where its shared memory has room for them; bounds the registers.
constexpr int BLOCKS = 3;

template <typename T, int D>
__device__ inline T* place(T* tile, int row, int piece) {
    return tile + row * D + ((piece ^ (row % 8)) * PIECE);
}

// Sets out tiles of keys and values, of positions from `first` on; what no query sees becomes zeros. `range` is the one that
// `first` is in, or one before; tiles come in the order of positions.
template <typename T, int D>
struct Fetch {
    static constexpr int PIECES = D / PIECE;
    // Rows from one of a thread's pieces to its next: a multiple of 8, so that all stand at the same place of their rows.
    static constexpr int STRIDE = WARPS * 32 / PIECES;
    static_assert(STRIDE % 8 == 0 && TILE % STRIDE == 0);

    const Attending<T>& attending;
    const QueryTile& tile;
    const KeyRange* ranges;
    const T* keys;
    const T* values;
    int row = threadIdx.x / PIECES, range = 0;

    __device__ Fetch(const Attending<T>& attending, const QueryTile& tile, int key_head)
        : attending(attending), tile(tile), ranges(attending.ranges + tile.first_range) {
        int column = key_head * D + threadIdx.x % PIECES * PIECE;
        keys = attending.keys + column;
        values = attending.values + column;
    }

    __device__ void operator()(T* tile_keys, T* tile_values, int first) {
        while (range + 1 < tile.ranges && first >= ranges[range + 1].position) range++;
        bool straddles = range + 1 < tile.ranges && first + TILE > ranges[range + 1].position;
        int to_token = ranges[range].token - ranges[range].position;
        int start = static_cast<int>(place<T, D>(tile_keys, row, threadIdx.x % PIECES) - tile_keys);
#pragma unroll
        for (int pass = 0; pass < TILE / STRIDE; pass++) {
            int position = first + row + pass * STRIDE;
            bool present = position < tile.visible;
            position = min(position, tile.visible - 1);
            int token = straddles ? token_at(ranges, tile.ranges, position) : position + to_token;
            size_t offset = static_cast<size_t>(token) * attending.key_width;
            copy_async(tile_keys + start + pass * STRIDE * D, keys + offset, present);
            copy_async(tile_values + start + pass * STRIDE * D, values + offset, present);
        }
        commit_copies();
    }
};

// A lane's share of two rows of the 16 of its warp: rows lane / 4 and lane / 4 + 8.
template <typename T, int D>
struct Rows {
    const T* query[2];
    T* result[2];
    // Keys that each row sees; 0 for rows that are none.
    int sees[2];

    __device__ Rows(const Attending<T>& attending, const QueryTile& tile, int key_head, int warp, int lane) {
        for (int half = 0; half < 2; half++) {
            int row = warp * 16 + lane / 4 + 8 * half;
            bool present = row < tile.rows * attending.group;
            int token = present ? row / attending.group : 0;
            int head = key_head * attending.group + (present ? row % attending.group : 0);
            size_t index = tile.first_row + token;
            query[half] = attending.queries + index * attending.query_width + head * D;
            result[half] = attending.results + index * attending.result_width + head * D;
            int causal = tile.position + token + 1;
            sees[half] = !present ? 0 : attending.causal ? causal : tile.visible;
        }
    }
};

template <typename T, int D>
__device__ void attend(const Attending<T>& attending) {
    DYNAMIC_SHARED(shared);
    T* keys = reinterpret_cast<T*>(shared);
    T* values = keys + 2 * TILE * D;
    const QueryTile tile = attending.tiles[blockIdx.x];
    int key_head = blockIdx.y, warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    Fetch<T, D> fetch(attending, tile, key_head);
    fetch(keys, values, 0);

    const Rows<T, D> rows(attending, tile, key_head, warp, lane);
    uint32_t queries[D / 16][4];
#pragma unroll
    for (int step = 0; step < D / 16; step++)
#pragma unroll
        for (int part = 0; part < 4; part++)
            queries[step][part] = load_pair(rows.query[part % 2] + step * 16 + part / 2 * 8 + lane % 4 * 2);

    float sums[D / 8][4] = {};
    float most[2] = {-INFINITY, -INFINITY}, totals[2] = {0.f, 0.f};
    int count = (tile.visible + TILE - 1) / TILE;
    for (int index = 0; index < count; index++) {
        wait_for_copies<0>();
        // What was fetched is seen by all, and the other half is read no more.
        __syncthreads();
        T* tile_keys = keys + index % 2 * TILE * D;
        T* tile_values = values + index % 2 * TILE * D;
        if (index + 1 < count) {
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
#pragma unroll
        for (int half = 0; half < 2; half++) {
            // Most tiles are seen whole.
            if ((index + 1) * TILE > rows.sees[half]) {
#pragma unroll
                for (int part = 0; part < TILE / 8; part++) {
#pragma unroll
                    for (int column = 0; column < 2; column++) {
                        int position = index * TILE + part * 8 + lane % 4 * 2 + column;
                        if (position >= rows.sees[half]) scores[part][half * 2 + column] = -INFINITY;
                    }
                }
            }
            float largest = -INFINITY;
#pragma unroll
            for (int part = 0; part < TILE / 8; part++)
                largest = fmaxf(largest, fmaxf(scores[part][half * 2], scores[part][half * 2 + 1]));
            largest = fmaxf(largest, __shfl_xor_sync(ALL_LANES, largest, 1));
            largest = fmaxf(largest, __shfl_xor_sync(ALL_LANES, largest, 2));
            float before = most[half];
            most[half] = fmaxf(before, largest);
            // Rows that see nothing have no largest score.
            float base = most[half] == -INFINITY ? 0.f : most[half] * attending.scale;
            factors[half] = power_of_two(fmaf(before, attending.scale, -base));
            float total = 0.f;
#pragma unroll
            for (int part = 0; part < TILE / 8; part++) {
#pragma unroll
                for (int column = 0; column < 2; column++) {
                    float& score = scores[part][half * 2 + column];
                    score = power_of_two(fmaf(score, attending.scale, -base));
                    total += score;
                }
            }
            totals[half] = totals[half] * factors[half] + total;
        }
#pragma unroll
        for (int part = 0; part < D / 8; part++)
#pragma unroll
            for (int value = 0; value < 4; value++) sums[part][value] *= factors[value / 2];

#pragma unroll
        for (int step = 0; step < TILE / 16; step++) {
            uint32_t weights[4];
#pragma unroll
            for (int part = 0; part < 4; part++) {
                const float* pair = &scores[2 * step + part / 2][part % 2 * 2];
                weights[part] = narrow_pair<T>(pair[0], pair[1]);
            }
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

#pragma unroll
    for (int half = 0; half < 2; half++) {
        float total = totals[half];
        total += __shfl_xor_sync(ALL_LANES, total, 1);
        total += __shfl_xor_sync(ALL_LANES, total, 2);
        if (rows.sees[half] == 0) continue;
        float scale = 1.f / total;
#pragma unroll
        for (int part = 0; part < D / 8; part++) {
            uint32_t pair = narrow_pair<T>(sums[part][half * 2] * scale, sums[part][half * 2 + 1] * scale);
            store_pair(rows.result[half] + part * 8 + lane % 4 * 2, pair);
        }
    }
}

#define KERNEL(T, name, D)                                                                                        \
    extern "C" __global__ void __launch_bounds__(WARPS * 32, BLOCKS) attend_##name##_##D(Attending<T> attending) {       \
        attend<T, D>(attending);                                                                                  \
    }
KERNEL(bfloat16, bf16, 64)
KERNEL(bfloat16, bf16, 128)
KERNEL(float16, f16, 64)
KERNEL(float16, f16, 128)
#undef KERNEL
