// RMSNorm of each query and key head (Qwen3), then rotary position embedding in the half-split layout of GPT-NeoX, in place
// on the merged product of queries, keys and values:
//
//   row of a token   [query head 0 | ... | key head 0 | ... | value head 0 | ...]
#include "device.cuh"

// Times two neighbours of each half that a lane keeps: heads of up to 2 * 64 * 2 = 256 features, a multiple of 4.
constexpr int PASSES = 2;

// Two neighbours, read and written at once.
template <typename T>
struct alignas(2 * sizeof(T)) Two {
    T values[2];
};
template <typename T>
__device__ inline Two<T> load_two(const T* values) {
    return *reinterpret_cast<const Two<T>*>(values);
}

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
    float first[PASSES][2] = {}, second[PASSES][2] = {}, squares = 0.f;
#pragma unroll
    for (int pass = 0; pass < PASSES; pass++) {
        int feature = 2 * threadIdx.x + 64 * pass;
        if (feature >= half) continue;
        Two<T> one = load_two(values + feature), other = load_two(values + feature + half);
#pragma unroll
        for (int lane = 0; lane < 2; lane++) {
            first[pass][lane] = widen(one.values[lane]);
            second[pass][lane] = widen(other.values[lane]);
            squares += first[pass][lane] * first[pass][lane] + second[pass][lane] * second[pass][lane];
        }
    }
    float scale = 1.f / sqrtf(sum_of_warp(squares) / turn.head_dim + turn.epsilon);
    size_t angle = static_cast<size_t>(turn.positions[token]) * half;
#pragma unroll
    for (int pass = 0; pass < PASSES; pass++) {
        int feature = 2 * threadIdx.x + 64 * pass;
        if (feature >= half) continue;
        Two<float> first_weight = load_two(weight + feature), second_weight = load_two(weight + feature + half);
        Two<float> cosine = load_two(turn.cosines + angle + feature), sine = load_two(turn.sines + angle + feature);
        Two<T> one, other;
#pragma unroll
        for (int lane = 0; lane < 2; lane++) {
            float real = first[pass][lane] * scale * first_weight.values[lane];
            float imaginary = second[pass][lane] * scale * second_weight.values[lane];
            one.values[lane] = narrow<T>(real * cosine.values[lane] - imaginary * sine.values[lane]);
            other.values[lane] = narrow<T>(imaginary * cosine.values[lane] + real * sine.values[lane]);
        }
        *reinterpret_cast<Two<T>*>(values + feature) = one;
        *reinterpret_cast<Two<T>*>(values + feature + half) = other;
    }
}

#define KERNELS(T, name) \
    extern "C" __global__ void turn_heads_##name(T* products, Turn turn) { turn_heads(products, turn); }
FOR_EACH_TYPE(KERNELS)
#undef KERNELS
