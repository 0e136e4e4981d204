// From hidden vectors to logits, in f32: means of prompts, and the head's last row.
#include "rows.cuh"

// Rows that are summed from zero before they are added to the others: added one by one to the sum of thousands, they would lose
// their digits.
constexpr int AT_ONCE = 64;

// pooled (pairs, features) = means of hidden's rows, of which pair p has `lengths[p]` from `firsts[p]` on. A pair is blockIdx.x.
extern "C" __global__ void mean_rows(const float* hidden, const uint32_t* firsts, const uint32_t* lengths, float* pooled,
                                     int features) {
    int feature = blockIdx.y * blockDim.x + threadIdx.x;
    if (feature >= features) return;
    uint32_t length = lengths[blockIdx.x];
    const float* column = hidden + static_cast<size_t>(firsts[blockIdx.x]) * features + feature;
    float total = 0.f;
    for (uint32_t first = 0; first < length; first += AT_ONCE) {
        float sum = 0.f;
        for (uint32_t row = first; row < min(first + AT_ONCE, length); row++) sum += column[static_cast<size_t>(row) * features];
        total += sum;
    }
    pooled[static_cast<size_t>(blockIdx.x) * features + feature] = total / static_cast<float>(length);
}

// logits (rows) = vectors (rows, features) . head + bias
extern "C" __global__ void dot_rows(const float* vectors, const float* head, float bias, float* logits, int rows, int features) {
    int row = blockIdx.x * blockDim.y + threadIdx.y;
    if (row >= rows) return;
    const float* vector = vectors + static_cast<size_t>(row) * features;
    float sum = 0.f;
    for_each<1>(features, [&](int feature) { sum += vector[feature] * head[feature]; });
    sum = sum_of_warp(sum);
    if (threadIdx.x == 0) logits[row] = sum + bias;
}
