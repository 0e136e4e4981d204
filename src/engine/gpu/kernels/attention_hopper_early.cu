// Streaming attention for Hopper's tensor cores, for queries that see few keys: most of what attention.cu costs there is
// fetching every operand of a product from shared memory into registers, for each 16 rows anew, and moving queries and results in pieces of 16
// bytes. Here the tensor cores read keys and values where they stand, once for 64 rows, and rows are moved whole.
//
// A block of one warpgroup has 64 rows: the query heads of one key head, of as many consecutive tokens as fit. It goes through
// the keys 64 at a time. There is one tile of each kind, so that a multiprocessor has several blocks, which work while others wait:
// keys are replaced while their weights are multiplied with the values, and values while the next keys are multiplied.
//
// Shared memory, from a multiple of 1,024 bytes on: [queries 64 x D][keys 64 x D][values 64 x D]; at the end, results stand where
// the queries were.
#include "attention_hopper.cuh"

namespace hopper {

constexpr int EARLY_TILE = 64;
constexpr int EARLY_THREADS = 128;
// Blocks that a multiprocessor has at a time; bounds the registers.
constexpr int EARLY_BLOCKS = 4;

// results = sums / totals, of rows that see anything. Each warp hands its rows round in shared memory, to store them whole.
template <typename T, int D>
__device__ inline void finish_together(const Softmax& softmax, const float (&sums)[D / 8][4], const Attending<T>& attending,
                                       const QueryTile& tile, int key_head, T* room) {
    constexpr int PIECES = D / PIECE, ROWS_AT_ONCE = 32 / PIECES;
    int first = threadIdx.x / 32 * 16, lane = threadIdx.x % 32;
#pragma unroll
    for (int half = 0; half < 2; half++) {
        float total = softmax.totals[half];
        total += __shfl_xor_sync(ALL_LANES, total, 1);
        total += __shfl_xor_sync(ALL_LANES, total, 2);
        float scale = 1.f / total;
        int row = first + lane / 4 + 8 * half;
#pragma unroll
        for (int part = 0; part < PIECES; part++) {
            uint32_t pair = narrow_pair<T>(sums[part][half * 2] * scale, sums[part][half * 2 + 1] * scale);
            store_pair(room + place<EARLY_TILE>(row, part) + lane % 4 * 2, pair);
        }
    }
    __syncwarp();
    int piece = lane % PIECES;
#pragma unroll
    for (int pass = 0; pass < 16 / ROWS_AT_ONCE; pass++) {
        int row = first + lane / PIECES + pass * ROWS_AT_ONCE;
        if (row >= tile.rows * attending.group) continue;
        Place place_of_row(attending, row);
        size_t token = tile.first_row + place_of_row.token;
        int head = key_head * attending.group + place_of_row.head;
        T* result = attending.results + token * attending.result_width + head * D + piece * PIECE;
        copy_piece(result, room + place<EARLY_TILE>(row, piece));
    }
}

template <typename T, int D>
__device__ void attend_early(const Attending<T>& attending) {
    DYNAMIC_SHARED(unaligned);
    constexpr int TILE = EARLY_TILE;
    using Fetch = Fetch<T, D, TILE, EARLY_THREADS>;
    T* queries = reinterpret_cast<T*>(aligned(unaligned));
    T* keys = queries + TILE * D;
    T* values = keys + TILE * D;
    const QueryTile tile = attending.tiles[blockIdx.x];
    int key_head = blockIdx.y;
    int count = (tile.visible + TILE - 1) / TILE;
    Fetch fetch_keys(attending.keys, attending, tile, key_head);
    Fetch fetch_values(attending.values, attending, tile, key_head);
    fetch_queries<T, D, TILE, EARLY_THREADS>(attending, tile, key_head, queries);
    fetch_keys(keys, 0);
    commit_copies();
    const Rows<T, D> rows(attending, tile, key_head, threadIdx.x / 32, threadIdx.x % 32);

    float sums[D / 8][4] = {};
    Softmax softmax;
    for (int index = 0; index < count; index++) {
        // The keys have arrived, and the values of the step before are read no more.
        meet();
        fetch_values(values, index * TILE);
        commit_copies();
        float scores[TILE / 8][4], factors[2];
        pin(scores);
        begin_products();
        multiply_queries<T, D, TILE>(scores, shared_address(queries), shared_address(keys));
        commit_products();
        wait_for_products<0>();
        pin(scores);
        softmax.weigh(scores, factors, index * TILE, rows.sees, attending.scale);
        uint32_t weights[TILE / 16][4];
        narrow_all<T>(weights, scores);
        rescale(sums, factors);
        // The values have arrived, and the keys are read no more.
        meet();
        if (index + 1 < count) fetch_keys(keys, (index + 1) * TILE);
        commit_copies();
        pin(sums);
        begin_products();
        multiply_weights<T, D, TILE>(sums, weights, shared_address(values));
        commit_products();
        wait_for_products<0>();
        pin(sums);
    }
    finish_together<T, D>(softmax, sums, attending, tile, key_head, queries);
}

}  // namespace hopper

#define KERNEL(T, name, D)                                                                                         \
    extern "C" __global__ void __launch_bounds__(hopper::EARLY_THREADS, hopper::EARLY_BLOCKS)                      \
        attend_hopper_early_##name##_##D(Attending<T> attending) {                                                 \
        hopper::attend_early<T, D>(attending);                                                                     \
    }
KERNEL(bfloat16, bf16, 64)
KERNEL(bfloat16, bf16, 128)
KERNEL(float16, f16, 64)
KERNEL(float16, f16, 128)
#undef KERNEL
