// What stands between the two products of an MLP, and behind a dense layer of a head: bias and activation in one pass.
//
//   plain   activated = activation(x + bias)
//   gated   activated = activation(gate + bias of gates) * (up + bias of ups), of a merged product: gates, then ups
#include "activation.cuh"

// A row is blockIdx.x, and a thread has 16 bytes of it. `bias` may be missing.
template <typename T, bool GATED>
__device__ void activate_rows(const T* products, const float* bias, T* activated, int features, int activation) {
    constexpr int COUNT = 16 / sizeof(T);
    int feature = (blockIdx.y * blockDim.x + threadIdx.x) * COUNT;
    if (feature >= features) return;
    const T* row = products + static_cast<size_t>(blockIdx.x) * (GATED ? 2 * features : features) + feature;
    T* results = activated + static_cast<size_t>(blockIdx.x) * features + feature;
    auto result = [&](T input, float input_bias, T up, float up_bias) {
        float product = activate(widen(input) + input_bias, activation);
        return narrow<T>(GATED ? product * (widen(up) + up_bias) : product);
    };
    if (features % COUNT != 0) {
        for (int lane = 0; lane < COUNT && feature + lane < features; lane++) {
            const float* values = bias ? bias + feature + lane : nullptr;
            const T* up = GATED ? row + features + lane : row + lane;
            results[lane] = result(row[lane], values ? *values : 0.f, *up, GATED && values ? values[features] : 0.f);
        }
        return;
    }
    Neighbours<T, COUNT> inputs = load<COUNT>(row), ups = inputs, together;
    if constexpr (GATED) ups = load<COUNT>(row + features);
#pragma unroll
    for (int four = 0; four < COUNT; four += 4) {
        Neighbours<float, 4> input_bias = {}, up_bias = {};
        if (bias) input_bias = load<4>(bias + feature + four);
        if (GATED && bias) up_bias = load<4>(bias + features + feature + four);
#pragma unroll
        for (int lane = 0; lane < 4; lane++)
            together.values[four + lane] =
                result(inputs.values[four + lane], input_bias.values[lane], ups.values[four + lane], up_bias.values[lane]);
    }
    store(results, together);
}

#define KERNELS(T, name)                                                                                                  \
    extern "C" __global__ void activate_plain_##name(const T* products, const float* bias, T* activated, int features,    \
                                                     int activation) {                                                    \
        activate_rows<T, false>(products, bias, activated, features, activation);                                         \
    }                                                                                                                     \
    extern "C" __global__ void activate_gated_##name(const T* products, const float* bias, T* activated, int features,    \
                                                     int activation) {                                                    \
        activate_rows<T, true>(products, bias, activated, features, activation);                                          \
    }
FOR_EACH_TYPE(KERNELS)
#undef KERNELS
