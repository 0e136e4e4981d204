// The product with the weights of gates and ups, and SwiGLU (Shazeer, 2020) of it, for Hopper's tensor cores:
// results (rows, features) = silu(left * gates^T) * (left * ups^T), which swiglu.cu computes from a product in memory.
//
// A block of three warpgroups goes through tiles of 128 x 128 of the product: one thread of warpgroup 0 fetches, 1 and 2 multiply,
// each its own tile, in turns, so that one's results leave while the other multiplies (after CUTLASS' "ping-pong"). The two blocks of a
// cluster have neighbouring tiles of the same columns: each fetches half of their weights for both.
//
// Tiles go through a ring of stages, of 64 inner features each. `full`: a stage's bytes have come. `empty`: the warps of both blocks
// that multiply are done with it. The n-th step of a block, of all its tiles, has stage n % STAGES, and is phase n / STAGES of
// both barriers. A sum is made in the order of its features, whatever the number of rows and wherever its tile is.
#include "tile_copies.cuh"
#include "warpgroup.cuh"

namespace gated {

struct Operands {
    // Eight rows of weights of gates, then the eight of ups of the same features.
    TileMap left, weights, results;
    int rows, features, inputs;
};

constexpr int TILE = 128, INNER = 64, STAGES = 6, BLOCKS = 2, THREADS = 384;
constexpr uint32_t TILE_BYTES = TILE * ROW_BYTES, STAGE_BYTES = 2 * TILE_BYTES;
// A product of a warpgroup has 64 rows: a tile has two of them.
constexpr int HALVES = 2, HALF_ROWS = TILE / HALVES;
// What a warp stores at once: 16 rows of 64 features. It has room for one of each half.
constexpr int PANEL_ROWS = 16;
constexpr uint32_t PANEL_BYTES = PANEL_ROWS * ROW_BYTES;
// Warps of a warpgroup.
constexpr uint32_t WARPS = 4;
// Rows of clusters whose tiles of all columns are multiplied before those of the next: what they read stays in the cache.
constexpr int GROUP = 8;

// Where a block's i-th tile is: clusters take theirs in turns.
struct Schedule {
    int rows, columns, cluster, clusters, rank;

    __device__ Schedule(const Operands& operands, uint32_t own_rank)
        : rows((operands.rows + TILE * BLOCKS - 1) / (TILE * BLOCKS)),
          columns((2 * operands.features + TILE - 1) / TILE),
          cluster(blockIdx.x / BLOCKS),
          clusters(gridDim.x / BLOCKS),
          rank(own_rank) {}

    // False where there are no more.
    __device__ bool find(int index, int& row, int& column) const {
        int tile = cluster + index * clusters;
        if (tile >= rows * columns) return false;
        int first = tile / (GROUP * columns) * GROUP, inside = tile % (GROUP * columns);
        int high = min(GROUP, rows - first);
        row = ((first + inside % high) * BLOCKS + rank) * TILE;
        column = inside / high * TILE;
        return true;
    }
};

// The block's shared memory.
struct Shared {
    uint32_t tiles, panels, full, empty, turns;

    __device__ explicit Shared(uint32_t address) {
        tiles = (address + EIGHT_ROWS - 1) / EIGHT_ROWS * EIGHT_ROWS;
        panels = tiles + STAGES * STAGE_BYTES;
        full = panels + 2 * WARPS * HALVES * PANEL_BYTES;
        empty = full + 8 * STAGES;
        turns = empty + 8 * STAGES;
    }

    __device__ void begin() const {
        for (int stage = 0; stage < STAGES; stage++) {
            begin_barrier(full + 8 * stage, 1);
            begin_barrier(empty + 8 * stage, BLOCKS * WARPS);
        }
        begin_barrier(turns, WARPS);
        begin_barrier(turns + 8, WARPS);
        show_barriers();
    }
};

__device__ inline void fetch_all(const Operands& operands, const Shared& shared, const Schedule& schedule, int steps) {
    constexpr uint32_t HALF = TILE_BYTES / BLOCKS;
    constexpr uint16_t BOTH = 3;
    uint32_t stage = 0, phase = 0;
    int row, column;
    for (int index = 0; schedule.find(index, row, column); index++) {
        for (int step = 0; step < steps; step++) {
            wait_for_phase(shared.empty + 8 * stage, phase ^ 1);
            uint32_t full = shared.full + 8 * stage, to = shared.tiles + stage * STAGE_BYTES;
            arrive_expecting(full, STAGE_BYTES);
            fetch_tile(to, &operands.left, full, step * INNER, row);
            fetch_tile_for(BOTH, to + TILE_BYTES + schedule.rank * HALF, &operands.weights, full, step * INNER,
                           column + schedule.rank * (TILE / BLOCKS));
            if (++stage == STAGES) stage = 0, phase ^= 1;
        }
    }
}

// SwiGLU of a warp's 16 rows of half a tile, on their way to memory.
template <typename T>
__device__ inline void activate(const float (&sums)[TILE / 8][4], const TileMap* results, uint32_t panel, int column, int row,
                                bool present) {
    const int lane = threadIdx.x % 32;
    // The panel is that of the store before the last.
    if (lane == 0) wait_for_reads<HALVES - 1>();
    __syncwarp();
    uint32_t words[16];
#pragma unroll
    for (int part = 0; part < 8; part++)
#pragma unroll
        for (int half = 0; half < 2; half++) {
            float activated[2];
#pragma unroll
            for (int value = 0; value < 2; value++) {
                float gate = sums[2 * part][2 * half + value], up = sums[2 * part + 1][2 * half + value];
                activated[value] = __fdividef(gate, 1.f + __expf(-gate)) * up;
            }
            words[2 * part + half] = narrow_pair<T>(activated[0], activated[1]);
        }
    // Two matrices of rows 0 to 7 and 8 to 15, and the two to their right.
    uint32_t to = panel + lane % 16 * ROW_BYTES;
#pragma unroll
    for (int part = 0; part < 8; part += 2)
        store_matrices(to + (((part + lane / 16) ^ (lane % 8)) << 4), words[2 * part], words[2 * part + 1], words[2 * part + 2],
                       words[2 * part + 3]);
    show_to_products();
    __syncwarp();
    if (lane == 0) {
        if (present) store_tile(results, panel, column, row);
        commit_stores();
    }
}

// What the warps of one of the two warpgroups do that multiply. `which`: 0 or 1.
template <typename T>
__device__ inline void multiply_all(const Operands& operands, const Shared& shared, const Schedule& schedule, int steps,
                                    int which) {
    const int lane = threadIdx.x % 32, warp = __shfl_sync(ALL_LANES, threadIdx.x / 32 % WARPS, 0);
    const uint32_t panels = shared.panels + (which * WARPS + warp) * HALVES * PANEL_BYTES;
    // Lane 0 reports to block 0 that a stage is empty, and lane 1 to block 1.
    const uint32_t empty = address_in(shared.empty, lane % BLOCKS);
    auto release = [&](uint32_t stage) {
        if (lane < BLOCKS) arrive_in_cluster(empty + 8 * stage);
    };
    float sums[HALVES][TILE / 8][4];
    int row, column;
    uint32_t turn = 0;
    for (int index = which; schedule.find(index, row, column); index += 2, turn++) {
#pragma unroll
        for (int sum = 0; sum < HALVES * TILE / 2; sum++) sums[sum / (TILE / 2)][sum / 4 % (TILE / 8)][sum % 4] = 0.f;
        uint32_t first = static_cast<uint32_t>(index) * steps, stage = first % STAGES, phase = first / STAGES % 2, before = 0;
        // Without turns, a warpgroup could wait for a phase that is two ahead.
        wait_for_phase(shared.turns + 8 * which, (turn + 1 - which) % 2);
        pin(sums[0]);
        pin(sums[1]);
        for (int step = 0; step < steps; step++) {
            wait_for_phase(shared.full + 8 * stage, phase);
            begin_products();
            uint32_t left = shared.tiles + stage * STAGE_BYTES;
#pragma unroll
            for (int inner = 0; inner < INNER / 16; inner++)
#pragma unroll
                for (int half = 0; half < HALVES; half++)
                    multiply_rows<true>(sums[half], operand(left + half * HALF_ROWS * ROW_BYTES + inner * 32),
                                        operand(left + TILE_BYTES + inner * 32), T());
            commit_products();
            wait_for_products<1>();
            if (step > 0) release(before);
            before = stage;
            if (++stage == STAGES) stage = 0, phase ^= 1;
        }
        __syncwarp();
        if (lane == 0) arrive(shared.turns + 8 * (1 - which));
        wait_for_products<0>();
        pin(sums[0]);
        pin(sums[1]);
        release(before);
#pragma unroll
        for (int half = 0; half < HALVES; half++) {
            int own = row + half * HALF_ROWS + warp * PANEL_ROWS;
            activate<T>(sums[half], &operands.results, panels + half * PANEL_BYTES, column / 2, own, own < operands.rows);
        }
    }
    if (lane == 0) wait_for_stores();
    __syncwarp();
}

// One block for each processor, an even number of them.
template <typename T>
__device__ inline void multiply_gated(const Operands& operands, unsigned char* memory) {
    const Shared shared(shared_address(memory));
    const Schedule schedule(operands, rank_in_cluster());
    const int warp = __shfl_sync(ALL_LANES, threadIdx.x / 32, 0), steps = (operands.inputs + INNER - 1) / INNER;
    if (threadIdx.x == 0) shared.begin();
    __syncthreads();
    meet_cluster();
    if (warp < static_cast<int>(WARPS)) {
        give_registers<40>();
        if (threadIdx.x == 0) fetch_all(operands, shared, schedule, steps);
        __syncwarp();
    } else {
        take_registers<232>();
        multiply_all<T>(operands, shared, schedule, steps, warp / static_cast<int>(WARPS) - 1);
    }
    // Nobody leaves while the other block still writes to its memory, or reports to its barriers.
    meet_cluster();
}

}  // namespace gated

#define KERNEL(T, name)                                                                                                       \
    extern "C" __global__ void __cluster_dims__(gated::BLOCKS, 1, 1) __launch_bounds__(gated::THREADS, 1)                     \
        multiply_gated_hopper_##name(const __grid_constant__ gated::Operands operands) {                                      \
        DYNAMIC_SHARED(shared);                                                                                               \
        gated::multiply_gated<T>(operands, shared);                                                                                  \
    }
KERNEL(bfloat16, bf16)
KERNEL(float16, f16)
#undef KERNEL
