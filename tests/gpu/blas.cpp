// cuBLAS and cuBLASLt on the emulated GPU of driver.cpp, as far as rerank calls them. As on a card, every algorithm sums in an
// order of its own, and cuBLAS, left to choose, sums in an order that depends on the number of rows.
#include <algorithm>
#include <array>
#include <fstream>
#include <vector>

namespace {

constexpr int NOT_INITIALIZED = 1, BLAS_INVALID_VALUE = 7, NOT_SUPPORTED = 15;
constexpr int COMPUTE_32F = 68;

enum Data { F32 = 0, F16 = 2, BF16 = 14, E4M3 = 28 };

size_t size_of(int kind) { return kind == F32 ? 4 : kind == E4M3 ? 1 : 2; }

float widened(const void* values, int kind, size_t index) {
    if (kind == F32) return static_cast<const float*>(values)[index];
    if (kind == F16) return __half2float(static_cast<const float16*>(values)[index]);
    if (kind == E4M3) return from_e4m3(static_cast<const uint8_t*>(values)[index]);
    return __bfloat162float(static_cast<const bfloat16*>(values)[index]);
}
void narrowed(void* values, int kind, size_t index, float value) {
    if (kind == F32) static_cast<float*>(values)[index] = value;
    else if (kind == F16) static_cast<float16*>(values)[index] = __float2half(value);
    else static_cast<bfloat16*>(values)[index] = __float2bfloat16(value);
}

// By columns, one at once behind the other.
struct Matrix {
    const void* values;
    int kind;
    size_t rows, columns;

    bool there() const { return inside(reinterpret_cast<uint64_t>(values), rows * columns * size_of(kind)); }
    std::vector<float> wide(size_t column) const {
        std::vector<float> wide(rows);
        for (size_t row = 0; row < rows; row++) wide[row] = widened(values, kind, column * rows + row);
        return wide;
    }
    // Row by row: the columns of a row are summed side by side.
    std::vector<float> transposed() const {
        std::vector<float> wide(rows * columns);
        for (size_t column = 0; column < columns; column++)
            for (size_t row = 0; row < rows; row++) wide[row * columns + column] = widened(values, kind, column * rows + row);
        return wide;
    }
};

// Products of so many rows are there to try algorithms. Of those only the rows are computed that rerank compares: an emulated
// GPU is slow. Larger weights than a test's model has are there to measure the GPU's rate: nobody looks at their results.
constexpr size_t LARGE = 1 << 22;
bool is_trial(size_t rows) { return rows == 1000 || rows >= 8192; }
bool is_compared(size_t row) {
    for (size_t first : {0, 200, 936, 1136, 8128}) {
        if (row >= first && row < first + 64) return true;
    }
    return false;
}

// What sums of products of E4M3 are multiplied by: scales of the right and of the left matrix's columns.
struct Scales {
    const float *right = nullptr, *left = nullptr;

    bool there(size_t outputs, size_t rows) const {
        return inside(reinterpret_cast<uint64_t>(right), 4 * outputs) && inside(reinterpret_cast<uint64_t>(left), 4 * rows);
    }
};

// Vectors, as this is where tests of the library spend their time.
#if defined(__GNUC__) && !defined(__clang__)
__attribute__((optimize("O3")))
#endif
// results = rightᵀ · left + before · results; sums begin with the `first`th product.
bool multiply(const Matrix& right, const Matrix& left, const Matrix& results, float before, size_t first, Scales scales = {}) {
    bool fits = right.rows == left.rows && results.rows == right.columns && results.columns == left.columns;
    bool kinds = right.kind == left.kind && (results.kind == left.kind || results.kind == F32);
    if (left.kind == E4M3) {
        kinds = right.kind == E4M3 && (results.kind == F32 || results.kind == BF16) && right.rows % 16 == 0 && results.rows % 16 == 0;
        kinds = kinds && scales.there(results.rows, results.columns);
    }
    if (!fits || !kinds || !right.there() || !left.there() || !results.there()) return false;
    auto weights_at = reinterpret_cast<uint64_t>(right.values);
    last_products[std::prev(allocations.upper_bound(weights_at))->first] = ++launched;
    // To be timed, a product is repeated: its results are there, or, where they are added, nobody looks at what they became.
    static std::array<uint64_t, 10> last;
    auto number = [](const void* place) { return reinterpret_cast<uint64_t>(place); };
    std::array<uint64_t, 10> trial = {number(right.values), number(left.values), number(results.values), number(scales.right),
                                      number(scales.left),  results.columns,     results.rows,            before != 0,
                                      first,                writes};
    if (is_trial(results.columns) && trial == last) return true;
    last = trial;
    void* place = const_cast<void*>(results.values);
    size_t inner = right.rows;
    if (is_trial(results.columns) && inner * results.rows > LARGE) {
        memset(place, 0, results.rows * results.columns * size_of(results.kind));
        return true;
    }
    std::vector<float> weights = right.transposed();
    for (size_t column = 0; column < results.columns; column++) {
        // The others hold no numbers, so that it is seen if somebody reads them.
        if (is_trial(results.columns) && !is_compared(column)) {
            size_t bytes = results.rows * size_of(results.kind);
            memset(static_cast<char*>(place) + column * bytes, 0xff, bytes);
            continue;
        }
        std::vector<float> value = left.wide(column), sums(results.rows);
        for (size_t step = 0; step < inner; step++) {
            size_t index = (first + step) % inner;
            const float* weight = &weights[index * results.rows];
            for (size_t row = 0; row < results.rows; row++) sums[row] += weight[row] * value[index];
        }
        for (size_t row = 0; row < results.rows; row++) {
            size_t index = column * results.rows + row;
            float old = before == 0 ? 0 : before * widened(place, results.kind, index);
            float sum = left.kind == E4M3 ? sums[row] * scales.right[row] * scales.left[column] : sums[row];
            narrowed(place, results.kind, index, sum + old);
        }
    }
    return true;
}

bool lacks(const char* what) {
    const char* text = getenv("EMULATED_LT");
    return text && !strcmp(text, what);
}

struct Operation {
    int compute, scale, transposed[2] = {0, 0}, modes[2] = {0, 0};
    const float* scales[2] = {nullptr, nullptr};
};

struct Layout {
    int kind;
    size_t rows, columns;
    Matrix at(const void* values) const { return {values, kind, rows, columns}; }
};

struct Preference {
    size_t workspace = 0;
    unsigned schemes = 7, alignments[4] = {256, 256, 256, 256};
};

struct Algorithm {
    uint64_t data[8];
};

struct Found {
    Algorithm algorithm;
    size_t workspace;
    int state;
    float waves;
    int reserved[4];
};

// A scale for each row, as rerank counts them.
constexpr int OUTER_VECTOR = 3;

constexpr size_t MANY_ROWS = 1000;

// What the algorithms are like, in the order in which they are offered.
struct Kind {
    uint64_t id;
    unsigned parts, alignment;
    // Memory that it works in for many rows.
    size_t workspace;
    size_t least_rows;
    // So long that whatever the processor does meanwhile doesn't count.
    int seconds;
    // Whether it says that it sums in one piece, and doesn't.
    bool wavers;

    size_t needs(size_t rows) const { return rows < MANY_ROWS ? 0 : workspace; }
};
constexpr Kind KINDS[] = {
    // It divides sums by the number of rows.
    {11, 4, 1, 0, 1, 100, false},
    {12, 1, 1, 0, 1, 2000, false},
    // The one to take; it hands out tiles by a counter.
    {13, 1, 16, 4, 1, 1000, false},
    // Not much faster than that.
    {14, 1, 16, 0, 1, 990, false},
    // Faster, but not for few rows; with room for parts of sums; with sums that depend on the number of rows.
    {15, 1, 16, 0, 64, 500, false},
    {16, 1, 16, 1 << 20, 1, 500, false},
    {17, 1, 16, 0, 1, 400, true},
};
const Kind* kind_of(const Algorithm* algorithm) {
    for (const Kind& kind : KINDS) {
        if (kind.id == algorithm->data[0]) return &kind;
    }
    return nullptr;
}

}  // namespace

extern "C" {

int cublasCreate_v2(void** handle) {
    *handle = &used;
    return SUCCESS;
}
int cublasDestroy_v2(void*) { return SUCCESS; }
int cublasSetStream_v2(void*, void*) { return SUCCESS; }
int cublasSetMathMode(void*, int) { return SUCCESS; }
// C (m x n) = alpha op(A) op(B) + beta C, all by columns.
int cublasGemmEx(void*, int transposed_a, int transposed_b, int m, int n, int k, const void* alpha, const void* a, int a_kind,
                 int lda, const void* b, int b_kind, int ldb, const void* beta, void* c, int c_kind, int ldc, int compute,
                 int) {
    std::lock_guard<std::mutex> lock(mutex);
    bool usual = transposed_a == 1 && transposed_b == 0 && lda == k && ldb == k && ldc == m && compute == COMPUTE_32F;
    if (!usual || *static_cast<const float*>(alpha) != 1) return BLAS_INVALID_VALUE;
    size_t rows = static_cast<size_t>(n), outputs = static_cast<size_t>(m), inputs = static_cast<size_t>(k);
    bool done = multiply({a, a_kind, inputs, outputs}, {b, b_kind, inputs, rows}, {c, c_kind, outputs, rows},
                         *static_cast<const float*>(beta), rows);
    return done ? SUCCESS : BLAS_INVALID_VALUE;
}

size_t cublasLtGetVersion() { return 130002; }
int cublasLtCreate(void** handle) {
    *handle = &used;
    return lacks("missing") ? NOT_INITIALIZED : SUCCESS;
}
int cublasLtDestroy(void*) { return SUCCESS; }
int cublasLtMatmulDescCreate(Operation** operation, int compute, int scale) {
    *operation = new Operation{compute, scale};
    return SUCCESS;
}
int cublasLtMatmulDescDestroy(Operation* operation) {
    delete operation;
    return SUCCESS;
}
int cublasLtMatmulDescSetAttribute(Operation* operation, int attribute, const void* value, size_t bytes) {
    // Of the first matrix; that of the second follows.
    constexpr int TRANSPOSED = 3, SCALES = 17, MODES = 31;
    auto is = [&](int first, size_t size) { return attribute >= first && attribute <= first + 1 && bytes == size; };
    if (is(TRANSPOSED, sizeof(int))) operation->transposed[attribute - TRANSPOSED] = *static_cast<const int*>(value);
    else if (is(MODES, sizeof(int))) operation->modes[attribute - MODES] = *static_cast<const int*>(value);
    else if (is(SCALES, sizeof(void*))) memcpy(&operation->scales[attribute - SCALES], value, bytes);
    else return BLAS_INVALID_VALUE;
    return SUCCESS;
}
int cublasLtMatrixLayoutCreate(Layout** layout, int kind, uint64_t rows, uint64_t columns, int64_t leading) {
    if (leading != static_cast<int64_t>(rows) || rows == 0 || columns == 0) return BLAS_INVALID_VALUE;
    *layout = new Layout{kind, rows, columns};
    return SUCCESS;
}
int cublasLtMatrixLayoutDestroy(Layout* layout) {
    delete layout;
    return SUCCESS;
}
int cublasLtMatmulPreferenceCreate(Preference** preference) {
    *preference = new Preference;
    return SUCCESS;
}
int cublasLtMatmulPreferenceDestroy(Preference* preference) {
    delete preference;
    return SUCCESS;
}
int cublasLtMatmulPreferenceSetAttribute(Preference* preference, int attribute, const void* value, size_t bytes) {
    constexpr int WORKSPACE = 1, SCHEMES = 3, ALIGNMENT = 5;
    if (attribute == WORKSPACE && bytes == sizeof(size_t)) {
        preference->workspace = *static_cast<const size_t*>(value);
        return SUCCESS;
    }
    if (bytes != sizeof(unsigned)) return BLAS_INVALID_VALUE;
    unsigned number = *static_cast<const unsigned*>(value);
    if (attribute == SCHEMES) preference->schemes = number;
    else if (attribute >= ALIGNMENT && attribute < ALIGNMENT + 4) preference->alignments[attribute - ALIGNMENT] = number;
    else return BLAS_INVALID_VALUE;
    return SUCCESS;
}
int cublasLtMatmulAlgoConfigGetAttribute(const Algorithm* algorithm, int attribute, void* value, size_t bytes, size_t* written) {
    constexpr int PARTS = 2, SCHEME = 3;
    const Kind* kind = kind_of(algorithm);
    if (!kind || bytes != sizeof(unsigned)) return BLAS_INVALID_VALUE;
    *written = bytes;
    if (attribute == PARTS) *static_cast<unsigned*>(value) = kind->parts;
    else if (attribute == SCHEME) *static_cast<unsigned*>(value) = 0;
    else return BLAS_INVALID_VALUE;
    return SUCCESS;
}
int cublasLtMatmulAlgoCheck(void*, const Operation*, const Layout*, const Layout* left, const Layout*, const Layout*,
                            const Algorithm* algorithm, Found* needs) {
    const Kind* kind = kind_of(algorithm);
    if (!kind || left->columns < kind->least_rows) return NOT_SUPPORTED;
    *needs = {*algorithm, kind->needs(left->columns), SUCCESS, 1, {}};
    return SUCCESS;
}
int cublasLtMatmulAlgoGetHeuristic(void*, const Operation* operation, const Layout* right, const Layout*, const Layout*,
                                   const Layout*, const Preference* preference, int asked, Found* found, int* count) {
    if (lacks("none") || preference->schemes != 0) return NOT_SUPPORTED;
    if (right->kind == E4M3 && (lacks("scales") || operation->modes[0] != OUTER_VECTOR)) return NOT_SUPPORTED;
    *count = 0;
    unsigned aligned = *std::min_element(preference->alignments, preference->alignments + 4);
    for (const Kind& kind : KINDS) {
        if (kind.alignment > aligned || kind.workspace > preference->workspace || *count == asked) continue;
        found[(*count)++] = {{{kind.id}}, kind.workspace, SUCCESS, 1, {}};
    }
    return SUCCESS;
}
int cublasLtMatmul(void*, const Operation* operation, const void* alpha, const void* a, const Layout* right, const void* b,
                   const Layout* left, const void* beta, const void* c, const Layout* before, void* d, const Layout* results,
                   const Algorithm* algorithm, void* workspace, size_t bytes, void*) {
    std::lock_guard<std::mutex> lock(mutex);
    const Kind* kind = kind_of(algorithm);
    // Rows that no warm-up has.
    bool late = left->columns > 64 && left->columns < 200;
    if (lacks("refuses") || (lacks("later") && late) || !kind || left->columns < kind->least_rows) return NOT_SUPPORTED;
    bool usual = operation->compute == COMPUTE_32F && operation->scale == F32 && operation->transposed[0] == 1 &&
                 operation->transposed[1] == 0 && *static_cast<const float*>(alpha) == 1 && c == d &&
                 before->kind == results->kind && bytes >= kind->needs(left->columns) &&
                 (bytes == 0 || inside(reinterpret_cast<uint64_t>(workspace), bytes));
    for (const void* matrix : {a, b, static_cast<const void*>(d)}) {
        usual = usual && reinterpret_cast<uint64_t>(matrix) % kind->alignment == 0;
    }
    if (right->kind == E4M3) usual = usual && operation->modes[0] == OUTER_VECTOR && operation->modes[1] == OUTER_VECTOR;
    size_t first = kind->id + (kind->parts > 1 || kind->wavers ? left->columns : 0);
    float kept = *static_cast<const float*>(beta);
    if (!usual || !multiply(right->at(a), left->at(b), results->at(d), kept, first,
                            {operation->scales[0], operation->scales[1]})) return BLAS_INVALID_VALUE;
    pretended += std::chrono::seconds(kind->seconds);
    if (const char* log = getenv("EMULATED_LOG")) {
        std::ofstream(log, std::ios::app) << kind->id << ' ' << left->columns << ' ' << results->rows << ' ' << right->rows << '\n';
    }
    return SUCCESS;
}

}  // extern "C"
