// Hopper's products of a warpgroup (four warps): `wgmma`, which reads its operands from shared memory while the threads go on.
// As the PTX ISA 8.x describes it under "Asynchronous Warpgroup Level Matrix Instructions". For sm_90a alone.
//
// An operand is a tile of rows of 64 values (128 bytes), of which 16 bytes are a piece; piece p of row r stands at p ^ (r % 8)
// (the swizzle of 128 bytes), and the tile begins at a multiple of 1,024 bytes. Wider rows are several such tiles.
#pragma once
#include "device.cuh"

// Bytes of a row of a tile, and of the eight rows after which the swizzle repeats.
constexpr uint32_t ROW_BYTES = 128, EIGHT_ROWS = 1024;

// How the hardware is told of an operand that begins at a shared address. `next_tile`: bytes from one tile to the next, for an
// operand whose 64 columns of a tile are outputs; it is not looked at where they are inner features.
__device__ inline uint64_t operand(uint32_t address, uint32_t next_tile = 16) {
    uint32_t low = (address & 0x3ffff) >> 4 | next_tile >> 4 << 16;
    constexpr uint32_t SWIZZLE_128 = 1u << 30;
    uint32_t high = EIGHT_ROWS >> 4 | SWIZZLE_128;
    return static_cast<uint64_t>(high) << 32 | low;
}

#ifdef __CUDACC__

// Registers that the following products use are ready.
__device__ inline void begin_products() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
// The products since the last call are a group.
__device__ inline void commit_products() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
// All groups but the last `pending` are done; until then, nobody may touch their registers.
template <int pending>
__device__ inline void wait_for_products() {
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(pending) : "memory");
}
// Waits for the other threads of this warpgroup; `index` is another for each of the block's that do so.
__device__ inline void meet_warpgroup(int index) {
    // Barrier 0 is that of the whole block.
    asm volatile("bar.sync %0, 128;" ::"r"(index + 1) : "memory");
}
// What this thread has written to shared memory is there for products of the next barrier's other side; what others have
// written, and this thread has waited for, is there for its own products.
__device__ inline void show_to_products() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }

// The compiler keeps what it does with these registers on its side of this place.
template <int PARTS>
__device__ inline void pin(float (&sums)[PARTS][4]) {
#pragma unroll
    for (int part = 0; part < PARTS; part++)
#pragma unroll
        for (int value = 0; value < 4; value++) asm volatile("" : "+f"(sums[part][value])::"memory");
}

#define PART(i) "+f"(sums[i][0]), "+f"(sums[i][1]), "+f"(sums[i][2]), "+f"(sums[i][3])
#define PARTS_8 PART(0), PART(1), PART(2), PART(3), PART(4), PART(5), PART(6), PART(7)
#define PARTS_16 PARTS_8, PART(8), PART(9), PART(10), PART(11), PART(12), PART(13), PART(14), PART(15)
#define SUMS_32                                                                                                     \
    "{%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,"  \
    "%29,%30,%31}"
#define SUMS_64                                                                                                     \
    "{%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,"  \
    "%29,%30,%31,%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47,%48,%49,%50,%51,%52,%53,%54,%55," \
    "%56,%57,%58,%59,%60,%61,%62,%63}"

#define PRODUCTS(T, type)                                                                                              \
    /* sums (64 x 128) = or += left (64 x 16) * right (128 x 16)^T; rows of both are of inner features. */            \
    template <bool add>                                                                                                \
    __device__ inline void multiply_rows(float (&sums)[16][4], uint64_t left, uint64_t right, T) {                    \
        asm volatile("{\n.reg .pred add;\nsetp.ne.b32 add, %66, 0;\n"                                                 \
                     "wgmma.mma_async.sync.aligned.m64n128k16.f32." type "." type " " SUMS_64                          \
                     ", %64, %65, add, 1, 1, 0, 0;\n}\n"                                                               \
                     : PARTS_16                                                                                        \
                     : "l"(left), "l"(right), "n"(static_cast<int>(add)));                                             \
    }                                                                                                                  \
    /* The same of 64 rows on the right. */                                                                          \
    template <bool add>                                                                                                \
    __device__ inline void multiply_rows(float (&sums)[8][4], uint64_t left, uint64_t right, T) {                     \
        asm volatile("{\n.reg .pred add;\nsetp.ne.b32 add, %34, 0;\n"                                                 \
                     "wgmma.mma_async.sync.aligned.m64n64k16.f32." type "." type " " SUMS_32                           \
                     ", %32, %33, add, 1, 1, 0, 0;\n}\n"                                                               \
                     : PARTS_8                                                                                         \
                     : "l"(left), "l"(right), "n"(static_cast<int>(add)));                                             \
    }                                                                                                                  \
    /* sums (64 x 128) += left (64 x 16, in the lanes' shares) * right (16 x 128), rows of outputs. */                \
    __device__ inline void multiply_columns(float (&sums)[16][4], const uint32_t (&left)[4], uint64_t right, T) {     \
        asm volatile("wgmma.mma_async.sync.aligned.m64n128k16.f32." type "." type " " SUMS_64                          \
                     ", {%64,%65,%66,%67}, %68, 1, 1, 1, 1;"                                                           \
                     : PARTS_16                                                                                        \
                     : "r"(left[0]), "r"(left[1]), "r"(left[2]), "r"(left[3]), "l"(right));                            \
    }                                                                                                                  \
    /* The same with 64 outputs. */                                                                                    \
    __device__ inline void multiply_columns(float (&sums)[8][4], const uint32_t (&left)[4], uint64_t right, T) {      \
        asm volatile("wgmma.mma_async.sync.aligned.m64n64k16.f32." type "." type " " SUMS_32                           \
                     ", {%32,%33,%34,%35}, %36, 1, 1, 1, 1;"                                                           \
                     : PARTS_8                                                                                         \
                     : "r"(left[0]), "r"(left[1]), "r"(left[2]), "r"(left[3]), "l"(right));                            \
    }
PRODUCTS(bfloat16, "bf16")
PRODUCTS(float16, "f16")
#undef PRODUCTS

#else
#include "warpgroup_emulation.h"
#endif
