// Attention by its definition, a warp for each row and head: for f32, for heads of any length, and to compare with.
#include "attention.cuh"

// Features that a lane keeps: heads of up to 32 * 8 = 256 features.
constexpr int FEATURES = 8;
// Keys that are summed from zero before they are added to the others: added one by one to the sums of tens of thousands, small
// weights would lose their digits.
constexpr int CHUNK = 256;

template <typename T>
__device__ void attend_plain(const Attending<T>& attending, int head_dim) {
    const QueryTile tile = attending.tiles[blockIdx.x];
    int key_head = blockIdx.y;
    const KeyRange* ranges = attending.ranges + tile.first_range;
    for (int row = threadIdx.y; row < tile.rows * attending.group; row += blockDim.y) {
        int token = row / attending.group, head = key_head * attending.group + row % attending.group;
        size_t index = tile.first_row + token;
        const T* query = attending.queries + index * attending.query_width + head * head_dim;
        float queries[FEATURES], sums[FEATURES] = {}, most = -INFINITY, total = 0.f;
        for (int part = 0; part < FEATURES; part++) {
            int feature = threadIdx.x + 32 * part;
            queries[part] = feature < head_dim ? widen(query[feature]) : 0.f;
        }
        int position_of_query = tile.position + token;
        int sees = attending.causal ? position_of_query + 1 : min(tile.visible, position_of_query + attending.window + 1);
        for (int first = max(0, position_of_query - attending.window); first < sees; first += CHUNK) {
            float before = most, chunk_sums[FEATURES] = {}, chunk_total = 0.f;
            for (int position = first; position < min(first + CHUNK, sees); position++) {
                size_t other = token_at(ranges, tile.ranges, position);
                const T* key = attending.keys + other * attending.key_width + key_head * head_dim;
                const T* value = attending.values + other * attending.key_width + key_head * head_dim;
                float score = 0.f;
                for (int part = 0; part < FEATURES; part++) {
                    int feature = threadIdx.x + 32 * part;
                    if (feature < head_dim) score += queries[part] * widen(key[feature]);
                }
                score = sum_of_warp(score) * attending.scale;
                float largest = fmaxf(most, score);
                float factor = power_of_two(most - largest), weight = power_of_two(score - largest);
                most = largest;
                chunk_total = chunk_total * factor + weight;
                for (int part = 0; part < FEATURES; part++) {
                    int feature = threadIdx.x + 32 * part;
                    if (feature < head_dim) chunk_sums[part] = chunk_sums[part] * factor + weight * widen(value[feature]);
                }
            }
            float factor = power_of_two(before - most);
            total = total * factor + chunk_total;
            for (int part = 0; part < FEATURES; part++) sums[part] = sums[part] * factor + chunk_sums[part];
        }
        T* result = attending.results + index * attending.result_width + head * head_dim;
        for (int part = 0; part < FEATURES; part++) {
            int feature = threadIdx.x + 32 * part;
            if (feature < head_dim) result[feature] = narrow<T>(sums[part] / total);
        }
    }
}

#define KERNELS(T, name)                                                                            \
    extern "C" __global__ void attend_plain_##name(Attending<T> attending, int head_dim) {          \
        attend_plain(attending, head_dim);                                                          \
    }
FOR_EACH_TYPE(KERNELS)
#undef KERNELS
