// Looks for races in Hopper's attention of one of the namespaces of `faults.h`, which are made from the kernel's source, in a
// shape: `faults NAMESPACE SHAPE`.
#include "../../src/engine/gpu/kernels/attention_hopper.cuh"
#include "../../src/engine/gpu/kernels/tile_copies.cuh"

#include "faults.h"

#include <string>

namespace {

// A prompt of several tiles, whose keys stand in three ranges, and passages that see few keys, so that one tile overtakes another.
constexpr int PROMPT = 300, PASSAGES = 6, PASSAGE = 40, TOKENS = PROMPT + PASSAGES * PASSAGE, KEY_HEADS = 2;

using Kernel = void (*)(const Attending<bfloat16>&, int tiles);
template <typename Work, void (*KERNEL)(const Attending<bfloat16>&, const Work&)>
void attend(const Attending<bfloat16>& attending, int tiles) {
    KERNEL(attending, Work{tiles, KEY_HEADS});
}

// What a kernel is made for, query heads of a key head, and blocks.
struct Shape {
    int workers, keys, head_dim, group;
    unsigned blocks;
};
constexpr Shape SHAPES[] = {
    {3, 64, 64, 1, 1}, {3, 64, 64, 3, 2}, {2, 128, 64, 2, 1}, {3, 64, 128, 1, 1}, {2, 128, 128, 5, 1},
};

void run(const Shape& shape, size_t shared, Kernel kernel) {
    const int rows = shape.workers * 64;
    const auto threads = static_cast<unsigned>(shape.workers + 1) * 128;
    const int width = (shape.group + 2) * KEY_HEADS * shape.head_dim;
    std::vector<uint4> memory(static_cast<size_t>(TOKENS * width / 8));
    auto* values = reinterpret_cast<bfloat16*>(memory.data());
    for (int value = 0; value < TOKENS * width; value++) values[value] = __float2bfloat16(static_cast<float>(value * 7919 % 251 - 125) / 512);
    std::vector<uint4> results(static_cast<size_t>(TOKENS * shape.group * KEY_HEADS * shape.head_dim / 8));
    std::vector<KeyRange> ranges = {{0, 0, 30}, {30, 30, 10}, {40, 40, PROMPT - 40}};
    std::vector<QueryTile> tiles;
    for (int tokens = rows / shape.group, first = (PROMPT - 1) / tokens * tokens; first >= 0; first -= tokens) {
        int count = std::min(tokens, PROMPT - first);
        tiles.push_back({first, count, first, 0, 3, first + count});
    }
    for (int passage = 0, tokens = std::min(PASSAGE, rows / shape.group); passage < PASSAGES; passage++) {
        int first = PROMPT + passage * PASSAGE;
        tiles.push_back({first, tokens, 0, static_cast<int>(ranges.size()), 1, tokens});
        ranges.push_back({0, first, PASSAGE});
    }
    const bfloat16* keys = values + shape.group * KEY_HEADS * shape.head_dim;
    Attending<bfloat16> attending = {values, keys, keys + KEY_HEADS * shape.head_dim, reinterpret_cast<bfloat16*>(results.data()),
                                     tiles.data(), ranges.data(), width, width, shape.group * KEY_HEADS * shape.head_dim,
                                     shape.group, (65535 + shape.group) / shape.group, 1, 0.1f, 0};
    emulation::watched = true;
    emulation::launch({shape.blocks, 1}, {threads, 1}, shared, [&] { kernel(attending, static_cast<int>(tiles.size())); });
}

template <int INDEX>
void run_unchanged() {
    constexpr Shape SHAPE = SHAPES[INDEX];
    namespace kernel = unchanged::hopper;
    run(SHAPE, kernel::Room<bfloat16, SHAPE.head_dim, SHAPE.workers, SHAPE.keys>::BYTES,
        attend<kernel::Work, kernel::attend_by_roles<bfloat16, SHAPE.head_dim, SHAPE.workers, SHAPE.keys>>);
}
constexpr void (*UNCHANGED[])() = {run_unchanged<0>, run_unchanged<1>, run_unchanged<2>, run_unchanged<3>, run_unchanged<4>};

struct Fault {
    const char* name;
    Kernel kernel;
};
#define FAULT(name) {#name, attend<name::hopper::Work, name::hopper::attend_by_roles<bfloat16, 64, 3, 64>>},
constexpr Fault KERNELS[] = {FAULTS(FAULT)};

}  // namespace

int main(int count, char** arguments) {
    if (count != 3) return 2;
    const std::string name = arguments[1];
    const auto shape = static_cast<size_t>(atoi(arguments[2]));
    if (name == "unchanged") {
        if (shape >= std::size(UNCHANGED)) return 2;
        UNCHANGED[shape]();
        return 0;
    }
    for (const Fault& fault : KERNELS) {
        if (fault.name != name) continue;
        run(SHAPES[0], unchanged::hopper::Room<bfloat16, 64, 3, 64>::BYTES, fault.kernel);
        return 0;
    }
    return 2;
}
