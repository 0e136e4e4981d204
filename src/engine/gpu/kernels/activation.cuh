// Activations, by the number that the host gives them.
#pragma once
#include "device.cuh"

enum Activation { NONE, SILU, GELU, GELU_TANH, RELU, TANH };

// The normal distribution to 1e-7: Abramowitz and Stegun, 26.2.17 by way of 7.1.26.
__device__ inline float normal_distribution(float x) {
    constexpr float LOG2_E = 1.44269504f, SQRT_HALF = 0.70710678f;
    float z = fabsf(x) * SQRT_HALF;
    float t = __fdividef(1.f, fmaf(0.3275911f, z, 1.f));
    float sum = fmaf(1.061405429f, t, -1.453152027f);
    sum = fmaf(sum, t, 1.421413741f);
    sum = fmaf(sum, t, -0.284496736f);
    sum = fmaf(sum, t, 0.254829592f);
    float tail = 0.5f * t * sum * power_of_two(z * z * -LOG2_E);
    return x < 0.f ? tail : 1.f - tail;
}

__device__ inline float activate(float x, int activation) {
    switch (activation) {
        case SILU: return __fdividef(x, 1.f + __expf(-x));
        case GELU: return x * normal_distribution(x);
        case GELU_TANH: {
            // (1 + tanh(u)) / 2 = 1 / (1 + exp(-2 u))
            float u = 0.79788456f * fmaf(0.044715f * x * x, x, x);
            return __fdividef(x, 1.f + __expf(-2.f * u));
        }
        // What is not a number stays so.
        case RELU: return x < 0.f ? 0.f : x;
        case TANH: return tanhf(x);
        default: return x;
    }
}
