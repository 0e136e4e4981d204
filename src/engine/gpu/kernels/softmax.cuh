// Softmax over keys that come in tiles (Milakov and Gimelshein, 2018), on scores as tensor cores leave them: of 8 columns, a
// lane has 2 * (lane % 4) and the next, of its two rows.
#pragma once
#include "attention.cuh"

struct Softmax {
    float most[2] = {-INFINITY, -INFINITY}, totals[2] = {0.f, 0.f};

    // The scores of keys from `first` on become weights, relative to the largest score so far; what was summed up with earlier
    // weights is to be multiplied by `factors`. `sees` are the keys that each row sees, from 0 on, or from `from` on in windows.
    template <bool WINDOWED = false, int PARTS>
    __device__ void weigh(float (&scores)[PARTS][4], float (&factors)[2], int first, const int (&sees)[2], float scale,
                          const int* from = nullptr) {
        int lane = threadIdx.x % 32;
#pragma unroll
        for (int half = 0; half < 2; half++) {
            // Most tiles are seen whole.
            if (first + PARTS * 8 > sees[half] || (WINDOWED && first < from[half])) {
#pragma unroll
                for (int part = 0; part < PARTS; part++) {
#pragma unroll
                    for (int column = 0; column < 2; column++) {
                        int position = first + part * 8 + lane % 4 * 2 + column;
                        if (position >= sees[half] || (WINDOWED && position < from[half])) scores[part][half * 2 + column] = -INFINITY;
                    }
                }
            }
            float largest = -INFINITY;
#pragma unroll
            for (int part = 0; part < PARTS; part++)
                largest = fmaxf(largest, fmaxf(scores[part][half * 2], scores[part][half * 2 + 1]));
            largest = fmaxf(largest, __shfl_xor_sync(ALL_LANES, largest, 1));
            largest = fmaxf(largest, __shfl_xor_sync(ALL_LANES, largest, 2));
            float before = most[half];
            most[half] = fmaxf(before, largest);
            // Rows that see nothing have no largest score.
            float base = most[half] == -INFINITY ? 0.f : most[half] * scale;
            // Exactly 1 where nothing changes: a row must not depend on how many keys others see.
            factors[half] = most[half] == before ? 1.f : power_of_two(fmaf(before, scale, -base));
            float total = 0.f;
#pragma unroll
            for (int part = 0; part < PARTS; part++) {
#pragma unroll
                for (int column = 0; column < 2; column++) {
                    float& score = scores[part][half * 2 + column];
                    score = power_of_two(fmaf(score, scale, -base));
                    total += score;
                }
            }
            totals[half] = totals[half] * factors[half] + total;
        }
    }
};

// The weights of 16 keys as the left operand of a product: a lane's two rows, of the first 8 keys and of the others.
template <typename T>
__device__ inline void narrow_weights(uint32_t (&weights)[4], const float (&first)[4], const float (&second)[4]) {
    weights[0] = narrow_pair<T>(first[0], first[1]);
    weights[1] = narrow_pair<T>(first[2], first[3]);
    weights[2] = narrow_pair<T>(second[0], second[1]);
    weights[3] = narrow_pair<T>(second[2], second[3]);
}

// results = sums / totals, of rows that see anything.
template <typename T, int D>
__device__ inline void finish(const Softmax& softmax, const float (&sums)[D / 8][4], const Rows<T, D>& rows) {
#pragma unroll
    for (int half = 0; half < 2; half++) {
        float total = softmax.totals[half];
        total += __shfl_xor_sync(ALL_LANES, total, 1);
        total += __shfl_xor_sync(ALL_LANES, total, 2);
        if (rows.sees[half] == 0) continue;
        float scale = 1.f / total;
#pragma unroll
        for (int part = 0; part < D / 8; part++) {
            uint32_t pair = narrow_pair<T>(sums[part][half * 2] * scale, sums[part][half * 2 + 1] * scale);
            store_pair(rows.result[half] + part * 8 + threadIdx.x % 4 * 2, pair);
        }
    }
}
