// Streams of copies on the emulated GPU of driver.cpp, whose kernels all run in the default stream. A copy is made as late as it may
// be: when kernels are to wait for it, or the host does. So kernels that do not wait find what was there before, and a host that writes
// to memory too early sees it copied. A copy to a matrix that kernels may still multiply with is refused.
#include <deque>
#include <set>

namespace {

struct Copy {
    uint64_t to;
    const void* from;
    size_t bytes;
};

// A stream of copies.
struct Stream {
    std::deque<Copy> waiting;
    // Copies that were made.
    size_t made = 0;
    // The kernels that are done before the next copy is made.
    size_t kernels = 0;
};

// What is done when it has passed, and when it was recorded.
struct Event {
    std::chrono::steady_clock::time_point time;
    Stream* stream = nullptr;
    size_t copies = 0, kernels = 0;
};

std::set<const void*> page_locked;

// Makes so many of the copies of a stream, as far as they are not made yet.
int make(Stream* stream, size_t copies) {
    while (stream && stream->made < copies) {
        Copy copy = stream->waiting.front();
        if (!inside(copy.to, copy.bytes)) return INVALID_VALUE;
        memcpy(reinterpret_cast<void*>(copy.to), copy.from, copy.bytes);
        writes++;
        stream->waiting.pop_front();
        stream->made++;
    }
    return SUCCESS;
}
int make_all(Stream* stream) { return stream ? make(stream, stream->made + stream->waiting.size()) : SUCCESS; }

}  // namespace

extern "C" {

int cuStreamCreate(void** stream, unsigned flags) {
    constexpr unsigned NON_BLOCKING = 1;
    if (flags != NON_BLOCKING) return INVALID_VALUE;
    *stream = new Stream;
    return SUCCESS;
}
int cuStreamDestroy_v2(void* stream) {
    delete static_cast<Stream*>(stream);
    return SUCCESS;
}
int cuStreamSynchronize(void* stream) {
    std::lock_guard<std::mutex> lock(mutex);
    return make_all(static_cast<Stream*>(stream));
}
int cuStreamWaitEvent(void* stream, void* event, unsigned) {
    std::lock_guard<std::mutex> lock(mutex);
    const auto* passed = static_cast<Event*>(event);
    if (!stream) return make(passed->stream, passed->copies);
    auto* copies = static_cast<Stream*>(stream);
    copies->kernels = std::max(copies->kernels, passed->kernels);
    return SUCCESS;
}

int cuMemHostAlloc(void** memory, size_t bytes, unsigned) {
    std::lock_guard<std::mutex> lock(mutex);
    *memory = malloc(bytes);
    page_locked.insert(*memory);
    return SUCCESS;
}
int cuMemFreeHost(void* memory) {
    std::lock_guard<std::mutex> lock(mutex);
    if (!page_locked.erase(memory)) return INVALID_VALUE;
    free(memory);
    return SUCCESS;
}
int cuMemcpyHtoDAsync_v2(uint64_t to, const void* from, size_t bytes, void* stream) {
    std::lock_guard<std::mutex> lock(mutex);
    if (!stream || !page_locked.count(from) || !inside(to, bytes)) return INVALID_VALUE;
    auto* copies = static_cast<Stream*>(stream);
    auto last = last_products.find(std::prev(allocations.upper_bound(to))->first);
    if (last != last_products.end() && last->second > copies->kernels) return INVALID_VALUE;
    copies->waiting.push_back({to, from, bytes});
    return SUCCESS;
}

int cuEventCreate(void** event, unsigned) {
    *event = new Event;
    return SUCCESS;
}
int cuEventDestroy_v2(void* event) {
    delete static_cast<Event*>(event);
    return SUCCESS;
}
int cuEventRecord(void* event, void* stream) {
    std::lock_guard<std::mutex> lock(mutex);
    auto* copies = static_cast<Stream*>(stream);
    *static_cast<Event*>(event) = {std::chrono::steady_clock::now() + pretended, copies,
                                   copies ? copies->made + copies->waiting.size() : 0, copies ? copies->kernels : launched};
    return SUCCESS;
}
int cuEventSynchronize(void* event) {
    std::lock_guard<std::mutex> lock(mutex);
    const auto* passed = static_cast<Event*>(event);
    return make(passed->stream, passed->copies);
}
int elapsed(float* milliseconds, void* first, void* second) {
    auto between = static_cast<Event*>(second)->time - static_cast<Event*>(first)->time;
    *milliseconds = std::chrono::duration<float, std::milli>(between).count();
    return SUCCESS;
}
int cuEventElapsedTime(float* milliseconds, void* first, void* second) { return elapsed(milliseconds, first, second); }
int cuEventElapsedTime_v2(float* milliseconds, void* first, void* second) { return elapsed(milliseconds, first, second); }

}  // extern "C"
