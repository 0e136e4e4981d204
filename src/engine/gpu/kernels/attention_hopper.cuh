// What both kernels for Hopper's tensor cores share: tiles of queries, keys and values in shared memory, in columns of 64
// features, as warpgroup.cuh has them, and the products on them. `TILE` is the rows of a tile, `THREADS` those of a block.
#pragma once
#include "softmax.cuh"
#include "warpgroup.cuh"

namespace hopper {

constexpr int PIECE = 8;
// Values of a row of a column of a tile.
constexpr int WIDTH = 64;

// Values of a column of a tile, and their bytes.
template <int TILE>
constexpr int COLUMN = TILE * WIDTH;
template <int TILE>
constexpr uint32_t COLUMN_BYTES = COLUMN<TILE> * 2;

// Where a piece of a row of a tile stands.
template <int TILE>
__device__ inline int place(int row, int piece) {
    return piece / 8 * COLUMN<TILE> + row * WIDTH + (piece % 8 ^ row % 8) * PIECE;
}

// A thread's pieces of a tile: all of one column and one place of it.
template <int D, int TILE, int THREADS>
struct Share {
    static constexpr int PIECES = D / PIECE;
    // Rows from one piece to the next: a multiple of 8, so that the swizzle is the same for all.
    static constexpr int STRIDE = THREADS / PIECES;
    static_assert(STRIDE % 8 == 0 && TILE % STRIDE == 0);
    // The first row, and values to its piece.
    int row = threadIdx.x / PIECES, feature = threadIdx.x % PIECES * PIECE, start = place<TILE>(row, feature / PIECE);
};

// Sets out the block's queries; rows that are none become zeros.
template <typename T, int D, int TILE, int THREADS>
__device__ void fetch_queries(const Attending<T>& attending, const QueryTile& tile, int key_head, T* to) {
    using Part = Share<D, TILE, THREADS>;
    Part share;
#pragma unroll
    for (int pass = 0; pass < TILE / Part::STRIDE; pass++) {
        int row = share.row + pass * Part::STRIDE;
        bool present = row < tile.rows * attending.group;
        Place place(attending, present ? row : 0);
        size_t token = tile.first_row + place.token;
        int head = key_head * attending.group + place.head;
        const T* query = attending.queries + token * attending.query_width + head * D + share.feature;
        copy_async(to + share.start + pass * Part::STRIDE * WIDTH, query, present);
    }
}

// Sets out tiles of keys, or of values, of positions from `first` on; what no query sees becomes zeros.
template <typename T, int D, int TILE, int THREADS>
struct Fetch {
    using Part = Share<D, TILE, THREADS>;
    const T* rows;
    int width;
    Tokens tokens;
    Part share;

    __device__ Fetch(const T* all, const Attending<T>& attending, const QueryTile& tile, int key_head)
        : width(attending.key_width), tokens(attending.ranges, tile) {
        rows = all + key_head * D + share.feature;
    }

    __device__ void operator()(T* to, int first) {
        tokens.move(first, TILE);
        if (tokens.straddles)
            fetch(to, first, [&](int position) { return rows + static_cast<size_t>(tokens.at(position)) * width; });
        else {
            const T* of_range = rows + static_cast<int64_t>(tokens.to_token) * width;
            fetch(to, first, [&](int position) { return of_range + static_cast<int64_t>(position) * width; });
        }
    }

    template <typename Find>
    __device__ void fetch(T* to, int first, Find find) {
#pragma unroll
        for (int pass = 0; pass < TILE / Part::STRIDE; pass++) {
            int position = first + share.row + pass * Part::STRIDE;
            const T* from = find(min(position, tokens.visible - 1));
            copy_async(to + share.start + pass * Part::STRIDE * WIDTH, from, position < tokens.visible);
        }
    }
};

// scores = queries * keys^T, in 16 features at a time.
template <typename T, int D, int TILE>
__device__ inline void multiply_queries(float (&scores)[TILE / 8][4], uint32_t queries, uint32_t keys) {
#pragma unroll
    for (int step = 0; step < D / 16; step++) {
        uint32_t offset = step / 4 * COLUMN_BYTES<TILE> + step % 4 * 32;
        if (step == 0)
            multiply_rows<false>(scores, operand(queries + offset), operand(keys + offset), T());
        else
            multiply_rows<true>(scores, operand(queries + offset), operand(keys + offset), T());
    }
}

// sums += weights * values, of 16 keys at a time.
template <typename T, int D, int TILE>
__device__ inline void multiply_weights(float (&sums)[D / 8][4], const uint32_t (&weights)[TILE / 16][4], uint32_t values) {
#pragma unroll
    for (int step = 0; step < TILE / 16; step++)
        multiply_columns(sums, weights[step], operand(values + step * 2 * EIGHT_ROWS, COLUMN_BYTES<TILE>), T());
}

template <typename T, int STEPS>
__device__ inline void narrow_all(uint32_t (&weights)[STEPS][4], const float (&scores)[2 * STEPS][4]) {
#pragma unroll
    for (int step = 0; step < STEPS; step++)
        narrow_weights<T>(weights[step], scores[2 * step], scores[2 * step + 1]);
}

// What was summed up with earlier weights is brought to the scale of the new ones.
template <int PARTS>
__device__ inline void rescale(float (&sums)[PARTS][4], const float (&factors)[2]) {
#pragma unroll
    for (int part = 0; part < PARTS; part++)
#pragma unroll
        for (int value = 0; value < 4; value++) sums[part][value] *= factors[value / 2];
}

// This thread's copies have arrived, those of others too, and nobody reads any more what is overwritten next.
__device__ inline void meet() {
    wait_for_copies<0>();
    show_to_products();
    __syncthreads();
}

// The first address from `shared` on at which a tile may begin.
__device__ inline unsigned char* aligned(unsigned char* shared) {
    uint32_t address = shared_address(shared);
    return shared + ((address + EIGHT_ROWS - 1) / EIGHT_ROWS * EIGHT_ROWS - address);
}

}  // namespace hopper
