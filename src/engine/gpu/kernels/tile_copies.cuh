// Hopper's copies of whole tiles between global and shared memory, the barriers that count their bytes, and clusters: blocks that
// run at the same time and reach each other's shared memory. As the PTX ISA 8.x describes them under "Tensor", "mbarrier" and "cluster
// dimensions". For sm_90a alone. Shared memory goes by addresses (`shared_address`).
//
// A tile has rows of 128 bytes, in the swizzle of warpgroup.cuh. What lies outside of a matrix is zeros when it is read, and is
// not written.
#pragma once
#include "device.cuh"

// A matrix that tiles are copied from or to, as the driver describes it.
struct alignas(128) TileMap {
    uint64_t opaque[16];
};

#ifdef __CUDACC__

// A barrier is 8 bytes. Its phase ends when so many have arrived and all expected bytes have come.
__device__ inline void begin_barrier(uint32_t barrier, uint32_t count) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(count) : "memory");
}
// Barriers that this thread has begun are known to copies and to the cluster, after the cluster has met.
__device__ inline void show_barriers() {
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}
__device__ inline void arrive(uint32_t barrier) {
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(barrier) : "memory");
}
// Arrives when what this thread has copied by `copy_async` so far has come. Whoever waits must show it to products.
__device__ inline void arrive_when_copied(uint32_t barrier) {
    asm volatile("cp.async.mbarrier.arrive.noinc.shared::cta.b64 [%0];" ::"r"(barrier) : "memory");
}
// Arrives, and lets the phase wait for bytes.
__device__ inline void arrive_expecting(uint32_t barrier, uint32_t bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes) : "memory");
}
__device__ inline bool has_ended(uint32_t barrier, uint32_t parity) {
    uint32_t ended;
    asm volatile("{\n.reg .pred ended;\nmbarrier.try_wait.parity.shared::cta.b64 ended, [%1], %2;\nselp.u32 %0, 1, 0, ended;\n}\n"
                 : "=r"(ended)
                 : "r"(barrier), "r"(parity)
                 : "memory");
    return ended;
}
// Waits for the end of the phase of this parity; phases are counted from 0, and the one before the first has ended. A phase that
// is two behind looks like the one that is meant: whoever waits must not fall so far behind.
__device__ inline void wait_for_phase(uint32_t barrier, uint32_t parity) {
    while (!has_ended(barrier, parity)) {
    }
}

// A tile to shared memory; its bytes count for the barrier. Asked for by one thread.
__device__ inline void fetch_tile(uint32_t to, const TileMap* from, uint32_t barrier, int column, int row) {
    asm volatile(
        "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4}], [%2];" ::"r"(to),
        "l"(from), "r"(barrier), "r"(column), "r"(row)
        : "memory");
}
// The same for all blocks of the cluster that `blocks` has a bit for, in the same place of each, and for the barrier there.
__device__ inline void fetch_tile_for(uint16_t blocks, uint32_t to, const TileMap* from, uint32_t barrier, int column, int row) {
    asm volatile(
        "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster [%0], [%1, {%3, %4}], "
        "[%2], %5;" ::"r"(to),
        "l"(from), "r"(barrier), "r"(column), "r"(row), "h"(blocks)
        : "memory");
}
// A tile from shared memory, that was shown to copies (`show_to_products`). Asked for by one thread, whose copies since the last
// call of `commit_stores` are a group.
__device__ inline void store_tile(const TileMap* to, uint32_t from, int column, int row) {
    asm volatile("cp.async.bulk.tensor.2d.global.shared::cta.bulk_group [%0, {%2, %3}], [%1];" ::"l"(to), "r"(from),
                 "r"(column), "r"(row)
                 : "memory");
}
__device__ inline void commit_stores() { asm volatile("cp.async.bulk.commit_group;" ::: "memory"); }
// The shared memory of all groups but the last `pending` can be written again.
template <int pending>
__device__ inline void wait_for_reads() {
    asm volatile("cp.async.bulk.wait_group.read %0;" ::"n"(pending) : "memory");
}
__device__ inline void wait_for_stores() { asm volatile("cp.async.bulk.wait_group 0;" ::: "memory"); }

// Four 8 x 8 matrices of 16-bit values to shared memory, as `load_matrices` has them.
__device__ inline void store_matrices(uint32_t row, uint32_t first, uint32_t second, uint32_t third, uint32_t fourth) {
    asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1,%2,%3,%4};" ::"r"(row), "r"(first), "r"(second), "r"(third),
                 "r"(fourth)
                 : "memory");
}

// Which block of its cluster this is.
__device__ inline uint32_t rank_in_cluster() {
    uint32_t rank;
    asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
    return rank;
}
// The same place in another block of the cluster.
__device__ inline uint32_t address_in(uint32_t address, uint32_t rank) {
    uint32_t there;
    asm volatile("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(there) : "r"(address), "r"(rank));
    return there;
}
// Arrives at a barrier of any block of the cluster. Without a fence: what this thread has read, it has waited for.
__device__ inline void arrive_in_cluster(uint32_t barrier) {
    asm volatile("mbarrier.arrive.shared::cluster.b64 _, [%0];" ::"r"(barrier) : "memory");
}
__device__ inline void meet_cluster() {
    asm volatile("barrier.cluster.arrive.release.aligned;" ::: "memory");
    asm volatile("barrier.cluster.wait.acquire.aligned;" ::: "memory");
}

// How many registers each thread of a warpgroup has from now on: more or fewer than before.
template <int count>
__device__ inline void take_registers() {
    asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(count));
}
template <int count>
__device__ inline void give_registers() {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(count));
}

#else
#include "tile_copies_emulation.h"
#endif
