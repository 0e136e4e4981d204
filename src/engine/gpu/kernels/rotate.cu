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
    // Heads that turn, heads of a row, and features of a head, an even number.
    int turned, heads, head_dim;
};

// By neighbours of which half of a head's features are a multiple.
template <int COUNT, typename T>
__device__ void rotate_by(T* products, const Rotation& rotation) {
    int half = rotation.head_dim / 2, parts = half / COUNT;
    T* row = products + static_cast<size_t>(blockIdx.x) * rotation.heads * rotation.head_dim;
    size_t angle = static_cast<size_t>(rotation.positions[blockIdx.x]) * half;
    // Neighbours of each half of a head at a time.
    int units = (rotation.bias ? rotation.heads : rotation.turned) * parts;
    for (int unit = threadIdx.x; unit < units; unit += blockDim.x) {
        int head = unit / parts, feature = unit % parts * COUNT, start = head * rotation.head_dim + feature;
        bool turns = head < rotation.turned;
        Neighbours<T, COUNT> one = load<COUNT>(row + start), other = load<COUNT>(row + start + half);
        Neighbours<float, COUNT> one_bias = {}, other_bias = {}, cosine = {}, sine = {};
        if (rotation.bias) {
            one_bias = load<COUNT>(rotation.bias + start);
            other_bias = load<COUNT>(rotation.bias + start + half);
        }
        if (turns) {
            cosine = load<COUNT>(rotation.cosines + angle + feature);
            sine = load<COUNT>(rotation.sines + angle + feature);
        }
#pragma unroll
        for (int lane = 0; lane < COUNT; lane++) {
            float real = widen(one.values[lane]) + one_bias.values[lane];
            float imaginary = widen(other.values[lane]) + other_bias.values[lane];
            float turned = real * cosine.values[lane] - imaginary * sine.values[lane];
            float turned_other = imaginary * cosine.values[lane] + real * sine.values[lane];
            one.values[lane] = narrow<T>(turns ? turned : real);
            other.values[lane] = narrow<T>(turns ? turned_other : imaginary);
        }
        store(row + start, one);
        store(row + start + half, other);
    }
}

template <typename T>
__device__ void rotate(T* products, const Rotation& rotation) {
    if (rotation.head_dim % 4 == 0)
        rotate_by<2>(products, rotation);
    else
        rotate_by<1>(products, rotation);
}

#define KERNELS(T, name) \
    extern "C" __global__ void rotate_##name(T* products, Rotation rotation) { rotate(products, rotation); }
FOR_EACH_TYPE(KERNELS)
#undef KERNELS
