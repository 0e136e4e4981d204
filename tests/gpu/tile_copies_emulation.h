// Hopper's copies of tiles, their barriers and clusters, emulated: what is copied is garbage until it arrives, which is as late as
// can be and in any order, and what is stored must stay as it is until that was waited for.
#pragma once
#include "warpgroup_emulation.h"

namespace emulation {

[[noreturn]] inline void wrong_copy(const char* what) {
    fprintf(stderr, "copies of tiles: %s\n", what);
    abort();
}

// What a map holds.
struct Matrix {
    static constexpr uint64_t MAGIC = 0x7117e5;
    uint64_t magic, address, columns, rows, stride, tile_columns, tile_rows;
};
inline Matrix matrix(const TileMap* map) {
    Matrix matrix;
    memcpy(&matrix, map, sizeof matrix);
    if (matrix.magic != Matrix::MAGIC || reinterpret_cast<uintptr_t>(map) % 64 != 0) wrong_copy("a map is none");
    return matrix;
}

// What stands in the 8 bytes of a barrier.
struct PhaseBarrier {
    static constexpr uint8_t MAGIC = 0xb4;
    uint8_t magic, count, missing, phase;
    int32_t bytes;

    void end_if_complete() {
        if (missing > 0 || bytes != 0) return;
        missing = count;
        phase ^= 1;
    }
};

// Addresses of other blocks of the cluster have their rank, and one, in the highest byte.
constexpr int RANK_SHIFT = 24;
inline unsigned char* place(uint32_t address, size_t bytes) {
    Block& owner = address >> RANK_SHIFT ? cluster().blocks[(address >> RANK_SHIFT) - 1] : *block;
    uint32_t offset = (address & ((1u << RANK_SHIFT) - 1)) - WINDOW;
    if (offset + bytes > owner.shared.size()) wrong_copy("an address lies outside of shared memory");
    if (owner.running == 0) wrong_copy("a block has left, and another reaches for its memory");
    return owner.shared.data() + offset;
}
inline uint32_t address_of(uint32_t address, size_t rank) { return address | static_cast<uint32_t>(rank + 1) << RANK_SHIFT; }

// What a barrier is called where races are looked for.
inline uint64_t key_of(uint32_t address) { return address & ((1u << RANK_SHIFT) - 1); }
// This thread does something with a barrier, which must have begun before.
inline void use_barrier(uint32_t address) {
    if (races) races->read(block->current, key_of(address) - WINDOW, sizeof(PhaseBarrier));
}

template <typename Change>
void change_barrier(uint32_t address, Change change) {
    PhaseBarrier barrier;
    unsigned char* bytes = place(address, sizeof barrier);
    memcpy(&barrier, bytes, sizeof barrier);
    if (address % 8 != 0 || barrier.magic != PhaseBarrier::MAGIC) wrong_copy("a barrier was not begun");
    change(barrier);
    uint8_t before = barrier.phase;
    barrier.end_if_complete();
    if (races && barrier.phase != before) races->end(key_of(address));
    memcpy(bytes, &barrier, sizeof barrier);
    moved = true;
}
inline void arrive_at(uint32_t address) {
    change_barrier(address, [](PhaseBarrier& barrier) {
        if (barrier.missing-- == 0) wrong_copy("more arrive at a barrier than it waits for");
    });
}

// Calls `piece` for each 16 bytes of a tile: their swizzled address, and the column and row of the first value.
template <typename Piece>
void for_each_piece(const Matrix& matrix, uint32_t address, int column, int row, Piece piece) {
    for (uint32_t down = 0; down < matrix.tile_rows; down++)
        for (uint32_t across = 0; across < matrix.tile_columns; across += 8) {
            uint32_t plain = address + down * 128 + across * 2;
            piece(plain ^ (plain >> 3 & 0x70), static_cast<int64_t>(column) + across, static_cast<int64_t>(row) + down);
        }
}
// Where a value of a matrix is; null outside of it.
inline unsigned char* value_in(const Matrix& matrix, int64_t column, int64_t row) {
    if (column < 0 || row < 0 || static_cast<uint64_t>(column) >= matrix.columns || static_cast<uint64_t>(row) >= matrix.rows)
        return nullptr;
    return reinterpret_cast<unsigned char*>(matrix.address) + static_cast<uint64_t>(row) * matrix.stride + column * 2;
}

inline void fetch(uint16_t blocks, uint32_t to, const TileMap* from, uint32_t barrier, int column, int row) {
    Matrix of = matrix(from);
    if (to % 128 != 0) wrong_copy("a tile is not aligned");
    for (size_t rank = 0; rank < cluster().blocks.size(); rank++) {
        if (!(blocks >> rank & 1)) continue;
        Block* target = &cluster().blocks[rank];
        uint32_t there = address_of(to, rank);
        auto unshown = [target](uint32_t address) {
            return target->unshown.begin() + ((address & ((1u << RANK_SHIFT) - 1)) - WINDOW) / 16;
        };
        for_each_piece(of, there, column, row, [&](uint32_t address, int64_t, int64_t) {
            memset(place(address, 16), 0xff, 16);
            *unshown(address) = true;
        });
        cluster().on_their_way.push_back([=] {
            for_each_piece(of, there, column, row, [&](uint32_t address, int64_t first, int64_t down) {
                for (int value = 0; value < 8; value++) {
                    unsigned char* bytes = place(address + 2 * static_cast<uint32_t>(value), 2);
                    const unsigned char* source = value_in(of, first + value, down);
                    if (source) memcpy(bytes, source, 2);
                    else memset(bytes, 0, 2);
                }
                *unshown(address) = false;
            });
            auto bytes = static_cast<int32_t>(of.tile_rows * of.tile_columns * 2);
            change_barrier(address_of(barrier, rank), [=](PhaseBarrier& barrier) { barrier.bytes -= bytes; });
        });
    }
}

// A tile on its way out, and what it was when that was asked for.
struct Store {
    Matrix to;
    uint32_t from;
    int column, row;
    std::vector<unsigned char> bytes;
};
// Of each thread, groups that have not been waited for; the last is not committed yet.
inline std::vector<std::vector<std::vector<Store>>>& stores() {
    static thread_local std::vector<std::vector<std::vector<Store>>> all(2048);
    return all;
}

inline std::vector<unsigned char> bytes_of(const Store& store) {
    std::vector<unsigned char> bytes;
    for_each_piece(store.to, store.from, store.column, store.row, [&](uint32_t address, int64_t, int64_t) {
        const unsigned char* piece = place(address, 16);
        if (block->unshown[(address - WINDOW) / 16]) wrong_copy("what is stored was not shown to copies");
        bytes.insert(bytes.end(), piece, piece + 16);
    });
    return bytes;
}
inline std::vector<std::vector<Store>>& own_stores() {
    auto& own = stores()[thread()];
    if (own.empty()) own.emplace_back();
    return own;
}
inline void finish_stores(size_t pending) {
    auto& groups = own_stores();
    for (; groups.size() > pending + 1; groups.erase(groups.begin()))
        for (const Store& store : groups.front()) {
            if (bytes_of(store) != store.bytes) wrong_copy("what is stored was overwritten while it was read");
            const unsigned char* piece = store.bytes.data();
            for_each_piece(store.to, store.from, store.column, store.row, [&](uint32_t, int64_t column, int64_t row) {
                for (int value = 0; value < 8; value++, piece += 2)
                    if (unsigned char* target = value_in(store.to, column + value, row)) memcpy(target, piece, 2);
            });
        }
}

}  // namespace emulation

inline void begin_barrier(uint32_t barrier, uint32_t count) {
    auto all = static_cast<uint8_t>(count);
    emulation::PhaseBarrier begun = {emulation::PhaseBarrier::MAGIC, all, all, 0, 0};
    unsigned char* place = emulation::place(barrier, sizeof begun);
    emulation::writes(place, sizeof begun);
    memcpy(place, &begun, sizeof begun);
}
inline void show_barriers() {}
inline void arrive(uint32_t barrier) {
    emulation::use_barrier(barrier);
    if (emulation::races) emulation::races->arrive(emulation::block->current, emulation::key_of(barrier));
    emulation::arrive_at(barrier);
}
inline void arrive_when_copied(uint32_t barrier) {
    using namespace emulation;
    std::vector<Copy> copies;
    auto& groups = block->fibers[block->current].copies;
    for (const auto& group : groups) copies.insert(copies.end(), group.begin(), group.end());
    groups.assign(1, {});
    Block* owner = block;
    uint32_t there = address_of(barrier, owner->rank);
    use_barrier(barrier);
    size_t thread = block->current;
    uint32_t groups_of_thread = races ? races->end_copies(thread) : 0;
    cluster().on_their_way.push_back([=] {
        if (races) races->copies_arrive(thread, groups_of_thread, key_of(there));
        for (const Copy& copy : copies) {
            memcpy(copy.target, copy.bytes, 16);
            size_t piece = static_cast<size_t>(copy.target - owner->shared.data()) / 16;
            owner->unshown[piece] = true;
            owner->arrived.push_back(piece);
        }
        arrive_at(there);
    });
}
inline void arrive_expecting(uint32_t barrier, uint32_t bytes) {
    emulation::change_barrier(barrier, [=](emulation::PhaseBarrier& state) {
        if (state.missing-- == 0) emulation::wrong_copy("more arrive at a barrier than it waits for");
        state.bytes += static_cast<int32_t>(bytes);
    });
}
inline void wait_for_phase(uint32_t barrier, uint32_t parity) {
    emulation::PhaseBarrier state;
    emulation::use_barrier(barrier);
    unsigned char* bytes = emulation::place(barrier, sizeof state);
    emulation::Fiber& fiber = emulation::block->fibers[emulation::block->current];
    fiber.phase = bytes + offsetof(emulation::PhaseBarrier, phase);
    fiber.parity = parity;
    while (*fiber.phase == parity) emulation::yield();
    fiber.phase = nullptr;
    memcpy(&state, bytes, sizeof state);
    if (state.magic != emulation::PhaseBarrier::MAGIC) emulation::wrong_copy("a barrier was not begun");
    if (emulation::races) emulation::races->leave(emulation::block->current, emulation::key_of(barrier));
    emulation::moved = true;
}

inline void fetch_tile(uint32_t to, const TileMap* from, uint32_t barrier, int column, int row) {
    emulation::fetch(static_cast<uint16_t>(1 << emulation::block->rank), to, from, barrier, column, row);
}
inline void fetch_tile_for(uint16_t blocks, uint32_t to, const TileMap* from, uint32_t barrier, int column, int row) {
    emulation::fetch(blocks, to, from, barrier, column, row);
}
inline void store_tile(const TileMap* to, uint32_t from, int column, int row) {
    emulation::Store store = {emulation::matrix(to), from, column, row, {}};
    store.bytes = emulation::bytes_of(store);
    emulation::own_stores().back().push_back(store);
}
inline void commit_stores() { emulation::own_stores().emplace_back(); }
template <int pending>
void wait_for_reads() {
    emulation::finish_stores(pending);
}
inline void wait_for_stores() { emulation::finish_stores(0); }

inline void store_matrices(uint32_t row, uint32_t first, uint32_t second, uint32_t third, uint32_t fourth) {
    using namespace emulation;
    struct Shown {
        uint32_t words[4];
    } own = {{first, second, third, fourth}};
    show(own);
    size_t matrix = lane() / 8, down = lane() % 8;
    unsigned char* bytes = place(row, 16);
    for (size_t pair = 0; pair < 4; pair++) memcpy(bytes + 4 * pair, &shown_by<Shown>(down * 4 + pair).words[matrix], 4);
    size_t piece = (row - WINDOW) / 16;
    if (row % 16 != 0) wrong_copy("a row of a matrix is not aligned");
    block->unshown[piece] = true;
    block->fibers[block->current].unshown.push_back(piece);
    meet_warp();
}

inline uint32_t rank_in_cluster() { return static_cast<uint32_t>(emulation::block->rank); }
inline uint32_t address_in(uint32_t address, uint32_t rank) { return emulation::address_of(address, rank); }
inline void arrive_in_cluster(uint32_t barrier) { emulation::arrive_at(barrier); }
inline void meet_cluster() {
    auto& cluster = emulation::cluster();
    emulation::meet(cluster.all, static_cast<int>(cluster.blocks.size() * emulation::block->count));
}
template <int>
void take_registers() {}
template <int>
void give_registers() {}

// The driver's description of a matrix of 16-bit values, of which tiles have rows of 128 bytes.
extern "C" int cuTensorMapEncodeTiled(void* map, int type, unsigned rank, void* address, const uint64_t* extents,
                                      const uint64_t* strides, const unsigned* tile, const unsigned* steps, int interleave,
                                      int swizzle, int, int fill) {
    constexpr int FLOAT16 = 6, BFLOAT16 = 9, SWIZZLE_128 = 3, INVALID = 1;
    bool known = (type == FLOAT16 || type == BFLOAT16) && rank == 2 && interleave == 0 && swizzle == SWIZZLE_128 && fill == 0;
    bool fits = reinterpret_cast<uintptr_t>(address) % 16 == 0 && strides[0] % 16 == 0 && strides[0] >= extents[0] * 2;
    bool tiles = tile[0] == 64 && tile[1] >= 1 && tile[1] <= 256 && steps[0] == 1 && steps[1] == 1;
    if (!known || !fits || !tiles || extents[0] == 0 || extents[1] == 0 || reinterpret_cast<uintptr_t>(map) % 64 != 0) return INVALID;
    emulation::Matrix matrix = {emulation::Matrix::MAGIC, reinterpret_cast<uint64_t>(address), extents[0], extents[1],
                                strides[0], tile[0], tile[1]};
    memset(map, 0, sizeof(TileMap));
    memcpy(map, &matrix, sizeof matrix);
    return 0;
}
