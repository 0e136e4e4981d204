// RMSNorm of each query and key head (Qwen3), then rotary position embedding in the half-split layout of GPT-NeoX, in place
// on the merged product of queries, keys and values:
//
//   row of a token   [query head 0 | ... | key head 0 | ... | value head 0 | ...]
#include "device.cuh"

// Pairs of features that a lane keeps: heads of up to 32 * 2 * 4 = 256 features.
constexpr int PAIRS = 4;

struct Turn {
    const float* query_weight;
    const float* key_weight;
    // (positions, head_dim / 2)
    const float* cosines;
    const float* sines;
    const uint32_t* positions;
    int tokens, query_heads, key_heads, value_heads, head_dim;
    float epsilon;
};

// A warp for each token and head.
template <typename T>
__device__ void turn_heads(T* products, Turn turn) {
    int heads = turn.query_heads + turn.key_heads;
    int index = blockIdx.x * blockDim.y + threadIdx.y;
    if (index >= turn.tokens * heads) return;
    int token = index / heads, head = index % heads, half = turn.head_dim / 2;
    size_t width = static_cast<size_t>(heads + turn.value_heads) * turn.head_dim;
    T* values = products + token * width + static_cast<size_t>(head) * turn.head_dim;
    const float* weight = head < turn.query_heads ? turn.query_weight : turn.key_weight;
    float first[PAIRS], second[PAIRS], squares = 0.f;
#pragma unroll
    for (int pair = 0; pair < PAIRS; pair++) {
        int feature = threadIdx.x + 32 * pair;
        first[pair] = feature < half ? widen(values[feature]) : 0.f;
        second[pair] = feature < half ? widen(values[feature + half]) : 0.f;
        squares += first[pair] * first[pair] + second[pair] * second[pair];
    }
    float scale = 1.f / sqrtf(sum_of_warp(squares) / turn.head_dim + turn.epsilon);
    size_t angle = static_cast<size_t>(turn.positions[token]) * half;
#pragma unroll
    for (int pair = 0; pair < PAIRS; pair++) {
        int feature = threadIdx.x + 32 * pair;
        if (feature >= half) continue;
        float real = first[pair] * scale * weight[feature];
        float imaginary = second[pair] * scale * weight[feature + half];
        float cosine = turn.cosines[angle + feature], sine = turn.sines[angle + feature];
        values[feature] = narrow<T>(real * cosine - imaginary * sine);
        values[feature + half] = narrow<T>(imaginary * cosine + real * sine);
    }
}

#define KERNELS(T, name) \
    extern "C" __global__ void turn_heads_##name(T* products, Turn turn) { turn_heads(products, turn); }
FOR_EACH_TYPE(KERNELS)
#undef KERNELS
