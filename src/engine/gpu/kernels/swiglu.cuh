// SwiGLU (Shazeer, 2020): silu(gate) * up.
#pragma once
#include "device.cuh"

template <typename T, int COUNT>
__device__ inline Neighbours<T, COUNT> swiglu_of(const Neighbours<T, COUNT>& gates, const Neighbours<T, COUNT>& ups) {
    Neighbours<T, COUNT> results;
#pragma unroll
    for (int lane = 0; lane < COUNT; lane++) {
        float gate = widen(gates.values[lane]);
        results.values[lane] = narrow<T>(__fdividef(gate, 1.f + __expf(-gate)) * widen(ups.values[lane]));
    }
    return results;
}
