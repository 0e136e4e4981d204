// RMSNorm (Zhang and Sennrich, 2019) of a row, by a warp.
#pragma once
#include "rows.cuh"

// 1 / sqrt(mean(x^2) + epsilon) of a row, in all lanes.
__device__ inline float scale_of(const float* row, int features, float epsilon) {
    float squares = 0.f;
    for_each_four(features, [&](int feature) {
        Neighbours<float, 4> values = load<4>(row + feature);
#pragma unroll
        for (int lane = 0; lane < 4; lane++) squares += values.values[lane] * values.values[lane];
    });
    return 1.f / sqrtf(sum_of_warp(squares) / features + epsilon);
}

template <typename T>
__device__ inline Neighbours<T, 4> normed_of(const Neighbours<float, 4>& values, float scale, const Neighbours<float, 4>& weights) {
    Neighbours<T, 4> results;
#pragma unroll
    for (int lane = 0; lane < 4; lane++) results.values[lane] = narrow<T>(values.values[lane] * scale * weights.values[lane]);
    return results;
}
