// Biases of products.
#include "rows.cuh"

// rows += bias, of the first `features` of rows of `width` values; a row is blockIdx.x, and a thread has four of its features.
template <typename T>
__device__ void add_bias(T* rows, const float* bias, int width, int features) {
    int feature = (blockIdx.y * blockDim.x + threadIdx.x) * 4;
    if (feature >= features) return;
    T* place = rows + static_cast<size_t>(blockIdx.x) * width + feature;
    auto sum = [&](T value, float added) { return narrow<T>(widen(value) + added); };
    // Neighbours stand together where a multiple of four begins each row.
    if (width % 4 == 0 && features % 4 == 0 && reinterpret_cast<size_t>(bias) % 16 == 0) {
        Neighbours<T, 4> values = load<4>(place);
        Neighbours<float, 4> biases = load<4>(bias + feature);
#pragma unroll
        for (int lane = 0; lane < 4; lane++) values.values[lane] = sum(values.values[lane], biases.values[lane]);
        store(place, values);
    } else {
        for (int lane = 0; lane < 4 && feature + lane < features; lane++) place[lane] = sum(place[lane], bias[feature + lane]);
    }
}

// Every row (rows, features) becomes the bias, or zeros if that is missing: what a product is added to.
extern "C" __global__ void fill_rows(float* hidden, const float* bias, int rows, int features) {
    int row = blockIdx.x * blockDim.y + threadIdx.y;
    if (row >= rows) return;
    for_each<1>(features, [&](int feature) {
        hidden[static_cast<size_t>(row) * features + feature] = bias ? bias[feature] : 0.f;
    });
}

#define KERNELS(T, name)                                                                                  \
    extern "C" __global__ void add_bias_##name(T* rows, const float* bias, int width, int features) {     \
        add_bias(rows, bias, width, features);                                                            \
    }
FOR_EACH_TYPE(KERNELS)
#undef KERNELS
