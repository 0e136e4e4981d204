// What kernels share in which a warp has a row.
#pragma once
#include "device.cuh"

// Each lane's share of a row, by neighbours of which the features are a multiple.
template <int COUNT, typename Work>
__device__ inline void for_each(int features, Work work) {
    for (int feature = threadIdx.x * COUNT; feature < features; feature += 32 * COUNT) work(feature);
}
template <typename Work>
__device__ inline void for_each_four(int features, Work work) {
    for_each<4>(features, work);
}
