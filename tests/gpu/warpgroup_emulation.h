// Hopper's products of a warpgroup, emulated: results come when they are waited for, and until then registers are garbage, and
// shared memory must stay as it was when the product was asked for.
#pragma once
#include "emulation.h"

#include <map>
#include <type_traits>

namespace emulation {

// Where shared memory begins in its address space: nowhere special.
constexpr uint32_t WINDOW = 1040;
constexpr int INNER = 16;

// What a warp's share of a product reads: 16 of the 64 rows, and all columns.
struct Operands {
    uint64_t left, right;
    bool left_in_registers, right_is_transposed, checked;
    std::vector<float> rows, columns;
};

struct Product {
    float* sums;
    int parts;
    bool add;
    std::shared_ptr<Operands> operands;
    // The left operand's, if it is in registers, and what they held.
    const uint32_t* registers;
    uint32_t held[4];
    void (*finish)(const Product&);
};

// Of one thread.
struct Products {
    // Groups that have not been waited for; the last is not committed yet.
    std::vector<std::vector<Product>> groups{1};
    // What is really in registers that products are writing.
    std::map<float*, std::vector<float>> sums;
    bool begun = false;
};
inline std::vector<Products>& products() {
    static thread_local std::vector<Products> all(2048);
    return all;
}
// Of each warp, what its latest product reads.
inline std::vector<std::shared_ptr<Operands>>& latest() {
    static thread_local std::vector<std::shared_ptr<Operands>> all(64);
    return all;
}

[[noreturn]] inline void wrong(const char* what) {
    fprintf(stderr, "products of a warpgroup: %s\n", what);
    abort();
}

template <typename T>
float wide(T value) {
    if constexpr (std::is_same_v<T, float16>) return __half2float(value);
    else return __bfloat162float(value);
}

inline uint32_t swizzled_address(uint32_t address) { return address ^ (address >> 3 & 0x70); }

// The value at an address that a descriptor leads to, before the swizzle.
template <typename T>
float value_at(uint32_t address) {
    uint32_t swizzled = swizzled_address(address);
    size_t offset = swizzled - WINDOW;
    if (swizzled < WINDOW || offset + 2 > block->shared.size()) wrong("an operand lies outside of shared memory");
    if (block->unshown[offset / 16]) wrong("an operand was not shown to them");
    T value;
    memcpy(&value, shared_memory() + offset, 2);
    return wide(value);
}

// Where row `row`, inner feature `inner` of an operand stands, before the swizzle.
inline uint32_t address_of_element(uint64_t descriptor, bool transposed, uint32_t row, uint32_t inner) {
    if (descriptor >> 62 != 1 || (descriptor >> 49 & 7) != 0) wrong("the swizzle is not that of 128 bytes");
    auto field = [&](int shift) { return static_cast<uint32_t>(descriptor >> shift & 0x3fff) << 4; };
    uint32_t start = field(0), next_tile = field(16), next_eight = field(32);
    if (transposed)
        return start + row / 64 * next_tile + inner / 8 * next_eight + inner % 8 * 128 + row % 64 * 2;
    return start + row / 8 * next_eight + row % 8 * 128 + inner * 2;
}
template <typename T>
float element(uint64_t descriptor, bool transposed, uint32_t row, uint32_t inner) {
    return value_at<T>(address_of_element(descriptor, transposed, row, inner));
}

// A product of this warp reads its operands: of the left one, too, what other warps of the warpgroup need.
inline void watch(const Operands& operands, uint32_t columns) {
    auto watch = [](uint64_t descriptor, bool transposed, uint32_t rows) {
        for (uint32_t row = 0; row < rows; row += transposed ? 8 : 1)
            for (uint32_t inner = 0; inner < INNER; inner += transposed ? 1 : 8)
                races->multiply(warp() * 32, swizzled_address(address_of_element(descriptor, transposed, row, inner)) - WINDOW);
    };
    if (!operands.left_in_registers) watch(operands.left, false, 64);
    watch(operands.right, operands.right_is_transposed, columns);
}

template <typename T>
void read(Operands& operands, int columns) {
    if (!operands.left_in_registers)
        for (uint32_t row = 0; row < 16; row++)
            for (uint32_t inner = 0; inner < INNER; inner++)
                operands.rows[row * INNER + inner] =
                    element<T>(operands.left, false, static_cast<uint32_t>(warp() % 4 * 16 + row), inner);
    for (uint32_t column = 0; column < static_cast<uint32_t>(columns); column++)
        for (uint32_t inner = 0; inner < INNER; inner++)
            operands.columns[column * INNER + inner] =
                element<T>(operands.right, operands.right_is_transposed, column, inner);
}

inline bool same(const std::vector<float>& one, const std::vector<float>& other) {
    return memcmp(one.data(), other.data(), one.size() * sizeof(float)) == 0;
}

// Everything that a product needs is read now, and compared when it is done.
template <typename T>
void finish(const Product& product) {
    Operands& operands = *product.operands;
    if (!operands.checked) {
        Operands now = operands;
        read<T>(now, product.parts * 8);
        if (!same(now.rows, operands.rows) || !same(now.columns, operands.columns))
            wrong("an operand was overwritten while it was read");
        operands.checked = true;
    }
    if (product.registers && memcmp(product.registers, product.held, sizeof product.held) != 0)
        wrong("an operand's registers were overwritten while they were read");
    auto& sums = products()[thread()].sums[product.sums];
    for (int sum = 0; sum < product.parts * 4; sum++) {
        if (!std::isnan(product.sums[sum])) wrong("registers of sums were written meanwhile");
        size_t row = lane() / 4 + static_cast<size_t>(sum / 2 % 2 * 8);
        size_t column = static_cast<size_t>(sum / 4 * 8 + sum % 2) + lane() % 4 * 2;
        float result = product.add ? sums[static_cast<size_t>(sum)] : 0.f;
        for (size_t inner = 0; inner < INNER; inner++)
            result += operands.rows[row * INNER + inner] * operands.columns[column * INNER + inner];
        sums[static_cast<size_t>(sum)] = result;
    }
}

template <typename T, int PARTS>
void set_out(float (&sums)[PARTS][4], const uint32_t* registers, uint64_t left, uint64_t right, bool add) {
    Products& own = products()[thread()];
    if (!own.begun) wrong("none was begun");
    struct Shown {
        uint64_t left, right;
        T values[4][2];
    } shown = {left, right, {}};
    if (registers) memcpy(shown.values, registers, sizeof shown.values);
    show(shown);
    if (lane() == 0) {
        auto operands = std::make_shared<Operands>();
        *operands = {left, right, registers != nullptr, registers != nullptr, false, {}, {}};
        operands->rows.resize(16 * INNER);
        operands->columns.resize(PARTS * 8 * INNER);
        if (races) watch(*operands, PARTS * 8);
        read<T>(*operands, PARTS * 8);
        for (size_t other = 0; other < 32; other++) {
            const auto& of_lane = shown_by<Shown>(other);
            if (of_lane.left != left || of_lane.right != right) wrong("the lanes mean different operands");
            if (!registers) continue;
            for (size_t part = 0; part < 4; part++)
                for (size_t half = 0; half < 2; half++) {
                    size_t row = other / 4 + part % 2 * 8, inner = part / 2 * 8 + other % 4 * 2 + half;
                    operands->rows[row * INNER + inner] = wide(of_lane.values[part][half]);
                }
        }
        latest()[thread() / 32] = operands;
    }
    meet_warp();
    Product product = {&sums[0][0], PARTS, add, latest()[thread() / 32], registers, {}, finish<T>};
    if (registers) memcpy(product.held, registers, sizeof product.held);
    own.groups.back().push_back(product);
    if (!own.sums.count(product.sums)) {
        own.sums[product.sums].assign(product.sums, product.sums + PARTS * 4);
        std::fill(product.sums, product.sums + PARTS * 4, NAN);
    }
    meet_warp();
}

}  // namespace emulation

inline uint32_t shared_address(const void* shared) {
    auto offset = static_cast<const unsigned char*>(shared) - emulation::shared_memory();
    return emulation::WINDOW + static_cast<uint32_t>(offset);
}

inline void begin_products() { emulation::products()[emulation::thread()].begun = true; }
inline void commit_products() {
    if (emulation::races) emulation::races->commit_products(emulation::block->current);
    emulation::products()[emulation::thread()].groups.emplace_back();
}

inline void show_to_products() {
    if (emulation::races) emulation::races->show(emulation::block->current);
    auto& own = emulation::block->fibers[emulation::block->current].unshown;
    for (auto* pieces : {&own, &emulation::block->arrived}) {
        for (size_t piece : *pieces) emulation::block->unshown[piece] = false;
        pieces->clear();
    }
}

inline void meet_warpgroup(int index) { emulation::meet_in_order(emulation::block->warpgroups[static_cast<size_t>(index)], 128); }

template <int PARTS>
void pin(float (&)[PARTS][4]) {}

template <int pending>
void wait_for_products() {
    auto& own = emulation::products()[emulation::thread()];
    own.begun = false;
    if (emulation::races) emulation::races->wait_for_products(emulation::block->current, pending);
    while (own.groups.size() > pending + 1) {
        auto done = own.groups.front();
        for (const auto& product : done) product.finish(product);
        own.groups.erase(own.groups.begin());
        for (const auto& product : done) {
            bool goes_on = false;
            for (const auto& group : own.groups)
                for (const auto& other : group) goes_on = goes_on || other.sums == product.sums;
            auto sums = own.sums.find(product.sums);
            if (goes_on || sums == own.sums.end()) continue;
            std::copy(sums->second.begin(), sums->second.end(), product.sums);
            own.sums.erase(sums);
        }
    }
}

template <bool add, typename T, int PARTS>
void multiply_rows(float (&sums)[PARTS][4], uint64_t left, uint64_t right, T) {
    emulation::set_out<T>(sums, nullptr, left, right, add);
}
template <typename T, int PARTS>
void multiply_columns(float (&sums)[PARTS][4], const uint32_t (&left)[4], uint64_t right, T) {
    emulation::set_out<T>(sums, left, 0, right, true);
}
