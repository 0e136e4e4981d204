// What all kernels share: types of activations, and the few instructions that C++ has no words for. Compiled by nvcc for the
// GPU, and by a C++ compiler for tests, where `emulation.h` stands for the GPU's side.
#pragma once

#ifdef __CUDACC__
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_fp8.h>
#include <cstdint>

#define DYNAMIC_SHARED(name) extern __shared__ __align__(128) unsigned char name[]

using bfloat16 = __nv_bfloat16;
using float16 = __half;

// Four 8 x 8 matrices of 16-bit values from shared memory: `row` of lane 8 i + r is row r of matrix i. A lane gets, of
// matrix i, the values 2 (lane % 4) and the next of row lane / 4 in `matrices[i]` (of the transposed matrix, if `transposed`).
template <bool transposed>
__device__ inline void load_matrices(uint32_t (&matrices)[4], const void* row) {
    uint32_t address = static_cast<uint32_t>(__cvta_generic_to_shared(row));
    if constexpr (transposed) {
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                     : "=r"(matrices[0]), "=r"(matrices[1]), "=r"(matrices[2]), "=r"(matrices[3])
                     : "r"(address)
                     : "memory");
    } else {
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                     : "=r"(matrices[0]), "=r"(matrices[1]), "=r"(matrices[2]), "=r"(matrices[3])
                     : "r"(address)
                     : "memory");
    }
}

// sums (16 x 8) += left (16 x 16) * right (16 x 8), in the lanes' shares that PTX calls m16n8k16.
__device__ inline void multiply_add(float (&sums)[4], const uint32_t (&left)[4], uint32_t right0, uint32_t right1, bfloat16) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
                 : "r"(left[0]), "r"(left[1]), "r"(left[2]), "r"(left[3]), "r"(right0), "r"(right1));
}
__device__ inline void multiply_add(float (&sums)[4], const uint32_t (&left)[4], uint32_t right0, uint32_t right1, float16) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
                 : "r"(left[0]), "r"(left[1]), "r"(left[2]), "r"(left[3]), "r"(right0), "r"(right1));
}

// 16 bytes from global to shared memory, on their way until `wait_for_copies`; zeros unless `present`.
__device__ inline void copy_async(void* shared, const void* global, bool present) {
    uint32_t address = static_cast<uint32_t>(__cvta_generic_to_shared(shared));
    int bytes = present ? 16 : 0;
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(address), "l"(global), "r"(bytes) : "memory");
}
// What this thread has set out since the last call is a group.
__device__ inline void commit_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }
// All groups of this thread but the last `pending` have arrived.
template <int pending>
__device__ inline void wait_for_copies() {
    asm volatile("cp.async.wait_group %0;" ::"n"(pending) : "memory");
}

// Where something stands in the block's shared memory.
__device__ inline uint32_t shared_address(const void* shared) {
    return static_cast<uint32_t>(__cvta_generic_to_shared(shared));
}

// Two neighbours that stand at an even place, in one access.
template <typename T>
__device__ inline uint32_t load_pair(const T* pair) {
    return *reinterpret_cast<const uint32_t*>(pair);
}
template <typename T>
__device__ inline void store_pair(T* pair, uint32_t word) {
    *reinterpret_cast<uint32_t*>(pair) = word;
}

// 16 bytes at once, which the compiler divides where they are copied as neighbours.
template <typename T>
__device__ inline void copy_piece(T* to, const T* from) {
    *reinterpret_cast<uint4*>(to) = *reinterpret_cast<const uint4*>(from);
}

// A value in shared memory, which tests see being read and written.
template <typename T>
using Observed = T;

// Two neighbours as the nearest of E4M3, the first in the lower byte; beyond the largest, 448, the largest.
__device__ inline uint16_t narrow_to_e4m3(float first, float second) {
    return __nv_cvt_float2_to_fp8x2(make_float2(first, second), __NV_SATFINITE, __NV_E4M3);
}

// To 2 units in the last place, 0 for what is too small.
__device__ inline float power_of_two(float x) {
    float power;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(power) : "f"(x));
    return power;
}

#else
#include "emulation.h"
#endif

__device__ inline float widen(float value) { return value; }
__device__ inline float widen(bfloat16 value) { return __bfloat162float(value); }
__device__ inline float widen(float16 value) { return __half2float(value); }

template <typename T>
__device__ inline T narrow(float value);
template <>
__device__ inline float narrow<float>(float value) { return value; }
template <>
__device__ inline bfloat16 narrow<bfloat16>(float value) { return __float2bfloat16(value); }
template <>
__device__ inline float16 narrow<float16>(float value) { return __float2half(value); }

// Two neighbours in a register, the first in the lower half.
template <typename T>
__device__ inline uint32_t narrow_pair(float first, float second) {
    T pair[2] = {narrow<T>(first), narrow<T>(second)};
    uint32_t word;
    memcpy(&word, pair, sizeof word);
    return word;
}

// Neighbours that stand where their number divides the index of the first, read and written at once.
template <typename T, int COUNT>
struct alignas(COUNT * sizeof(T)) Neighbours {
    T values[COUNT];
};
template <int COUNT, typename T>
__device__ inline Neighbours<T, COUNT> load(const T* first) {
    return *reinterpret_cast<const Neighbours<T, COUNT>*>(first);
}
template <int COUNT, typename T>
__device__ inline void store(T* first, const Neighbours<T, COUNT>& neighbours) {
    *reinterpret_cast<Neighbours<T, COUNT>*>(first) = neighbours;
}

constexpr unsigned ALL_LANES = 0xffffffffu;

// What the values of a warp's lanes become in pairs, and pairs of pairs: in all lanes.
template <typename Combine>
__device__ inline float exchange(float value, Combine combine) {
    for (int distance = 16; distance > 0; distance /= 2) value = combine(value, __shfl_xor_sync(ALL_LANES, value, distance));
    return value;
}
#ifdef __CUDACC__
template <typename Combine>
__device__ inline float reduce_warp(float value, Combine combine) {
    return exchange(value, combine);
}
#endif

__device__ inline float sum_of_warp(float value) {
    return reduce_warp(value, [](float one, float other) { return one + other; });
}

__device__ inline float max_of_warp(float value) {
    return reduce_warp(value, [](float one, float other) { return fmaxf(one, other); });
}

// One kernel for each type of activations, under names that the host looks up.
#define FOR_EACH_TYPE(kernel) \
    kernel(float, f32)        \
    kernel(bfloat16, bf16)    \
    kernel(float16, f16)
