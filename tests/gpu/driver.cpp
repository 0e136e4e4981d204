// CUDA's driver and cuBLAS as far as rerank calls them, on an emulated GPU: built as libcuda.so and libcublas.so, it lets the
// real program run `--device cuda` on machines without a card. What the emulated GPU is like is said by the environment:
//
//   EMULATED_MEMORY      bytes of memory (1 GB)
//   EMULATED_CAPABILITY  compute capability, as 90
//   EMULATED_GPUS        how many
//   EMULATED_DRIVER      version, as 13000
//   EMULATED_INIT        what cuInit gives
#include "emulated.cpp"

#include <chrono>
#include <mutex>

namespace {

constexpr int SUCCESS = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NOT_FOUND = 500;

size_t setting(const char* name, size_t otherwise) {
    const char* text = getenv(name);
    return text ? strtoull(text, nullptr, 10) : otherwise;
}
size_t memory() { return setting("EMULATED_MEMORY", 1000000000); }

// Kernels and allocations are used by one thread at a time.
std::mutex mutex;
std::map<uint64_t, size_t> allocations;
size_t used = 0;
thread_local void* current = nullptr;

// Whether some bytes are inside an allocation.
bool inside(uint64_t address, size_t bytes) {
    auto after = allocations.upper_bound(address);
    if (after == allocations.begin()) return false;
    auto found = std::prev(after);
    return address + bytes <= found->first + found->second;
}

enum Data { F32 = 0, F16 = 2, BF16 = 14 };

float widened(const void* values, int kind, size_t index) {
    if (kind == F32) return static_cast<const float*>(values)[index];
    if (kind == F16) return __half2float(static_cast<const float16*>(values)[index]);
    return __bfloat162float(static_cast<const bfloat16*>(values)[index]);
}
void narrowed(void* values, int kind, size_t index, float value) {
    if (kind == F32) static_cast<float*>(values)[index] = value;
    else if (kind == F16) static_cast<float16*>(values)[index] = __float2half(value);
    else static_cast<bfloat16*>(values)[index] = __float2bfloat16(value);
}
size_t size_of(int kind) { return kind == F32 ? 4 : 2; }

}  // namespace

extern "C" {

int cuInit(unsigned) { return static_cast<int>(setting("EMULATED_INIT", SUCCESS)); }
int cuDriverGetVersion(int* version) {
    *version = static_cast<int>(setting("EMULATED_DRIVER", 13000));
    return SUCCESS;
}
int cuGetErrorName(int, const char** name) {
    *name = "EMULATED_ERROR";
    return SUCCESS;
}
int cuGetErrorString(int, const char** text) {
    *text = "an emulated error";
    return SUCCESS;
}
int cuDeviceGetCount(int* count) {
    *count = static_cast<int>(setting("EMULATED_GPUS", 1));
    return SUCCESS;
}
int cuDeviceGet(int* device, int ordinal) {
    *device = ordinal;
    return SUCCESS;
}
int cuDeviceGetName(char* name, int length, int) {
    snprintf(name, static_cast<size_t>(length), "Emulated GPU");
    return SUCCESS;
}
int cuDeviceGetUuid_v2(unsigned char* bytes, int device) {
    memset(bytes, device, 16);
    return SUCCESS;
}
int cuDeviceTotalMem_v2(size_t* bytes, int) {
    *bytes = memory();
    return SUCCESS;
}
int cuDeviceGetAttribute(int* value, int attribute, int) {
    int capability = static_cast<int>(setting("EMULATED_CAPABILITY", 90));
    // Capability's two parts; processors; memory pools, of which it has none.
    *value = attribute == 75 ? capability / 10 : attribute == 76 ? capability % 10 : attribute == 16 ? 1 : 0;
    return SUCCESS;
}
int cuDevicePrimaryCtxRetain(void** context, int device) {
    *context = reinterpret_cast<void*>(static_cast<uintptr_t>(device) + 1);
    return SUCCESS;
}
int cuDevicePrimaryCtxRelease_v2(int) { return SUCCESS; }
int cuCtxGetCurrent(void** context) {
    *context = current;
    return SUCCESS;
}
int cuCtxSetCurrent(void* context) {
    current = context;
    return SUCCESS;
}
int cuMemGetInfo_v2(size_t* free, size_t* total) {
    std::lock_guard<std::mutex> lock(mutex);
    *free = memory() - used;
    *total = memory();
    return SUCCESS;
}
int cuMemAlloc_v2(uint64_t* address, size_t bytes) {
    std::lock_guard<std::mutex> lock(mutex);
    if (used + bytes > memory()) return OUT_OF_MEMORY;
    size_t whole = (bytes + 255) / 256 * 256;
    void* place = aligned_alloc(256, whole);
    memset(place, 0xff, whole);
    *address = reinterpret_cast<uint64_t>(place);
    allocations[*address] = bytes;
    used += bytes;
    return SUCCESS;
}
int cuMemFree_v2(uint64_t address) {
    std::lock_guard<std::mutex> lock(mutex);
    auto found = allocations.find(address);
    if (found == allocations.end()) return INVALID_VALUE;
    used -= found->second;
    allocations.erase(found);
    free(reinterpret_cast<void*>(address));
    return SUCCESS;
}
int cuMemcpyHtoD_v2(uint64_t to, const void* from, size_t bytes) {
    std::lock_guard<std::mutex> lock(mutex);
    if (!inside(to, bytes)) return INVALID_VALUE;
    memcpy(reinterpret_cast<void*>(to), from, bytes);
    return SUCCESS;
}
int cuMemcpyDtoHAsync_v2(void* to, uint64_t from, size_t bytes, void*) {
    std::lock_guard<std::mutex> lock(mutex);
    if (!inside(from, bytes)) return INVALID_VALUE;
    memcpy(to, reinterpret_cast<const void*>(from), bytes);
    return SUCCESS;
}
int cuStreamSynchronize(void*) { return SUCCESS; }

// An event is the time at which it was recorded.
int cuEventCreate(void** event, unsigned) {
    *event = new std::chrono::steady_clock::time_point();
    return SUCCESS;
}
int cuEventRecord(void* event, void*) {
    *static_cast<std::chrono::steady_clock::time_point*>(event) = std::chrono::steady_clock::now();
    return SUCCESS;
}
int elapsed(float* milliseconds, void* first, void* second) {
    using Time = std::chrono::steady_clock::time_point;
    auto between = *static_cast<Time*>(second) - *static_cast<Time*>(first);
    *milliseconds = std::chrono::duration<float, std::milli>(between).count();
    return SUCCESS;
}
int cuEventElapsedTime(float* milliseconds, void* first, void* second) { return elapsed(milliseconds, first, second); }
int cuEventElapsedTime_v2(float* milliseconds, void* first, void* second) { return elapsed(milliseconds, first, second); }

// Whatever image is loaded, the kernels are those that were compiled with this.
int cuModuleLoadData(void** module, const void*) {
    *module = &mutex;
    return SUCCESS;
}
int cuModuleGetFunction(void** function, void*, const char* name) {
    auto found = KERNELS.find(name);
    if (found == KERNELS.end()) return NOT_FOUND;
    *function = const_cast<char*>(found->first.c_str());
    return SUCCESS;
}
int cuFuncSetAttribute(void*, int, int) { return SUCCESS; }
int cuLaunchKernel(void* function, unsigned across, unsigned down, unsigned deep, unsigned threads, unsigned rows,
                   unsigned layers, unsigned shared, void*, void** arguments, void**) {
    if (deep != 1 || layers != 1 || threads * rows > 1024 || shared > 227 * 1024) return INVALID_VALUE;
    std::lock_guard<std::mutex> lock(mutex);
    unsigned launch[] = {across, down, threads, rows, shared};
    return emulate(static_cast<const char*>(function), launch, arguments) == 0 ? SUCCESS : NOT_FOUND;
}

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
    constexpr int COMPUTE_32F = 68;
    std::lock_guard<std::mutex> lock(mutex);
    auto extent = [](int leading, int columns, int kind) {
        return static_cast<size_t>(leading) * static_cast<size_t>(columns) * size_of(kind);
    };
    bool there = inside(reinterpret_cast<uint64_t>(a), extent(lda, transposed_a ? m : k, a_kind)) &&
                 inside(reinterpret_cast<uint64_t>(b), extent(ldb, transposed_b ? k : n, b_kind)) &&
                 inside(reinterpret_cast<uint64_t>(c), extent(ldc, n, c_kind));
    if (!there || compute != COMPUTE_32F || a_kind != b_kind || (c_kind != a_kind && c_kind != F32)) return INVALID_VALUE;
    float factor = *static_cast<const float*>(alpha), before = *static_cast<const float*>(beta);
    for (int column = 0; column < n; column++) {
        for (int row = 0; row < m; row++) {
            float sum = 0;
            for (int inner = 0; inner < k; inner++) {
                size_t left = transposed_a ? static_cast<size_t>(row) * lda + inner : static_cast<size_t>(inner) * lda + row;
                size_t right =
                    transposed_b ? static_cast<size_t>(inner) * ldb + column : static_cast<size_t>(column) * ldb + inner;
                sum += widened(a, a_kind, left) * widened(b, b_kind, right);
            }
            size_t place = static_cast<size_t>(column) * ldc + row;
            float old = before == 0 ? 0 : before * widened(c, c_kind, place);
            narrowed(c, c_kind, place, factor * sum + old);
        }
    }
    return SUCCESS;
}

}  // extern "C"
