// SwiGLU (Shazeer, 2020): silu(gate) * up, of a merged product (rows, 2 * features): gates, then ups.
#include "device.cuh"

// `features` is a multiple of what 16 bytes hold; a row is blockIdx.x, and a thread has 16 bytes of it.
template <typename T>
__device__ void swiglu(const T* gates_and_ups, T* activated, int features) {
    using Values = Vector<T>;
    int vectors = features / Values::count, vector = blockIdx.y * blockDim.x + threadIdx.x;
    if (vector >= vectors) return;
    size_t row = blockIdx.x;
    const Values* inputs = reinterpret_cast<const Values*>(gates_and_ups) + row * 2 * vectors + vector;
    Values gates = inputs[0], ups = inputs[vectors], results;
#pragma unroll
    for (int lane = 0; lane < Values::count; lane++) {
        float gate = widen(gates.values[lane]);
        results.values[lane] = narrow<T>(__fdividef(gate, 1.f + __expf(-gate)) * widen(ups.values[lane]));
    }
    reinterpret_cast<Values*>(activated)[row * vectors + vector] = results;
}

#define KERNELS(T, name)                                                                                              \
    extern "C" __global__ void swiglu_##name(const T* gates_and_ups, T* activated, int features) {                   \
        swiglu(gates_and_ups, activated, features);                                                                   \
    }
FOR_EACH_TYPE(KERNELS)
#undef KERNELS
