// SwiGLU of a merged product (rows, 2 * features): gates, then ups.
#include "swiglu.cuh"

// `features` is a multiple of what 16 bytes hold; a row is blockIdx.x, and a thread has 16 bytes of it.
template <typename T>
__device__ void swiglu(const T* gates_and_ups, T* activated, int features) {
    constexpr int COUNT = 16 / sizeof(T);
    int feature = (blockIdx.y * blockDim.x + threadIdx.x) * COUNT;
    if (feature >= features) return;
    const T* row = gates_and_ups + static_cast<size_t>(blockIdx.x) * 2 * features + feature;
    store(activated + static_cast<size_t>(blockIdx.x) * features + feature, swiglu_of(load<COUNT>(row), load<COUNT>(row + features)));
}

#define KERNELS(T, name)                                                                                              \
    extern "C" __global__ void swiglu_##name(const T* gates_and_ups, T* activated, int features) {                   \
        swiglu(gates_and_ups, activated, features);                                                                   \
    }
FOR_EACH_TYPE(KERNELS)
#undef KERNELS
