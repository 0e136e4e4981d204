// Rotary position embedding in the half-split layout of GPT-NeoX without norms of heads, in place on rows of heads, with the biases of
// the product that made them. A row is blockIdx.x: heads that turn, and others behind them, which get their biases.
#include "device.cuh"

struct Rotation {
    // Of all heads; may be missing.
    const float* bias;
    // (positions, head_dim / 2)
    const float* cosines;
    const float* sines;
    const uint32_t* positions;
    // Heads that turn, heads of a row, and features of a head, a multiple of four.
    int turned, heads, head_dim;
};

template <typename T>
__device__ void rotate(T* products, const Rotation& rotation) {
    int half = rotation.head_dim / 2, pairs = half / 2;
    T* row = products + static_cast<size_t>(blockIdx.x) * rotation.heads * rotation.head_dim;
    size_t angle = static_cast<size_t>(rotation.positions[blockIdx.x]) * half;
    // Two neighbours of each half of a head at a time.
    int units = (rotation.bias ? rotation.heads : rotation.turned) * pairs;
    for (int unit = threadIdx.x; unit < units; unit += blockDim.x) {
        int head = unit / pairs, feature = unit % pairs * 2, start = head * rotation.head_dim + feature;
        Neighbours<T, 2> one = load<2>(row + start), other = load<2>(row + start + half);
        Neighbours<float, 2> one_bias = {}, other_bias = {}, cosine = {{1.f, 1.f}}, sine = {};
        if (rotation.bias) {
            one_bias = load<2>(rotation.bias + start);
            other_bias = load<2>(rotation.bias + start + half);
        }
        if (head < rotation.turned) {
            cosine = load<2>(rotation.cosines + angle + feature);
            sine = load<2>(rotation.sines + angle + feature);
        }
#pragma unroll
        for (int lane = 0; lane < 2; lane++) {
            float real = widen(one.values[lane]) + one_bias.values[lane];
            float imaginary = widen(other.values[lane]) + other_bias.values[lane];
            one.values[lane] = narrow<T>(real * cosine.values[lane] - imaginary * sine.values[lane]);
            other.values[lane] = narrow<T>(imaginary * cosine.values[lane] + real * sine.values[lane]);
        }
        store(row + start, one);
        store(row + start + half, other);
    }
}

#define KERNELS(T, name) \
    extern "C" __global__ void rotate_##name(T* products, Rotation rotation) { rotate(products, rotation); }
FOR_EACH_TYPE(KERNELS)
#undef KERNELS
