// Norms of all kinds on rows of the residual stream, a warp for each row: LayerNorm (Ba, Kiros and Hinton, 2016) and RMSNorm, of
// what a product has added to, with that product's bias; the result goes where it is asked for.
#include "rows.cuh"

template <typename T>
struct Normalization {
    // (rows, features)
    float* hidden;
    // Added to each row before the norm; may be missing.
    const float* added;
    // Both may be missing; without a weight the row is not normalized, but only copied.
    const float* weight;
    const float* bias;
    // The result, (rows, features); may be missing.
    T* normed;
    int rows, features;
    float epsilon;
    // Whether the mean is subtracted: LayerNorm.
    int centered;
    // Whether the result replaces the row.
    int replaces;
};

// Neighbours of a row, with what is added to them.
template <int COUNT, typename T>
__device__ inline Neighbours<float, COUNT> sums_of(const Normalization<T>& norm, const float* row, int feature) {
    Neighbours<float, COUNT> values = load<COUNT>(row + feature);
    if (!norm.added) return values;
    Neighbours<float, COUNT> added = load<COUNT>(norm.added + feature);
#pragma unroll
    for (int lane = 0; lane < COUNT; lane++) values.values[lane] += added.values[lane];
    return values;
}

// By neighbours of which the features are a multiple.
template <int COUNT, typename T>
__device__ void normalize_by(const Normalization<T>& norm) {
    int row = blockIdx.x * blockDim.y + threadIdx.y;
    if (row >= norm.rows) return;
    float* values = norm.hidden + static_cast<size_t>(row) * norm.features;
    float mean = 0.f, scale = 1.f;
    if (norm.weight) {
        float sum = 0.f, squares = 0.f;
        if (norm.centered) {
            for_each<COUNT>(norm.features, [&](int feature) {
                Neighbours<float, COUNT> inputs = sums_of<COUNT>(norm, values, feature);
#pragma unroll
                for (int lane = 0; lane < COUNT; lane++) sum += inputs.values[lane];
            });
            mean = sum_of_warp(sum) / norm.features;
        }
        for_each<COUNT>(norm.features, [&](int feature) {
            Neighbours<float, COUNT> inputs = sums_of<COUNT>(norm, values, feature);
#pragma unroll
            for (int lane = 0; lane < COUNT; lane++) {
                float rest = inputs.values[lane] - mean;
                squares += rest * rest;
            }
        });
        scale = 1.f / sqrtf(sum_of_warp(squares) / norm.features + norm.epsilon);
    }
    for_each<COUNT>(norm.features, [&](int feature) {
        Neighbours<float, COUNT> results = sums_of<COUNT>(norm, values, feature), weights = {}, biases = {};
        if (norm.weight) weights = load<COUNT>(norm.weight + feature);
        if (norm.bias) biases = load<COUNT>(norm.bias + feature);
        Neighbours<T, COUNT> narrowed;
#pragma unroll
        for (int lane = 0; lane < COUNT; lane++) {
            if (norm.weight) {
                float result = (results.values[lane] - mean) * scale * weights.values[lane];
                results.values[lane] = result + biases.values[lane];
            }
            narrowed.values[lane] = narrow<T>(results.values[lane]);
        }
        // A lane alone reads and writes these features.
        if (norm.replaces) store(values + feature, results);
        if (norm.normed) store(norm.normed + static_cast<size_t>(row) * norm.features + feature, narrowed);
    });
}

template <typename T>
__device__ void normalize(const Normalization<T>& norm) {
    if (norm.features % 4 == 0)
        normalize_by<4>(norm);
    else
        normalize_by<1>(norm);
}

#define KERNELS(T, name) \
    extern "C" __global__ void normalize_##name(Normalization<T> norm) { normalize(norm); }
FOR_EACH_TYPE(KERNELS)
#undef KERNELS
