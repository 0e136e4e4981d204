// What kernels share in which a warp has a row.
#pragma once
#include "device.cuh"

// Each lane's share of a row, whose features are a multiple of four.
template <typename Work>
__device__ inline void for_each_four(int features, Work work) {
    for (int feature = threadIdx.x * 4; feature < features; feature += 128) work(feature);
}
