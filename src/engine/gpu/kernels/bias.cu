// Biases of products, of rows whose features are a multiple of four.
#include "rows.cuh"

// rows += bias, of the first `features` of rows of `width` values; a row is blockIdx.x, and a thread has four of its features.
template <typename T>
__device__ void add_bias(T* rows, const float* bias, int width, int features) {
    int feature = (blockIdx.y * blockDim.x + threadIdx.x) * 4;
    if (feature >= features) return;
    T* place = rows + static_cast<size_t>(blockIdx.x) * width + feature;
    Neighbours<T, 4> values = load<4>(place);
    Neighbours<float, 4> biases = load<4>(bias + feature);
#pragma unroll
    for (int lane = 0; lane < 4; lane++) values.values[lane] = narrow<T>(widen(values.values[lane]) + biases.values[lane]);
    store(place, values);
}

// Every row (rows, features) becomes the bias, or zeros if that is missing: what a product is added to.
extern "C" __global__ void fill_rows(float* hidden, const float* bias, int rows, int features) {
    int row = blockIdx.x * blockDim.y + threadIdx.y;
    if (row >= rows) return;
    for_each_four(features, [&](int feature) {
        Neighbours<float, 4> values = {};
        if (bias) values = load<4>(bias + feature);
        store(hidden + static_cast<size_t>(row) * features + feature, values);
    });
}

#define KERNELS(T, name)                                                                                  \
    extern "C" __global__ void add_bias_##name(T* rows, const float* bias, int width, int features) {     \
        add_bias(rows, bias, width, features);                                                            \
    }
FOR_EACH_TYPE(KERNELS)
#undef KERNELS
