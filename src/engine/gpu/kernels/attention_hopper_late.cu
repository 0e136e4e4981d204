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
#include "attention_hopper.cuh"

namespace hopper {

// Rows of a tile: of queries, keys or values.
constexpr int LATE_TILE = 128;
constexpr int LATE_THREADS = 256;

template <typename T, int D>
__device__ void attend_late(const Attending<T>& attending) {
    DYNAMIC_SHARED(unaligned);
    constexpr int TILE = LATE_TILE;
    using Fetch = Fetch<T, D, TILE, LATE_THREADS>;
    T* queries = reinterpret_cast<T*>(aligned(unaligned));
    T* keys = queries + TILE * D;
    T* values = keys + 2 * TILE * D;
    volatile float* settled = reinterpret_cast<float*>(values + 2 * TILE * D) + threadIdx.x;
    constexpr uint32_t TILE_BYTES = TILE * D * sizeof(T);
    // The same in all lanes, which the compiler does not know by itself.
    int warp = __shfl_sync(ALL_LANES, threadIdx.x / 32, 0);
    uint32_t queries_address = shared_address(queries) + warp / 4 * (COLUMN_BYTES<TILE> / 2);
    uint32_t keys_address = shared_address(keys), values_address = shared_address(values);

    const QueryTile tile = attending.tiles[blockIdx.x];
    int key_head = blockIdx.y;
    int count = (tile.visible + TILE - 1) / TILE;
    Fetch fetch_keys(attending.keys, attending, tile, key_head);
    Fetch fetch_values(attending.values, attending, tile, key_head);
    fetch_queries<T, D, TILE, LATE_THREADS>(attending, tile, key_head, queries);
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
    multiply_queries<T, D, TILE>(scores, queries_address, keys_address);
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
        multiply_queries<T, D, TILE>(scores, queries_address, keys_address + half * TILE_BYTES);
        commit_products();
        multiply_weights<T, D, TILE>(sums, weights, values_address + other * TILE_BYTES);
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
        rescale(sums, factors);
    }

    meet();
    pin(sums);
    begin_products();
    multiply_weights<T, D, TILE>(sums, weights, values_address + (count - 1) % 2 * TILE_BYTES);
    commit_products();
    wait_for_products<0>();
    pin(sums);
    finish(softmax, sums, rows);
}

}  // namespace hopper

#define KERNEL(T, name, D)                                                                                                    \
    extern "C" __global__ void __launch_bounds__(hopper::LATE_THREADS, 1) attend_hopper_late_##name##_##D(Attending<T> attending) { \
        hopper::attend_late<T, D>(attending);                                                                                      \
    }
KERNEL(bfloat16, bf16, 64)
KERNEL(bfloat16, bf16, 128)
KERNEL(float16, f16, 64)
KERNEL(float16, f16, 128)
#undef KERNEL
