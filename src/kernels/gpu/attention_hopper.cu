// Streaming attention for Hopper's tensor cores (after FlashAttention-3: Shah et al., 2024): what attention.cu does, for
// queries that see many keys. While a warpgroup weighs the scores of one tile of keys, the tensor cores multiply its weights
// of the tile before with their values.
//
// A block of two warpgroups has 128 rows: the query heads of one key head, of as many consecutive tokens as fit. It goes
// through the keys 128 at a time; each step has a barrier, behind which its products are begun and the next tiles set out:
//
//   scores (64 x 128)  = queries (64 x D) * keys^T           a warpgroup has 64 of the rows
//   sums   (64 x D)   += weights (64 x 128) * values         of the tile before, at the same time
//
// Shared memory, from a multiple of 1,024 bytes on; each tile in columns of 64 features, as warpgroup.cuh has them:
//
//   [queries 128 x D][keys 128 x D][keys 128 x D][values 128 x D][values 128 x D][a float of each thread]
#include "softmax.cuh"
#include "warpgroup.cuh"

namespace hopper {

// Rows of a tile: of queries, keys or values.
constexpr int TILE = 128;
constexpr int THREADS = 256;
constexpr int PIECE = 8;
// Values of a row of a column of a tile, and of all its rows.
constexpr int WIDTH = 64, COLUMN = TILE * WIDTH;
constexpr uint32_t COLUMN_BYTES = COLUMN * 2;

// A thread's pieces of a tile: all of one column and one place of it.
template <int D>
struct Share {
    static constexpr int PIECES = D / PIECE;
    // Rows from one piece to the next: a multiple of 8, so that the swizzle is the same for all.
    static constexpr int STRIDE = THREADS / PIECES;
    static_assert(STRIDE % 8 == 0 && TILE % STRIDE == 0);
    // The first row, and values to its piece.
    int row = threadIdx.x / PIECES, feature = threadIdx.x % PIECES * PIECE, start;

    __device__ Share() {
        int piece = feature / PIECE;
        start = piece / 8 * COLUMN + row * WIDTH + (piece % 8 ^ row % 8) * PIECE;
    }
};

// Sets out the block's queries; rows that are none become zeros.
template <typename T, int D>
__device__ void fetch_queries(const Attending<T>& attending, const QueryTile& tile, int key_head, T* to) {
    Share<D> share;
#pragma unroll
    for (int pass = 0; pass < TILE / Share<D>::STRIDE; pass++) {
        int row = share.row + pass * Share<D>::STRIDE;
        bool present = row < tile.rows * attending.group;
        Place place(attending, present ? row : 0);
        size_t token = tile.first_row + place.token;
        int head = key_head * attending.group + place.head;
        const T* query = attending.queries + token * attending.query_width + head * D + share.feature;
        copy_async(to + share.start + pass * Share<D>::STRIDE * WIDTH, query, present);
    }
}

// Sets out tiles of keys, or of values, of positions from `first` on; what no query sees becomes zeros.
template <typename T, int D>
struct Fetch {
    const T* rows;
    int width;
    Tokens tokens;
    Share<D> share;

    __device__ Fetch(const T* all, const Attending<T>& attending, const QueryTile& tile, int key_head)
        : width(attending.key_width), tokens(attending.ranges, tile) {
        rows = all + key_head * D + share.feature;
    }

    __device__ void operator()(T* to, int first) {
        tokens.move(first, TILE);
        if (tokens.straddles)
            fetch(to, first, [&](int position) { return rows + static_cast<size_t>(tokens.at(position)) * width; });
        else {
            const T* of_range = rows + static_cast<int64_t>(tokens.to_token) * width;
            fetch(to, first, [&](int position) { return of_range + static_cast<int64_t>(position) * width; });
        }
    }

    template <typename Find>
    __device__ void fetch(T* to, int first, Find find) {
#pragma unroll
        for (int pass = 0; pass < TILE / Share<D>::STRIDE; pass++) {
            int position = first + share.row + pass * Share<D>::STRIDE;
            const T* from = find(min(position, tokens.visible - 1));
            copy_async(to + share.start + pass * Share<D>::STRIDE * WIDTH, from, position < tokens.visible);
        }
    }
};

// scores = queries * keys^T, in 16 features at a time.
template <typename T, int D>
__device__ inline void multiply_queries(float (&scores)[TILE / 8][4], uint32_t queries, uint32_t keys) {
#pragma unroll
    for (int step = 0; step < D / 16; step++) {
        uint32_t offset = step / 4 * COLUMN_BYTES + step % 4 * 32;
        if (step == 0)
            multiply_rows<false>(scores, operand(queries + offset), operand(keys + offset), T());
        else
            multiply_rows<true>(scores, operand(queries + offset), operand(keys + offset), T());
    }
}

// sums += weights * values, of 16 keys at a time.
template <typename T, int D>
__device__ inline void multiply_weights(float (&sums)[D / 8][4], const uint32_t (&weights)[TILE / 16][4], uint32_t values) {
#pragma unroll
    for (int step = 0; step < TILE / 16; step++)
        multiply_columns(sums, weights[step], operand(values + step * 2 * EIGHT_ROWS, COLUMN_BYTES), T());
}

template <typename T>
__device__ inline void narrow_all(uint32_t (&weights)[TILE / 16][4], const float (&scores)[TILE / 8][4]) {
#pragma unroll
    for (int step = 0; step < TILE / 16; step++)
        narrow_weights<T>(weights[step], scores[2 * step], scores[2 * step + 1]);
}

// This thread's copies have arrived, those of others too, and nobody reads any more what is overwritten next.
__device__ inline void meet() {
    wait_for_copies<0>();
    show_to_products();
    __syncthreads();
}

template <typename T, int D>
__device__ void attend(const Attending<T>& attending) {
    DYNAMIC_SHARED(unaligned);
    uint32_t unaligned_address = shared_address(unaligned);
    uint32_t aligned_address = (unaligned_address + EIGHT_ROWS - 1) / EIGHT_ROWS * EIGHT_ROWS;
    T* queries = reinterpret_cast<T*>(unaligned + (aligned_address - unaligned_address));
    T* keys = queries + TILE * D;
    T* values = keys + 2 * TILE * D;
    volatile float* settled = reinterpret_cast<float*>(values + 2 * TILE * D) + threadIdx.x;
    constexpr uint32_t TILE_BYTES = TILE * D * sizeof(T);
    // The same in all lanes, which the compiler does not know by itself.
    int warp = __shfl_sync(ALL_LANES, threadIdx.x / 32, 0);
    uint32_t queries_address = aligned_address + warp / 4 * (COLUMN_BYTES / 2);
    uint32_t keys_address = aligned_address + TILE_BYTES, values_address = keys_address + 2 * TILE_BYTES;

    const QueryTile tile = attending.tiles[blockIdx.x];
    int key_head = blockIdx.y;
    int count = (tile.visible + TILE - 1) / TILE;
    Fetch<T, D> fetch_keys(attending.keys, attending, tile, key_head);
    Fetch<T, D> fetch_values(attending.values, attending, tile, key_head);
    fetch_queries<T, D>(attending, tile, key_head, queries);
    fetch_keys(keys, 0);
    commit_copies();
    const Rows<T, D> rows(attending, tile, key_head, warp, threadIdx.x % 32);

    float scores[TILE / 8][4], sums[D / 8][4] = {}, factors[2];
    uint32_t weights[TILE / 16][4];
    Softmax softmax;
    meet();
    if (count > 1) fetch_keys(keys + TILE * D, TILE);
    fetch_values(values, 0);
    commit_copies();
    begin_products();
    multiply_queries<T, D>(scores, queries_address, keys_address);
    commit_products();
    wait_for_products<0>();
    pin(scores);
    softmax.weigh(scores, factors, 0, rows.sees, attending.scale);
    narrow_all<T>(weights, scores);

    for (int index = 1; index < count; index++) {
        uint32_t half = index % 2, other = 1 - half;
        meet();
        pin(scores);
        pin(sums);
        begin_products();
        multiply_queries<T, D>(scores, queries_address, keys_address + half * TILE_BYTES);
        commit_products();
        multiply_weights<T, D>(sums, weights, values_address + other * TILE_BYTES);
        commit_products();
        // The tensor cores have begun; what is fetched replaces what the step before has read.
        if (index + 1 < count) fetch_keys(keys + other * TILE * D, (index + 1) * TILE);
        fetch_values(values + half * TILE * D, index * TILE);
        commit_copies();
        wait_for_products<1>();
        pin(scores);
        softmax.weigh(scores, factors, index * TILE, rows.sees, attending.scale);
        // All of it before the wait, as it is what the tensor cores' time is for: the compiler puts arithmetic off, but no store.
        *settled = softmax.totals[0] + softmax.totals[1];
        wait_for_products<0>();
        pin(sums);
        narrow_all<T>(weights, scores);
#pragma unroll
        for (int part = 0; part < D / 8; part++)
#pragma unroll
            for (int value = 0; value < 4; value++) sums[part][value] *= factors[value / 2];
    }

    meet();
    pin(sums);
    begin_products();
    multiply_weights<T, D>(sums, weights, values_address + (count - 1) % 2 * TILE_BYTES);
    commit_products();
    wait_for_products<0>();
    pin(sums);
    finish(softmax, sums, rows);
}

}  // namespace hopper

#define KERNEL(T, name, D)                                                                                                    \
    extern "C" __global__ void __launch_bounds__(hopper::THREADS, 1) attend_hopper_##name##_##D(Attending<T> attending) { \
        hopper::attend<T, D>(attending);                                                                                      \
    }
KERNEL(bfloat16, bf16, 64)
KERNEL(bfloat16, bf16, 128)
KERNEL(float16, f16, 64)
KERNEL(float16, f16, 128)
#undef KERNEL
