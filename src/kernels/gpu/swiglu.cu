// SwiGLU (Shazeer, 2020): silu(gate) * up, of a merged product (rows, 2 * features): gates, then ups.
#include "device.cuh"

// `features` is a multiple of what 16 bytes hold; a thread for each 16 bytes.
template <typename T>
__device__ void swiglu(const T* gates_and_ups, T* activated, int rows, int features) {
    using Values = Vector<T>;
    int vectors = features / Values::count;
    size_t index = static_cast<size_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (index >= static_cast<size_t>(rows) * vectors) return;
    size_t row = index / vectors, vector = index % vectors;
    const Values* inputs = reinterpret_cast<const Values*>(gates_and_ups) + row * 2 * vectors + vector;
    Values gates = inputs[0], ups = inputs[vectors], results;
#pragma unroll
    for (int lane = 0; lane < Values::count; lane++) {
        float gate = widen(gates.values[lane]);
        results.values[lane] = narrow<T>(__fdividef(gate, 1.f + __expf(-gate)) * widen(ups.values[lane]));
    }
    reinterpret_cast<Values*>(activated)[index] = results;
}

#define KERNELS(T, name)                                                                                              \
    extern "C" __global__ void swiglu_##name(const T* gates_and_ups, T* activated, int rows, int features) {         \
        swiglu(gates_and_ups, activated, rows, features);                                                             \
    }
FOR_EACH_TYPE(KERNELS)
#undef KERNELS
