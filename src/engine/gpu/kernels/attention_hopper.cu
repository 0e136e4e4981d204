// Streaming attention for Hopper's tensor cores by warpgroups with roles (after FlashAttention-3: Shah et al., 2024): the first of a
// block fetches, and the others, the workers, multiply and weigh 64 rows each. Nobody waits for the whole block: while one worker
// weighs, the tensor cores multiply for another, and the next tile of queries is on its way while the last one is finished.
//
// A tile has 64 rows for each worker: the query heads of one key head, of as many consecutive tokens as fit. A block has a
// multiprocessor for itself, and goes through pieces of work: a tile and a key head. Its keys and values come through a ring
// of stages, each with a barrier for its arrival (`full`) and one for the end of its use (`empty`). Queries have two rooms, which take
// turns; results leave through the room of their queries.
//
// A query goes through the keys from position 0 on, so many at a time, wherever its tile begins and whatever else is in the batch.
#include "attention_hopper.cuh"
#include "tile_copies.cuh"

namespace hopper {

// Threads of a warpgroup, and its warps.
constexpr int GROUP_THREADS = 128, GROUP_WARPS = 4;
// Rows of a worker.
constexpr int WORKER_ROWS = 64;

// A block's shared memory, from a multiple of 1,024 bytes on.
template <typename T, int D, int WORKERS, int KEYS>
struct Room {
    static constexpr int ROWS = WORKERS * WORKER_ROWS, THREADS = (WORKERS + 1) * GROUP_THREADS;
    // Tiles of keys and values in the ring.
    static constexpr int STAGES = KEYS == 64 ? 6 : 4;
    // A worker multiplies the next keys before it is done with values, which must not wait for one another.
    static_assert(STAGES >= 4 && STAGES % 2 == 0);
    static constexpr uint32_t QUERY_BYTES = ROWS * D * 2, TILE_BYTES = KEYS * D * 2;

    struct Ends {
        // Floats of threads that the compiler must have at hand.
        float settled[THREADS];
        // The tiles whose queries are in the two rooms.
        Observed<QueryTile> tiles[2];
        uint64_t full[STAGES], empty[STAGES], queries_empty[2];
    };
    static constexpr uint32_t BYTES = EIGHT_ROWS + 2 * QUERY_BYTES + STAGES * TILE_BYTES + sizeof(Ends);

    unsigned char* memory;
    uint32_t address;

    __device__ explicit Room(unsigned char* unaligned) : memory(aligned(unaligned)), address(shared_address(memory)) {}

    __device__ static constexpr uint32_t queries(int half) { return half * QUERY_BYTES; }
    __device__ static constexpr uint32_t tile(int stage) { return 2 * QUERY_BYTES + stage * TILE_BYTES; }
    __device__ T* at(uint32_t offset) const { return reinterpret_cast<T*>(memory + offset); }
    __device__ Ends& ends() const { return *reinterpret_cast<Ends*>(memory + tile(STAGES)); }
    __device__ uint32_t full(int stage) const { return shared_address(&ends().full[stage]); }
    __device__ uint32_t empty(int stage) const { return shared_address(&ends().empty[stage]); }
    __device__ uint32_t queries_empty(int half) const { return shared_address(&ends().queries_empty[half]); }

    __device__ void begin() const {
        for (int stage = 0; stage < STAGES; stage++) {
            begin_barrier(full(stage), GROUP_THREADS + 1);
            begin_barrier(empty(stage), WORKERS * GROUP_WARPS);
        }
        for (int half = 0; half < 2; half++) begin_barrier(queries_empty(half), WORKERS * GROUP_WARPS);
        show_barriers();
    }
};

// A place in the ring, and the parity of the phase in which it is used.
template <int STAGES>
struct Turn {
    int stage = 0;
    uint32_t phase = 0;

    __device__ void next() {
        if (++stage == STAGES) stage = 0, phase ^= 1;
    }
};

// A block's pieces of work. The longest come first; blocks that got the longer ones of a round get the shorter of the next.
struct Work {
    int tiles, key_heads;

    // False where there are no more.
    __device__ bool find(int round, int& tile, int& key_head) const {
        int blocks = gridDim.x, block = blockIdx.x;
        int piece = round * blocks + (round % 2 ? blocks - 1 - block : block);
        tile = piece / key_heads;
        key_head = piece % key_heads;
        return tile < tiles;
    }
};

// What the warpgroup does that fetches. Each of its threads has one piece of some rows of a tile, as `Share` has it.
template <typename T, int D, int WORKERS, int KEYS>
struct Fetcher {
    using Room = hopper::Room<T, D, WORKERS, KEYS>;
    using Part = Share<D, KEYS, GROUP_THREADS>;
    static constexpr int STRIDE = Part::STRIDE;
    const Attending<T>& attending;
    const Room& room;
    Part share = {};
    hopper::Turn<Room::STAGES> turn = {};

    // Sets out this thread's pieces of so many rows, from one on; those from `end` on become zeros, and `find` leads to the others'.
    template <int ROWS, typename Find>
    __device__ static void fetch_rows(T* to, int row, int end, Find find) {
#pragma unroll
        for (int pass = 0; pass < ROWS / STRIDE; pass++) {
            int own = row + pass * STRIDE;
            copy_async(to + pass * STRIDE * WIDTH, find(own, pass), own < end);
        }
    }

    __device__ void fetch_queries(const QueryTile& tile, int key_head, int half) {
        const int group = attending.group, rows = tile.rows * group;
        const T* queries = attending.queries + static_cast<int64_t>(tile.first_row) * attending.query_width + key_head * group * D +
                           share.feature;
        // Rows of a thread are often all of one head.
        const bool is_regular = STRIDE % group == 0;
        const Place first(attending, share.row);
        const int64_t step = static_cast<int64_t>(STRIDE / group) * attending.query_width;
        const T* regular = queries + static_cast<int64_t>(first.token) * attending.query_width + first.head * D;
        for (int start = 0; start < rows; start += WORKER_ROWS, regular += WORKER_ROWS / STRIDE * step) {
            T* to = room.at(room.queries(half)) + place<Room::ROWS>(share.row, share.feature / PIECE) + start * WIDTH;
            if (is_regular)
                fetch_rows<WORKER_ROWS>(to, start + share.row, rows, [&](int, int pass) { return regular + pass * step; });
            else
                fetch_rows<WORKER_ROWS>(to, start + share.row, rows, [&](int row, int) {
                    Place place(attending, row);
                    return queries + static_cast<int64_t>(place.token) * attending.query_width + place.head * D;
                });
        }
    }

    // Positions from `first` on, of keys or of values; those that no query sees become zeros.
    __device__ void fetch_tile(const T* values, const Tokens& tokens, int first) {
        wait_for_phase(room.empty(turn.stage), turn.phase ^ 1);
        const int width = attending.key_width, row = first + share.row;
        const T* rows = values + share.feature;
        T* to = room.at(room.tile(turn.stage)) + share.start;
        if (!tokens.straddles) {
            const T* from = rows + static_cast<int64_t>(row + tokens.to_token) * width;
            const int64_t step = static_cast<int64_t>(STRIDE) * width;
            fetch_rows<KEYS>(to, row, tokens.visible, [&](int, int pass) { return from + pass * step; });
        } else if (!tokens.straddles_more) {
            fetch_rows<KEYS>(to, row, tokens.visible, [&](int position, int) {
                int to_token = position < tokens.boundary ? tokens.to_token : tokens.next_to_token;
                return rows + static_cast<int64_t>(position + to_token) * width;
            });
        } else {
            fetch_rows<KEYS>(to, row, tokens.visible, [&](int position, int) {
                return rows + static_cast<int64_t>(tokens.at(min(position, tokens.visible - 1))) * width;
            });
        }
        arrive_when_copied(room.full(turn.stage));
        // What this thread has written itself.
        if (threadIdx.x == 0) arrive(room.full(turn.stage));
        turn.next();
    }

    __device__ void fetch_all(const Work& work) {
        int index, key_head;
        for (int round = 0; work.find(round, index, key_head); round++) {
            const QueryTile tile = attending.tiles[index];
            int half = round % 2;
            wait_for_phase(room.queries_empty(half), round / 2 % 2 ^ 1);
            // They come with the first keys.
            if (threadIdx.x == 0) room.ends().tiles[half] = tile;
            fetch_queries(tile, key_head, half);
            Tokens tokens(attending.ranges, tile);
            for (int first = 0; first < tile.visible; first += KEYS) {
                tokens.move(first, KEYS);
                fetch_tile(attending.keys + key_head * D, tokens, first);
                fetch_tile(attending.values + key_head * D, tokens, first);
            }
        }
        commit_copies();
        wait_for_copies<0>();
    }
};

// What a worker does.
template <typename T, int D, int WORKERS, int KEYS>
struct Worker {
    using Room = hopper::Room<T, D, WORKERS, KEYS>;
    using Turn = hopper::Turn<Room::STAGES>;
    const Attending<T>& attending;
    const Room& room;
    // Which of the block's workers and which of its warps this is.
    int worker, warp;
    // Where its keys are; values stand behind them.
    Turn turn = {};

    __device__ static Turn values_of(Turn keys) { return {keys.stage + 1, keys.phase}; }
    __device__ void wait(Turn turn) const {
        wait_for_phase(room.full(turn.stage), turn.phase);
        show_to_products();
    }
    __device__ void release(Turn turn) const {
        if (threadIdx.x % 32 == 0) arrive(room.empty(turn.stage));
    }
    __device__ void next() {
        turn.next();
        turn.next();
    }

    // scores = queries * keys^T of this worker's rows.
    __device__ void multiply_keys(float (&scores)[KEYS / 8][4], int half) const {
        uint32_t queries = room.address + room.queries(half) + worker * WORKER_ROWS * ROW_BYTES;
        uint32_t keys = room.address + room.tile(turn.stage);
#pragma unroll
        for (int step = 0; step < D / 16; step++) {
            uint32_t inside = step % 4 * 32;
            uint64_t left = operand(queries + step / 4 * COLUMN_BYTES<Room::ROWS> + inside);
            uint64_t right = operand(keys + step / 4 * COLUMN_BYTES<KEYS> + inside);
            if (step == 0)
                multiply_rows<false>(scores, left, right, T());
            else
                multiply_rows<true>(scores, left, right, T());
        }
    }

    // Goes through the tiles of keys that this worker's rows see. The values of a tile are multiplied together with the next keys:
    // while those are weighed, the tensor cores go on.
    __device__ void attend(int half, int count, const int (&sees)[2], Softmax& softmax, float (&sums)[D / 8][4]) {
        volatile float* settled = &room.ends().settled[threadIdx.x];
        float scores[KEYS / 8][4], factors[2];
        uint32_t weights[KEYS / 16][4];
        auto multiply_values = [&](Turn values) {
            wait(values);
            begin_products();
            multiply_weights<T, D, KEYS>(sums, weights, room.address + room.tile(values.stage));
            commit_products();
        };
        pin(scores);
        begin_products();
        multiply_keys(scores, half);
        commit_products();
        wait_for_products<0>();
        pin(scores);
        release(turn);
        softmax.weigh(scores, factors, 0, sees, attending.scale);
        narrow_all<T>(weights, scores);
        Turn values = values_of(turn);
        next();
        for (int index = 1; index < count; index++) {
            wait(turn);
            pin(scores);
            pin(sums);
            begin_products();
            multiply_keys(scores, half);
            commit_products();
            multiply_values(values);
            wait_for_products<1>();
            pin(scores);
            release(turn);
            softmax.weigh(scores, factors, index * KEYS, sees, attending.scale);
            // All of it before the wait, as it is what the tensor cores' time is for: the compiler puts arithmetic off, but no store.
            *settled = softmax.totals[0] + softmax.totals[1];
            wait_for_products<0>();
            pin(sums);
            release(values);
            narrow_all<T>(weights, scores);
            rescale(sums, factors);
            values = values_of(turn);
            next();
        }
        pin(sums);
        multiply_values(values);
        wait_for_products<0>();
        pin(sums);
        release(values);
    }

    // results = sums / totals, of rows that are there. Each warp hands its rows round in shared memory, to store them whole.
    __device__ void finish(const Softmax& softmax, const float (&sums)[D / 8][4], const QueryTile& tile, int key_head,
                           T* queries) const {
        constexpr int PIECES = D / PIECE, ROWS_AT_ONCE = 32 / PIECES;
        int first = worker * WORKER_ROWS + warp * 16, lane = threadIdx.x % 32;
#pragma unroll
        for (int half = 0; half < 2; half++) {
            float total = softmax.totals[half];
            total += __shfl_xor_sync(ALL_LANES, total, 1);
            total += __shfl_xor_sync(ALL_LANES, total, 2);
            float scale = 1.f / total;
            int row = first + lane / 4 + 8 * half;
#pragma unroll
            for (int part = 0; part < PIECES; part++) {
                uint32_t pair = narrow_pair<T>(sums[part][half * 2] * scale, sums[part][half * 2 + 1] * scale);
                store_pair(queries + place<Room::ROWS>(row, part) + lane % 4 * 2, pair);
            }
        }
        __syncwarp();
        int piece = lane % PIECES;
#pragma unroll
        for (int pass = 0; pass < 16 / ROWS_AT_ONCE; pass++) {
            int row = first + lane / PIECES + pass * ROWS_AT_ONCE;
            if (row >= tile.rows * attending.group) continue;
            Place place_of_row(attending, row);
            size_t token = tile.first_row + place_of_row.token;
            int head = key_head * attending.group + place_of_row.head;
            T* result = attending.results + token * attending.result_width + head * D + piece * PIECE;
            copy_piece(result, queries + place<Room::ROWS>(row, piece));
        }
    }

    // Tiles of keys that some row of this worker sees: none if it has no rows.
    __device__ int tiles_of_keys(const QueryTile& tile) const {
        int rows = min(tile.rows * attending.group, (worker + 1) * WORKER_ROWS);
        if (rows <= worker * WORKER_ROWS) return 0;
        int sees = attending.causal ? tile.position + Place(attending, rows - 1).token + 1 : tile.visible;
        return (sees + KEYS - 1) / KEYS;
    }

    __device__ void work_all(const Work& work) {
        int index, key_head;
        for (int round = 0; work.find(round, index, key_head); round++) {
            int half = round % 2;
            // With the first keys the queries have come, and their tile.
            wait(turn);
            const QueryTile tile = room.ends().tiles[half];
            int own = tiles_of_keys(tile), count = (tile.visible + KEYS - 1) / KEYS;
            if (own > 0) {
                const Rows<T, D> rows(attending, tile, key_head, worker * GROUP_WARPS + warp, threadIdx.x % 32);
                float sums[D / 8][4] = {};
                Softmax softmax;
                attend(half, own, rows.sees, softmax, sums);
                // The queries of other warps are read no more.
                meet_warpgroup(worker);
                finish(softmax, sums, tile, key_head, room.at(room.queries(half)));
            }
            // What others see only passes by. Nobody gives free a stage before it is full: it could be that of the turn before.
            for (int passed = own; passed < count; passed++, next()) {
                wait(turn);
                release(turn);
                wait(values_of(turn));
                release(values_of(turn));
            }
            __syncwarp();
            if (threadIdx.x % 32 == 0) arrive(room.queries_empty(half));
        }
    }
};

template <typename T, int D, int WORKERS, int KEYS>
__device__ inline void attend_by_roles(const Attending<T>& attending, const Work& work) {
    DYNAMIC_SHARED(unaligned);
    const Room<T, D, WORKERS, KEYS> room(unaligned);
    // The same in all lanes, which the compiler does not know by itself.
    const int warp = __shfl_sync(ALL_LANES, threadIdx.x / 32, 0);
    if (threadIdx.x == 0) room.begin();
    __syncthreads();
    if (warp < GROUP_WARPS) {
        give_registers<WORKERS == 3 ? 32 : 56>();
        Fetcher<T, D, WORKERS, KEYS>{attending, room}.fetch_all(work);
    } else {
        take_registers<WORKERS == 3 ? 160 : 224>();
        Worker<T, D, WORKERS, KEYS>{attending, room, warp / GROUP_WARPS - 1, warp % GROUP_WARPS}.work_all(work);
    }
}

}  // namespace hopper

// Early: three workers, so that a tile has the queries of most passages, and few keys at a time. Late: two with more keys.
#define KERNEL(T, name, D)                                                            \
    extern "C" __global__ void __launch_bounds__(512, 1)                              \
        attend_hopper_early_##name##_##D(Attending<T> attending, hopper::Work work) { \
        hopper::attend_by_roles<T, D, 3, 64>(attending, work);                        \
    }                                                                                 \
    extern "C" __global__ void __launch_bounds__(384, 1)                              \
        attend_hopper_late_##name##_##D(Attending<T> attending, hopper::Work work) {  \
        hopper::attend_by_roles<T, D, 2, 128>(attending, work);                       \
    }
KERNEL(bfloat16, bf16, 64)
KERNEL(bfloat16, bf16, 128)
KERNEL(float16, f16, 64)
KERNEL(float16, f16, 128)
#undef KERNEL
