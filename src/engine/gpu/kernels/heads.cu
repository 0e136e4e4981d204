// RMSNorm of each query and key head (Qwen3), then rotary position embedding in the half-split layout of GPT-NeoX, in place
// on the merged product of queries, keys and values:
//
//   row of a token   [query head 0 | ... | key head 0 | ... | value head 0 | ...]
#include "device.cuh"

// Times two neighbours of each half that a lane keeps: heads of up to 2 * 64 * 2 = 256 features, a multiple of 4.
constexpr int PASSES = 2;

struct QkNormRope {
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
__device__ void qk_norm_rope(T* products, QkNormRope operation) {
    int heads = operation.query_heads + operation.key_heads;
    int index = blockIdx.x * blockDim.y + threadIdx.y;
    if (index >= operation.tokens * heads) return;
    int token = index / heads, head = index % heads, half = operation.head_dim / 2;
    size_t width = static_cast<size_t>(heads + operation.value_heads) * operation.head_dim;
    T* values = products + token * width + static_cast<size_t>(head) * operation.head_dim;
    const float* weight = head < operation.query_heads ? operation.query_weight : operation.key_weight;
    float first[PASSES][2] = {}, second[PASSES][2] = {}, squares = 0.f;
#pragma unroll
    for (int pass = 0; pass < PASSES; pass++) {
        int feature = 2 * threadIdx.x + 64 * pass;
        if (feature >= half) continue;
        Neighbours<T, 2> one = load<2>(values + feature), other = load<2>(values + feature + half);
#pragma unroll
        for (int lane = 0; lane < 2; lane++) {
            first[pass][lane] = widen(one.values[lane]);
            second[pass][lane] = widen(other.values[lane]);
            squares += first[pass][lane] * first[pass][lane] + second[pass][lane] * second[pass][lane];
        }
    }
    float scale = 1.f / sqrtf(sum_of_warp(squares) / operation.head_dim + operation.epsilon);
    size_t angle = static_cast<size_t>(operation.positions[token]) * half;
#pragma unroll
    for (int pass = 0; pass < PASSES; pass++) {
        int feature = 2 * threadIdx.x + 64 * pass;
        if (feature >= half) continue;
        Neighbours<float, 2> first_weight = load<2>(weight + feature), second_weight = load<2>(weight + feature + half);
        Neighbours<float, 2> cosine = load<2>(operation.cosines + angle + feature), sine = load<2>(operation.sines + angle + feature);
        Neighbours<T, 2> one, other;
#pragma unroll
        for (int lane = 0; lane < 2; lane++) {
            float real = first[pass][lane] * scale * first_weight.values[lane];
            float imaginary = second[pass][lane] * scale * second_weight.values[lane];
            one.values[lane] = narrow<T>(real * cosine.values[lane] - imaginary * sine.values[lane]);
            other.values[lane] = narrow<T>(imaginary * cosine.values[lane] + real * sine.values[lane]);
        }
        store(values + feature, one);
        store(values + feature + half, other);
    }
}

// The same for heads of D features in 16 bits: a block for each token, D / 8 lanes for each of its heads in operation.
template <typename T, int D>
__device__ void qk_norm_rope_token(T* products, const QkNormRope& operation) {
    constexpr int HALF = D / 2, LANES = HALF / 4;
    int heads = operation.query_heads + operation.key_heads, feature = threadIdx.x % LANES * 4;
    T* row = products + static_cast<size_t>(blockIdx.x) * (heads + operation.value_heads) * D;
    size_t angle = static_cast<size_t>(operation.positions[blockIdx.x]) * HALF + feature;
    Neighbours<float, 4> cosine = load<4>(operation.cosines + angle), sine = load<4>(operation.sines + angle);
    // All lanes of a warp go round as often.
    for (int first = 0; first < heads; first += blockDim.x / LANES) {
        int head = first + threadIdx.x / LANES;
        bool present = head < heads;
        T* values = row + (present ? head : 0) * D + feature;
        const float* weight = (head < operation.query_heads ? operation.query_weight : operation.key_weight) + feature;
        Neighbours<T, 4> one = load<4>(values), other = load<4>(values + HALF);
        Neighbours<float, 4> one_weight = load<4>(weight), other_weight = load<4>(weight + HALF);
        float squares = 0.f;
#pragma unroll
        for (int lane = 0; lane < 4; lane++) {
            float real = widen(one.values[lane]), imaginary = widen(other.values[lane]);
            squares += real * real + imaginary * imaginary;
        }
#pragma unroll
        for (int distance = LANES / 2; distance > 0; distance /= 2)
            squares += __shfl_xor_sync(ALL_LANES, squares, distance);
        float scale = rsqrtf(squares / D + operation.epsilon);
#pragma unroll
        for (int lane = 0; lane < 4; lane++) {
            float real = widen(one.values[lane]) * scale * one_weight.values[lane];
            float imaginary = widen(other.values[lane]) * scale * other_weight.values[lane];
            one.values[lane] = narrow<T>(real * cosine.values[lane] - imaginary * sine.values[lane]);
            other.values[lane] = narrow<T>(imaginary * cosine.values[lane] + real * sine.values[lane]);
        }
        if (!present) continue;
        store(values, one);
        store(values + HALF, other);
    }
}

#define KERNELS(T, name) \
    extern "C" __global__ void qk_norm_rope_##name(T* products, QkNormRope operation) { qk_norm_rope(products, operation); }
FOR_EACH_TYPE(KERNELS)
#undef KERNELS

#define KERNELS(T, name)                                                                                        \
    extern "C" __global__ void qk_norm_rope_##name##_64(T* products, QkNormRope operation) { qk_norm_rope_token<T, 64>(products, operation); } \
    extern "C" __global__ void qk_norm_rope_##name##_128(T* products, QkNormRope operation) { qk_norm_rope_token<T, 128>(products, operation); }
KERNELS(bfloat16, bf16)
KERNELS(float16, f16)
#undef KERNELS
