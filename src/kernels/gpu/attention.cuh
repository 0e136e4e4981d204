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
    // Query heads of a key head.
    int group;
    // Whether a query sees only keys up to its own position.
    int causal;
    // Scores are multiplied by this, log2(e) included.
    float scale;
};

// The token at a position.
__device__ inline int token_at(const KeyRange* ranges, int count, int position) {
    int index = 0;
    while (index + 1 < count && position >= ranges[index + 1].position) index++;
    return ranges[index].token + position - ranges[index].position;
}
