// What attention's kernels are given: which rows are queries, and where the keys of their positions stand.
#pragma once
#include "device.cuh"

// Consecutive positions of a prompt, at consecutive tokens.
struct KeyRange {
    int position, token, length;
};

// Consecutive queries of one prompt. A prompt's ranges are in the order of positions, from 0 on, without gaps.
struct QueryTile {
    // Of the queries and of the results.
    int first_row;
    int rows;
    // Of the first query.
    int position;
    int first_range;
    int ranges;
    // Positions that the last query sees; the ranges reach as far.
    int visible;
};

// The merged product: queries and keys and values are parts of rows of `width` values.
template <typename T>
struct Attending {
    const T* queries;
    const T* keys;
    const T* values;
    // (rows, query heads * head_dim)
    T* results;
    const QueryTile* tiles;
    const KeyRange* ranges;
    // Values from one row to the next.
    int query_width, key_width, result_width;
    // Query heads of a key head, and what divides by it.
    int group, group_reciprocal;
    // Whether a query sees only keys up to its own position.
    int causal;
    // Scores are multiplied by this, log2(e) included.
    float scale;
    // The farthest that a key may stand from its query, for kernels that have windows.
    int window;
};

// The part of a tile's keys that a window leaves: the tile ends where its last query's window does.
template <typename T>
__device__ inline QueryTile within_window(const Attending<T>& attending, QueryTile tile) {
    tile.visible = min(tile.visible, tile.position + tile.rows + attending.window);
    return tile;
}

// Which query of its tile, and which head of its group, a row is. A tile has at most 128 rows: for them, 16 bits of the
// reciprocal, rounded up, are exact.
struct Place {
    int token, head;

    template <typename T>
    __device__ Place(const Attending<T>& attending, int row)
        : token(row * attending.group_reciprocal >> 16), head(row - token * attending.group) {}
};

// The token at a position.
__device__ inline int token_at(const KeyRange* ranges, int count, int position) {
    int index = 0;
    while (index + 1 < count && position >= ranges[index + 1].position) index++;
    return ranges[index].token + position - ranges[index].position;
}

// The tokens of tiles of positions, which come in the order of positions. Most tiles lie in one range, and nearly all others
// in two.
struct Tokens {
    const KeyRange* ranges;
    int count, visible;
    int range = 0, to_token = 0;
    // Where the next range begins, if that is in the tile.
    int boundary = 0, next_to_token = 0;
    bool straddles = false, straddles_more = false;

    __device__ Tokens(const KeyRange* all, const QueryTile& tile)
        : ranges(all + tile.first_range), count(tile.ranges), visible(tile.visible) {}

    // The next tile: `size` positions from `first` on.
    __device__ void move(int first, int size) {
        while (range + 1 < count && first >= ranges[range + 1].position) range++;
        to_token = ranges[range].token - ranges[range].position;
        straddles = range + 1 < count && first + size > ranges[range + 1].position;
        if (!straddles) return;
        boundary = ranges[range + 1].position;
        next_to_token = ranges[range + 1].token - boundary;
        straddles_more = range + 2 < count && first + size > ranges[range + 2].position;
    }

    // Of a position of this tile that some query sees.
    __device__ int at(int position) const {
        if (!straddles) return position + to_token;
        if (straddles_more) return token_at(ranges, count, position);
        return position + (position < boundary ? to_token : next_to_token);
    }
};

// A lane's share of two of the 16 rows of its warp: rows lane / 4 and lane / 4 + 8.
template <typename T, int D>
struct Rows {
    const T* query[2];
    T* result[2];
    // Keys that each row sees, from the first on; 0 for rows that are none.
    int sees[2];
    // The first key that each row sees, where it sees not all that come before it.
    int from[2] = {0, 0};

    __device__ Rows(const Attending<T>& attending, const QueryTile& tile, int key_head, int warp, int lane) {
        for (int half = 0; half < 2; half++) {
            int row = warp * 16 + lane / 4 + 8 * half;
            bool present = row < tile.rows * attending.group;
            Place place(attending, present ? row : 0);
            int head = key_head * attending.group + place.head;
            size_t index = tile.first_row + place.token;
            query[half] = attending.queries + index * attending.query_width + head * D;
            result[half] = attending.results + index * attending.result_width + head * D;
            int causal = tile.position + place.token + 1;
            sees[half] = !present ? 0 : attending.causal ? causal : tile.visible;
        }
    }

    // Leaves what stands within the windows of the queries.
    __device__ void narrow_to_windows(const Attending<T>& attending, const QueryTile& tile, int warp, int lane) {
        for (int half = 0; half < 2; half++) {
            if (sees[half] == 0) continue;
            int position = tile.position + Place(attending, warp * 16 + lane / 4 + 8 * half).token;
            from[half] = max(0, position - attending.window);
            sees[half] = min(sees[half], position + attending.window + 1);
        }
    }
};
