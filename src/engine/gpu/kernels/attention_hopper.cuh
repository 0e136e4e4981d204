// For attention on Hopper's tensor cores: tiles of queries, keys and values in shared memory, in columns of 64 features, as
// warpgroup.cuh has them, and what is done to scores and sums. `TILE` is the rows of a tile, `THREADS` those of a warpgroup.
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

// The first address from `shared` on at which a tile may begin.
__device__ inline unsigned char* aligned(unsigned char* shared) {
    uint32_t address = shared_address(shared);
    return shared + ((address + EIGHT_ROWS - 1) / EIGHT_ROWS * EIGHT_ROWS - address);
}

}  // namespace hopper
