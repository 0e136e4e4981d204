// A GPU's side of CUDA on a CPU, for tests: the threads of a block are fibers that take turns, block after block, or cluster after
// cluster. Instructions of a warp meet in a barrier; copies arrive only when they are waited for, and shared memory is garbage
// until then.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <vector>

#include "races.h"

#define __global__
#define __device__
#define __launch_bounds__(threads, blocks)
#define __cluster_dims__(...)
#define __grid_constant__
#define DYNAMIC_SHARED(name) unsigned char* name = emulation::shared_memory()

struct alignas(16) uint4 {
    uint32_t x, y, z, w;
};
struct float16 {
    uint16_t bits;
};
struct bfloat16 {
    uint16_t bits;
};

inline float __bfloat162float(bfloat16 value) {
    uint32_t bits = static_cast<uint32_t>(value.bits) << 16;
    float wide;
    memcpy(&wide, &bits, 4);
    return wide;
}
inline bfloat16 __float2bfloat16(float value) {
    uint32_t bits;
    memcpy(&bits, &value, 4);
    if (std::isnan(value)) return {0x7fff};
    return {static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16)};
}
inline float __half2float(float16 value) {
    _Float16 narrow;
    memcpy(&narrow, &value.bits, 2);
    return static_cast<float>(narrow);
}
inline float16 __float2half(float value) {
    _Float16 narrow = static_cast<_Float16>(value);
    float16 result;
    memcpy(&result.bits, &narrow, 2);
    return result;
}
inline uint8_t to_e4m3(float value) {
    if (std::isnan(value)) return 0x7f;
    uint8_t sign = std::signbit(value) ? 0x80 : 0;
    double size = std::fabs(static_cast<double>(value));
    if (size >= 448) return sign | 0x7e;
    // Below the smallest exponent, steps stay as they are.
    int exponent = size < 0x1p-6 ? -6 : std::ilogb(size);
    auto steps = static_cast<int>(std::nearbyint(std::ldexp(size, 3 - exponent)));
    return static_cast<uint8_t>(sign | ((exponent + 6) * 8 + steps));
}
inline uint16_t narrow_to_e4m3(float first, float second) {
    return static_cast<uint16_t>(to_e4m3(first) | to_e4m3(second) << 8);
}
inline float from_e4m3(uint8_t bits) {
    int exponent = bits >> 3 & 15, steps = bits & 7;
    if ((bits & 0x7f) == 0x7f) return NAN;
    double size = exponent == 0 ? std::ldexp(steps, -9) : std::ldexp(8 + steps, exponent - 10);
    return static_cast<float>(bits & 0x80 ? -size : size);
}
template <typename T>
uint32_t load_pair(const T* pair) {
    if (reinterpret_cast<uintptr_t>(pair) % 4 != 0) abort();
    uint32_t word;
    memcpy(&word, pair, 4);
    return word;
}
inline float power_of_two(float x) { return std::exp2(x); }
inline float __expf(float x) { return std::exp(x); }
inline float rsqrtf(float x) { return 1.f / std::sqrt(x); }
inline float __fdividef(float a, float b) { return a / b; }
using std::max;
using std::min;

struct Dimensions {
    unsigned x = 1, y = 1;
};
// Threads of the processor launch kernels independently of each other.
inline thread_local Dimensions threadIdx, blockIdx, blockDim, gridDim;

// Goes on where `to` stopped, and keeps in `from` where this stops: registers that a call keeps are on the stack, and so is
// the address to return to. (The C library's contexts cost two system calls a switch.)
extern "C" void emulation_switch(void** from, void* to);
#if defined(__x86_64__)
constexpr int KEPT = 6;
asm(".text\n.globl emulation_switch\n"
    "emulation_switch:\n"
    "  pushq %rbp\n  pushq %rbx\n  pushq %r12\n  pushq %r13\n  pushq %r14\n  pushq %r15\n"
    "  movq %rsp, (%rdi)\n"
    "  movq %rsi, %rsp\n"
    "  popq %r15\n  popq %r14\n  popq %r13\n  popq %r12\n  popq %rbx\n  popq %rbp\n"
    "  ret\n");
#elif defined(__aarch64__)
// x30, where to return to, is the second of the first pair.
constexpr int KEPT = 20;
asm(".text\n.globl emulation_switch\n"
    "emulation_switch:\n"
    "  sub sp, sp, #160\n"
    "  stp x29, x30, [sp]\n  stp x19, x20, [sp, #16]\n  stp x21, x22, [sp, #32]\n  stp x23, x24, [sp, #48]\n"
    "  stp x25, x26, [sp, #64]\n  stp x27, x28, [sp, #80]\n  stp d8, d9, [sp, #96]\n  stp d10, d11, [sp, #112]\n"
    "  stp d12, d13, [sp, #128]\n  stp d14, d15, [sp, #144]\n"
    "  mov x2, sp\n  str x2, [x0]\n  mov sp, x1\n"
    "  ldp x29, x30, [sp]\n  ldp x19, x20, [sp, #16]\n  ldp x21, x22, [sp, #32]\n  ldp x23, x24, [sp, #48]\n"
    "  ldp x25, x26, [sp, #64]\n  ldp x27, x28, [sp, #80]\n  ldp d8, d9, [sp, #96]\n  ldp d10, d11, [sp, #112]\n"
    "  ldp d12, d13, [sp, #128]\n  ldp d14, d15, [sp, #144]\n"
    "  add sp, sp, #160\n  ret\n");
#else
#error "fibers are written for x86-64 and AArch64"
#endif

namespace emulation {

struct Copy {
    unsigned char* target;
    unsigned char bytes[16];
};

// Where fibers wait for one another.
struct Barrier {
    int waiting = 0, generation = 0;
};

struct Fiber {
    static constexpr size_t STACK = 64 << 10;
    // What stacks begin apart from each other, so that those of a warp have lines of their own in the processor's cache.
    static constexpr size_t APART = 5 * 64;
    // Where it stopped.
    void* stopped = nullptr;
    std::unique_ptr<unsigned char[]> stack{new unsigned char[STACK]};
    Dimensions index;
    bool done = false;
    // The barrier at which it waits, and which of its meetings that is.
    const Barrier* waits_at = nullptr;
    int meeting = 0;
    // The phase of a barrier in shared memory which it waits to see end, and what that phase is.
    const uint8_t* phase = nullptr;
    uint32_t parity = 0;
    // The latest of what its warp was shown.
    unsigned shows = 0;
    // Groups of copies that have not been waited for; the last is not committed yet.
    std::vector<std::vector<Copy>> copies;
    // Pieces of shared memory that copies have written, and that a warpgroup's products must not read yet.
    std::vector<size_t> unshown;

    // Whether what it waits for is still to come, so that it need not be woken to see that.
    bool waits() const { return (waits_at && waits_at->generation == meeting) || (phase && *phase == parity); }

    // Makes it begin with `entry`, which never returns.
    void begin(void (*entry)(), Dimensions own, size_t number) {
        index = own;
        done = false;
        waits_at = nullptr;
        phase = nullptr;
        shows = 0;
        copies.assign(1, {});
        unshown.clear();
        auto top = (reinterpret_cast<uintptr_t>(stack.get()) + STACK - number % 32 * APART) & ~static_cast<uintptr_t>(15);
        auto* words = reinterpret_cast<void**>(top) - 2 - KEPT;
        std::fill(words, words + KEPT + 2, nullptr);
#if defined(__x86_64__)
        words[KEPT] = reinterpret_cast<void*>(entry);
#else
        words[1] = reinterpret_cast<void*>(entry);
#endif
        stopped = words;
    }
};

// The most bytes that a lane shows to its warp.
constexpr size_t MOST_SHOWN = 64;

struct Block {
    void* scheduler = nullptr;
    // Used again by the next block.
    Fiber* fibers;
    size_t count;
    Dimensions index;
    // Which of its cluster it is.
    size_t rank;
    size_t running;
    std::vector<Barrier> warps, warpgroups;
    Barrier all;
    std::vector<unsigned char> shared;
    // Of each 16 bytes of it, whether somebody has written them and not shown them to products.
    std::vector<bool> unshown;
    // Pieces that copies have written for which their own thread did not wait.
    std::vector<size_t> arrived;
    // What each fiber shows to its warp. There are two places, taken in turns: a lane that goes on and shows the next value leaves the
    // one that others still look at, and shows a third one after they have met for the second.
    std::vector<std::array<std::array<unsigned char, MOST_SHOWN>, 2>> shown;
    // The same of values that each warp reduces.
    std::vector<std::array<std::array<float, 32>, 2>> reduced;
    size_t current = 0;
    std::function<void()> kernel;
};
inline thread_local Block* block;

// Blocks that run at the same time.
struct Cluster {
    std::vector<Block> blocks;
    Barrier all;
    // Copies by the hardware that nobody has seen arrive. They do when nobody can go on without them, in any order.
    std::vector<std::function<void()>> on_their_way;
};
inline Cluster& cluster() {
    static thread_local Cluster now;
    return now;
}
// Whether any fiber went on since the scheduler looked last.
inline thread_local bool moved = false;

// Whether races are looked for, which takes its time, and needs a kernel all of whose accesses can be seen.
inline bool watched = false;
inline thread_local Races* races;

inline unsigned char* shared_memory() { return block->shared.data(); }
// Where something stands in it, if it does.
inline bool is_shared(const void* place, size_t& offset) {
    offset = static_cast<size_t>(static_cast<const unsigned char*>(place) - shared_memory());
    return offset < block->shared.size();
}
inline void writes(const void* place, size_t bytes) {
    size_t offset;
    if (races && is_shared(place, offset)) races->write(block->current, offset, bytes);
}
inline void reads(const void* place, size_t bytes) {
    size_t offset;
    if (races && is_shared(place, offset)) races->read(block->current, offset, bytes);
}
inline size_t warp() { return block->current / 32; }
inline size_t lane() { return block->current % 32; }
// Of all threads of the cluster.
inline size_t thread() { return block->rank * block->count + block->current; }

inline void yield() { emulation_switch(&block->fibers[block->current].stopped, block->scheduler); }

inline void meet(Barrier& barrier, int count) {
    moved = true;
    int generation = barrier.generation;
    if (++barrier.waiting == count) {
        barrier.waiting = 0;
        barrier.generation++;
        return;
    }
    Fiber& fiber = block->fibers[block->current];
    fiber.waits_at = &barrier;
    fiber.meeting = generation;
    yield();
    fiber.waits_at = nullptr;
    moved = true;
}
// The same, of threads that have seen afterwards what each of them has.
inline void meet_in_order(Barrier& barrier, int count) {
    auto key = reinterpret_cast<uintptr_t>(&barrier);
    if (races) races->arrive(block->current, key);
    if (races && barrier.waiting + 1 == count) races->end(key);
    meet(barrier, count);
    if (races) races->leave(block->current, key);
}
inline int threads_of_warp() { return static_cast<int>(std::min<size_t>(32, block->count - warp() * 32)); }
// For instructions of a warp, which keep no order of memory.
inline void meet_warp() { meet(block->warps[warp()], threads_of_warp()); }

// What lane `other` of this warp shows, after all have shown theirs.
template <typename T>
const T& shown_by(size_t other) {
    size_t turn = block->fibers[block->current].shows % 2;
    return *reinterpret_cast<const T*>(block->shown[warp() * 32 + other][turn].data());
}
template <typename T>
void show(const T& value) {
    static_assert(sizeof(T) <= MOST_SHOWN);
    size_t turn = ++block->fibers[block->current].shows % 2;
    memcpy(block->shown[block->current][turn].data(), &value, sizeof(T));
    meet_warp();
}

inline void run_fiber() {
    block->kernel();
    moved = true;
    block->fibers[block->current].done = true;
    yield();
}

// The threads of a block take one turn.
inline void take_turns(Block& now) {
    block = &now;
    blockIdx = now.index;
    for (now.current = 0; now.current < now.count; now.current++) {
        Fiber& fiber = now.fibers[now.current];
        if (fiber.done || fiber.waits()) continue;
        threadIdx = fiber.index;
        emulation_switch(&now.scheduler, fiber.stopped);
        if (fiber.done) now.running--;
    }
}

// Whether a copy arrived.
inline bool arrive_any() {
    static thread_local uint32_t random = 1;
    auto& copies = cluster().on_their_way;
    if (copies.empty()) return false;
    random = random * 1664525 + 1013904223;
    auto chosen = copies.begin() + static_cast<ptrdiff_t>((random >> 16) % copies.size());
    auto copy = *chosen;
    copies.erase(chosen);
    copy();
    return true;
}

// Runs a kernel; `shared` is its dynamic shared memory, and so many blocks are a cluster.
inline void launch(Dimensions grid, Dimensions threads, size_t shared, const std::function<void()>& kernel, unsigned blocks = 1) {
    gridDim = grid;
    blockDim = threads;
    size_t count = static_cast<size_t>(threads.x) * threads.y;
    static thread_local std::vector<Fiber> fibers;
    if (fibers.size() < count * blocks) fibers.resize(count * blocks);
    if (grid.x % blocks != 0) abort();
    for (unsigned first = 0; first < grid.x * grid.y; first += blocks) {
        cluster() = {};
        for (unsigned rank = 0; rank < blocks; rank++) {
            Dimensions index = {(first + rank) % grid.x, (first + rank) / grid.x};
            Block now = {nullptr, &fibers[rank * count], count, index, rank, count, {}, {}, {}, {}, {}, {}, {}, {}, 0, kernel};
            now.warps.resize((count + 31) / 32);
            now.warpgroups.resize(16);
            now.shared.assign(shared, 0xff);
            now.unshown.resize(shared / 16 + 1);
            now.shown.resize(count);
            now.reduced.resize(now.warps.size());
            for (size_t thread = 0; thread < count; thread++) {
                auto flat = static_cast<unsigned>(thread);
                now.fibers[thread].begin(run_fiber, {flat % threads.x, flat / threads.x}, thread);
            }
            cluster().blocks.push_back(std::move(now));
        }
        auto watching = watched ? std::make_unique<Races>(count, shared) : nullptr;
        races = watching.get();
        auto running = [](const Block& block) { return block.running > 0; };
        auto& blocks_at_hand = cluster().blocks;
        while (std::any_of(blocks_at_hand.begin(), blocks_at_hand.end(), running)) {
            moved = false;
            for (Block& now : blocks_at_hand) take_turns(now);
            if (!moved && !arrive_any()) {
                fprintf(stderr, "the threads of block %u, %u wait for one another forever\n", blockIdx.x, blockIdx.y);
                abort();
            }
        }
    }
}

}  // namespace emulation

inline void __syncwarp() { emulation::meet_in_order(emulation::block->warps[emulation::warp()], emulation::threads_of_warp()); }
inline void __syncthreads() { emulation::meet_in_order(emulation::block->all, static_cast<int>(emulation::block->count)); }

template <typename T>
void store_pair(T* pair, uint32_t word) {
    if (reinterpret_cast<uintptr_t>(pair) % 4 != 0) abort();
    emulation::writes(pair, 4);
    memcpy(pair, &word, 4);
}
template <typename T>
void copy_piece(T* to, const T* from) {
    if ((reinterpret_cast<uintptr_t>(to) | reinterpret_cast<uintptr_t>(from)) % 16 != 0) abort();
    emulation::reads(from, 16);
    emulation::writes(to, 16);
    memcpy(to, from, 16);
}
template <typename T>
class Observed {
    T value;

public:
    void operator=(const T& other) {
        emulation::writes(this, sizeof(T));
        value = other;
    }
    operator T() const {
        emulation::reads(this, sizeof(T));
        return value;
    }
};

template <typename T>
T __shfl_xor_sync(unsigned, T value, int distance) {
    emulation::show(value);
    return emulation::shown_by<T>(emulation::lane() ^ static_cast<size_t>(distance));
}

// The last lane to come combines the values of all in the order of the GPU's five exchanges (`exchange` of device.cuh): meetings take the time here.
template <typename Combine>
float reduce_warp(float value, Combine combine) {
    using namespace emulation;
    auto& values = block->reduced[warp()][++block->fibers[block->current].shows % 2];
    values[lane()] = value;
    if (block->warps[warp()].waiting + 1 == threads_of_warp())
        for (size_t distance = 16; distance > 0; distance /= 2)
            for (size_t lane = 0; lane < distance; lane++) values[lane] = combine(values[lane], values[lane + distance]);
    meet_warp();
    return values[0];
}

template <typename T>
T __shfl_sync(unsigned, T value, int lane) {
    emulation::show(value);
    return emulation::shown_by<T>(static_cast<size_t>(lane));
}

template <bool transposed>
void load_matrices(uint32_t (&matrices)[4], const void* row) {
    using namespace emulation;
    if (reinterpret_cast<uintptr_t>(row) % 16 != 0) abort();
    show(row);
    for (size_t matrix = 0; matrix < 4; matrix++) {
        uint16_t pair[2];
        for (size_t half = 0; half < 2; half++) {
            size_t down = lane() / 4, across = lane() % 4 * 2 + half;
            if (transposed) std::swap(down, across);
            pair[half] = static_cast<const uint16_t*>(shown_by<const void*>(matrix * 8 + down))[across];
        }
        memcpy(&matrices[matrix], pair, 4);
    }
    meet_warp();
}

template <typename T>
void multiply_add(float (&sums)[4], const uint32_t (&left)[4], uint32_t right0, uint32_t right1, T) {
    using namespace emulation;
    struct Operands {
        T left[4][2], right[2][2];
    } own;
    memcpy(own.left, left, sizeof own.left);
    memcpy(own.right[0], &right0, 4);
    memcpy(own.right[1], &right1, 4);
    show(own);
    auto wide = [](float16 value) { return __half2float(value); };
    auto wide_b = [](bfloat16 value) { return __bfloat162float(value); };
    for (size_t sum = 0; sum < 4; sum++) {
        size_t row = lane() / 4 + sum / 2 * 8, column = lane() % 4 * 2 + sum % 2;
        for (size_t inner = 0; inner < 16; inner++) {
            const auto& of_row = shown_by<Operands>(row % 8 * 4 + inner % 8 / 2);
            const auto& of_column = shown_by<Operands>(column * 4 + inner % 8 / 2);
            T first = of_row.left[row / 8 + inner / 8 * 2][inner % 2], second = of_column.right[inner / 8][inner % 2];
            if constexpr (sizeof(T) == 2 && std::is_same_v<T, float16>)
                sums[sum] += wide(first) * wide(second);
            else
                sums[sum] += wide_b(first) * wide_b(second);
        }
    }
}

inline void copy_async(void* shared, const void* global, bool present) {
    if (reinterpret_cast<uintptr_t>(shared) % 16 != 0 || reinterpret_cast<uintptr_t>(global) % 16 != 0) abort();
    emulation::Copy copy = {static_cast<unsigned char*>(shared), {}};
    if (present) memcpy(copy.bytes, global, 16);
    size_t offset;
    if (emulation::races && emulation::is_shared(shared, offset)) emulation::races->copy(emulation::block->current, offset);
    // On its way: whoever reads it now reads garbage.
    memset(shared, 0xff, 16);
    emulation::block->fibers[emulation::block->current].copies.back().push_back(copy);
}
inline void commit_copies() {
    if (emulation::races) emulation::races->end_copies(emulation::block->current);
    emulation::block->fibers[emulation::block->current].copies.emplace_back();
}
template <int pending>
void wait_for_copies() {
    emulation::Fiber& fiber = emulation::block->fibers[emulation::block->current];
    auto& copies = fiber.copies;
    if (emulation::races) emulation::races->wait_for_copies(emulation::block->current, pending);
    while (copies.size() > pending + 1) {
        for (const auto& copy : copies.front()) {
            memcpy(copy.target, copy.bytes, 16);
            size_t piece = static_cast<size_t>(copy.target - emulation::shared_memory()) / 16;
            emulation::block->unshown[piece] = true;
            fiber.unshown.push_back(piece);
        }
        copies.erase(copies.begin());
    }
}
