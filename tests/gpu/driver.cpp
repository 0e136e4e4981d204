// CUDA's driver as far as rerank calls it, on an emulated GPU, and with it cuBLAS and cuBLASLt (blas.cpp): built as libcuda.so,
// libcublas.so and libcublasLt.so, it lets the real program run `--device cuda` on machines without a card. What the emulated
// GPU is like is said by the environment:
//
//   EMULATED_MEMORY      bytes of memory (1 GB)
//   EMULATED_CAPABILITY  compute capability, as 90
//   EMULATED_GPUS        how many
//   EMULATED_DRIVER      version, as 13000
//   EMULATED_INIT        what cuInit gives
//   EMULATED_KERNELS     a file to which the names of launched kernels are added
//   EMULATED_LT          what cuBLASLt lacks: all of it (missing), algorithms (none), or what they promise (refuses)
//   EMULATED_LOG         a file for a line of each product by cuBLASLt: algorithm, rows, outputs and inputs
#include "emulated.cpp"

#include <chrono>
#include <fstream>
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
// Kernels and products that were launched, and, for each allocation, the last product whose right matrix is there.
size_t launched = 0;
// How often anything but a product has changed the memory.
size_t writes = 0;
std::map<uint64_t, size_t> last_products;
thread_local void* current = nullptr;
// Time that a thread did not spend, but that events show.
thread_local std::chrono::nanoseconds pretended{0};

// Whether some bytes are inside an allocation.
bool inside(uint64_t address, size_t bytes) {
    auto after = allocations.upper_bound(address);
    if (after == allocations.begin()) return false;
    auto found = std::prev(after);
    return address + bytes <= found->first + found->second;
}

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
    writes++;
    used += bytes;
    return SUCCESS;
}
int cuMemFree_v2(uint64_t address) {
    std::lock_guard<std::mutex> lock(mutex);
    auto found = allocations.find(address);
    if (found == allocations.end()) return INVALID_VALUE;
    used -= found->second;
    allocations.erase(found);
    last_products.erase(address);
    free(reinterpret_cast<void*>(address));
    return SUCCESS;
}
int cuMemcpyHtoD_v2(uint64_t to, const void* from, size_t bytes) {
    std::lock_guard<std::mutex> lock(mutex);
    if (!inside(to, bytes)) return INVALID_VALUE;
    memcpy(reinterpret_cast<void*>(to), from, bytes);
    writes++;
    return SUCCESS;
}
int cuMemcpyDtoHAsync_v2(void* to, uint64_t from, size_t bytes, void*) {
    std::lock_guard<std::mutex> lock(mutex);
    if (!inside(from, bytes)) return INVALID_VALUE;
    memcpy(to, reinterpret_cast<const void*>(from), bytes);
    return SUCCESS;
}
int cuMemcpyDtoDAsync_v2(uint64_t to, uint64_t from, size_t bytes, void*) {
    std::lock_guard<std::mutex> lock(mutex);
    if (!inside(from, bytes) || !inside(to, bytes)) return INVALID_VALUE;
    memcpy(reinterpret_cast<void*>(to), reinterpret_cast<const void*>(from), bytes);
    writes++;
    return SUCCESS;
}
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
    if (const char* log = getenv("EMULATED_KERNELS"))
        std::ofstream(log, std::ios::app) << static_cast<const char*>(function) << '\n';
    launched++;
    writes++;
    unsigned launch[] = {across, down, threads, rows, shared};
    return emulate(static_cast<const char*>(function), launch, arguments) == 0 ? SUCCESS : NOT_FOUND;
}

}  // extern "C"

#include "streams.cpp"

#include "blas.cpp"
