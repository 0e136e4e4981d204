// Activations in E4M3, by rows of which each has a scale: its largest value becomes the largest number, 448. What is computed on the
// way is rounded to the type of activations first, so that a row has the same bits whether it stood in memory or not.
#include "rms.cuh"
#include "swiglu.cuh"

namespace quantization {

constexpr float LARGEST = 448.f;
// Rows of smaller values are zeros: the scale's inverse would be infinite.
constexpr float SMALLEST = 1e-30f;
constexpr int COUNT = 8;

struct Scale {
    // By what E4M3's numbers are multiplied, and values before they are rounded to them.
    float scale, inverse;
};

__device__ inline Scale scale_for(float largest) {
    return {largest / LARGEST, largest > SMALLEST ? LARGEST / largest : 0.f};
}

template <typename T>
__device__ inline float largest_of(const Neighbours<T, COUNT>& neighbours, float largest) {
#pragma unroll
    for (int lane = 0; lane < COUNT; lane++) largest = fmaxf(largest, fabsf(widen(neighbours.values[lane])));
    return largest;
}

template <typename T>
__device__ inline void store_scaled(uint8_t* first, const Neighbours<T, COUNT>& neighbours, float inverse) {
    Neighbours<uint16_t, COUNT / 2> pairs;
#pragma unroll
    for (int pair = 0; pair < COUNT / 2; pair++)
        pairs.values[pair] = narrow_to_e4m3(widen(neighbours.values[2 * pair]) * inverse,
                                            widen(neighbours.values[2 * pair + 1]) * inverse);
    store(reinterpret_cast<uint16_t*>(first), pairs);
}

// A warp rounds a row, of which `read` gives the neighbours from a feature on.
template <typename T, typename Read>
__device__ inline void quantize_row(uint8_t* target, float* scales, int row, int features, Read read) {
    float largest = 0.f;
    for_each<COUNT>(features, [&](int feature) { largest = largest_of<T>(read(feature), largest); });
    Scale scale = scale_for(max_of_warp(largest));
    if (threadIdx.x == 0) scales[row] = scale.scale;
    target += static_cast<size_t>(row) * features;
    for_each<COUNT>(features, [&](int feature) { store_scaled<T>(target + feature, read(feature), scale.inverse); });
}

template <typename T>
__device__ void quantize_rows(const T* values, uint8_t* quantized, float* scales, int rows, int features) {
    int row = blockIdx.x * blockDim.y + threadIdx.y;
    if (row >= rows) return;
    const T* from = values + static_cast<size_t>(row) * features;
    quantize_row<T>(quantized, scales, row, features, [&](int feature) { return load<COUNT>(from + feature); });
}

template <typename T>
__device__ void rms_norm_quantized(const float* hidden, const float* weight, uint8_t* quantized, float* scales, int rows,
                                   int features, float epsilon) {
    int row = blockIdx.x * blockDim.y + threadIdx.y;
    if (row >= rows) return;
    const float* values = hidden + static_cast<size_t>(row) * features;
    float of_row = scale_of(values, features, epsilon);
    quantize_row<T>(quantized, scales, row, features, [&](int feature) {
        Neighbours<T, COUNT> results;
#pragma unroll
        for (int part = 0; part < COUNT; part += 4) {
            auto four = normed_of<T>(load<4>(values + feature + part), of_row, load<4>(weight + feature + part));
            memcpy(&results.values[part], &four, sizeof four);
        }
        return results;
    });
}

constexpr int THREADS = 256, WARPS = THREADS / 32;

// A block has a row, which stands in its shared memory in between; behind it stand the largest values of the warps.
template <typename T>
__device__ void swiglu_quantized(const T* gates_and_ups, uint8_t* quantized, float* scales, int features) {
    DYNAMIC_SHARED(shared);
    T* activated = reinterpret_cast<T*>(shared);
    float* of_warps = reinterpret_cast<float*>(activated + features);
    const T* row = gates_and_ups + static_cast<size_t>(blockIdx.x) * 2 * features;
    float largest = 0.f;
    for (int feature = threadIdx.x * COUNT; feature < features; feature += THREADS * COUNT) {
        Neighbours<T, COUNT> results = swiglu_of(load<COUNT>(row + feature), load<COUNT>(row + features + feature));
        largest = largest_of<T>(results, largest);
        store(activated + feature, results);
    }
    largest = max_of_warp(largest);
    if (threadIdx.x % 32 == 0) of_warps[threadIdx.x / 32] = largest;
    __syncthreads();
    for (int warp = 0; warp < WARPS; warp++) largest = fmaxf(largest, of_warps[warp]);
    Scale scale = scale_for(largest);
    if (threadIdx.x == 0) scales[blockIdx.x] = scale.scale;
    uint8_t* target = quantized + static_cast<size_t>(blockIdx.x) * features;
    for (int feature = threadIdx.x * COUNT; feature < features; feature += THREADS * COUNT)
        store_scaled<T>(target + feature, load<COUNT>(activated + feature), scale.inverse);
}

}  // namespace quantization

// Everything around products of E4M3 is computed in bf16.
extern "C" __global__ void quantize_rows_bf16(const bfloat16* values, uint8_t* quantized, float* scales, int rows, int features) {
    quantization::quantize_rows(values, quantized, scales, rows, features);
}
extern "C" __global__ void rms_norm_quantized_bf16(const float* hidden, const float* weight, uint8_t* quantized, float* scales,
                                                   int rows, int features, float epsilon) {
    quantization::rms_norm_quantized<bfloat16>(hidden, weight, quantized, scales, rows, features, epsilon);
}
extern "C" __global__ void swiglu_quantized_bf16(const bfloat16* gates_and_ups, uint8_t* quantized, float* scales, int features) {
    quantization::swiglu_quantized(gates_and_ups, quantized, scales, features);
}
