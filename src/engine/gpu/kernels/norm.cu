// Row-wise kernels on the residual stream, a warp for each row: embedding, RMSNorm, gathering, the head.
#include "rms.cuh"

// Rows of tables: of tokens, and of positions and token types where a model has them.
template <typename T>
struct Embedding {
    const uint32_t* token_ids;
    const T* tokens;
    // Row `first` is that of position 0; may be missing.
    const uint32_t* positions;
    const T* position_rows;
    // May be missing.
    const uint32_t* token_types;
    const T* type_rows;
    int first, count, features;
    // What a token's row is multiplied by.
    float scale;
};

// hidden (tokens, features) = sums of rows of the tables.
template <typename T>
__device__ void embed(const Embedding<T>& embedding, float* hidden) {
    int token = blockIdx.x * blockDim.y + threadIdx.y;
    if (token >= embedding.count) return;
    size_t features = embedding.features;
    const T* row = embedding.tokens + embedding.token_ids[token] * features;
    const T* of_position = nullptr;
    const T* of_type = nullptr;
    if (embedding.position_rows)
        of_position = embedding.position_rows + (embedding.first + embedding.positions[token]) * features;
    if (embedding.type_rows) of_type = embedding.type_rows + embedding.token_types[token] * features;
    float* target = hidden + token * features;
    for (int feature = threadIdx.x; feature < embedding.features; feature += 32) {
        float value = widen(row[feature]) * embedding.scale;
        if (of_type) value += widen(of_type[feature]);
        if (of_position) value += widen(of_position[feature]);
        target[feature] = value;
    }
}

// normed (rows, features) = hidden * scale * weight
template <typename T>
__device__ void rms_norm(const float* hidden, const float* weight, T* normed, int rows, int features, float epsilon) {
    int row = blockIdx.x * blockDim.y + threadIdx.y;
    if (row >= rows) return;
    const float* values = hidden + static_cast<size_t>(row) * features;
    T* target = normed + static_cast<size_t>(row) * features;
    float scale = scale_of(values, features, epsilon);
    for_each_four(features, [&](int feature) {
        store(target + feature, normed_of<T>(load<4>(values + feature), scale, load<4>(weight + feature)));
    });
}

// gathered (count, features) = hidden[rows]
extern "C" __global__ void gather_rows(const float* hidden, const uint32_t* rows, float* gathered, int count, int features) {
    int index = blockIdx.x * blockDim.y + threadIdx.y;
    if (index >= count) return;
    const float* row = hidden + static_cast<size_t>(rows[index]) * features;
    float* target = gathered + static_cast<size_t>(index) * features;
    for (int feature = threadIdx.x; feature < features; feature += 32) target[feature] = row[feature];
}

// logits (rows) = norm(hidden) . head
extern "C" __global__ void score_rows(const float* hidden, const float* weight, const float* head, float* logits, int rows,
                                      int features, float epsilon) {
    int row = blockIdx.x * blockDim.y + threadIdx.y;
    if (row >= rows) return;
    const float* values = hidden + static_cast<size_t>(row) * features;
    float scale = scale_of(values, features, epsilon);
    float sum = 0.f;
    for (int feature = threadIdx.x; feature < features; feature += 32)
        sum += values[feature] * scale * weight[feature] * head[feature];
    sum = sum_of_warp(sum);
    if (threadIdx.x == 0) logits[row] = sum;
}

#define KERNELS(T, name)                                                                                                     \
    extern "C" __global__ void embed_##name(Embedding<T> embedding, float* hidden) { embed(embedding, hidden); }             \
    extern "C" __global__ void rms_norm_##name(const float* hidden, const float* weight, T* normed, int rows, int features,  \
                                               float epsilon) {                                                              \
        rms_norm(hidden, weight, normed, rows, features, epsilon);                                                           \
    }
FOR_EACH_TYPE(KERNELS)
#undef KERNELS
