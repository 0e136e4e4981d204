// What stands between the two products of an MLP, and behind a dense layer of a head: bias and activation in one pass.
//
//   plain   activated = activation(x + bias)
//   gated   activated = activation(gate + bias of gates) * (up + bias of ups), of a merged product: gates, then ups
#include "activation.cuh"

// `features` is a multiple of what 16 bytes hold; a row is blockIdx.x, and a thread has 16 bytes of it. `bias` may be missing.
template <typename T, bool GATED>
__device__ void activate_rows(const T* products, const float* bias, T* activated, int features, int activation) {
    constexpr int COUNT = 16 / sizeof(T);
    int feature = (blockIdx.y * blockDim.x + threadIdx.x) * COUNT;
    if (feature >= features) return;
    const T* row = products + static_cast<size_t>(blockIdx.x) * (GATED ? 2 * features : features) + feature;
    Neighbours<T, COUNT> inputs = load<COUNT>(row), ups, results;
    if constexpr (GATED) ups = load<COUNT>(row + features);
#pragma unroll
    for (int four = 0; four < COUNT; four += 4) {
        Neighbours<float, 4> input_bias = {}, up_bias = {};
        if (bias) input_bias = load<4>(bias + feature + four);
        if (GATED && bias) up_bias = load<4>(bias + features + feature + four);
#pragma unroll
        for (int lane = 0; lane < 4; lane++) {
            float result = activate(widen(inputs.values[four + lane]) + input_bias.values[lane], activation);
            if constexpr (GATED) result *= widen(ups.values[four + lane]) + up_bias.values[lane];
            results.values[four + lane] = narrow<T>(result);
        }
    }
    store(activated + static_cast<size_t>(blockIdx.x) * features + feature, results);
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
