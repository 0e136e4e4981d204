// The GPU's kernels as a library for the processor: `emulate` runs one by its name.
#include "../../src/engine/gpu/kernels/activation.cu"
#include "../../src/engine/gpu/kernels/attention.cu"
#include "../../src/engine/gpu/kernels/attention_hopper.cu"
#include "../../src/engine/gpu/kernels/attention_plain.cu"
#include "../../src/engine/gpu/kernels/bias.cu"
#include "../../src/engine/gpu/kernels/heads.cu"
#include "../../src/engine/gpu/kernels/multiply_gated_hopper.cu"
#include "../../src/engine/gpu/kernels/norm.cu"
#include "../../src/engine/gpu/kernels/normalize.cu"
#include "../../src/engine/gpu/kernels/pooling.cu"
#include "../../src/engine/gpu/kernels/quantize.cu"
#include "../../src/engine/gpu/kernels/rotate.cu"
#include "../../src/engine/gpu/kernels/swiglu.cu"

#include <map>
#include <string>
#include <utility>

// Sums of a warp's values as the GPU makes them, and as the emulation does.
extern "C" void sum_both_ways(const float* values, float* sums) {
    float value = values[threadIdx.x];
    sums[threadIdx.x] = exchange(value, [](float one, float other) { return one + other; });
    sums[32 + threadIdx.x] = sum_of_warp(value);
}

namespace {

using Call = std::function<void(void**)>;

template <typename... Arguments, size_t... Index>
Call bound(void (*kernel)(Arguments...), std::index_sequence<Index...>) {
    return [kernel](void** arguments) { kernel(*static_cast<std::remove_cv_t<Arguments>*>(arguments[Index])...); };
}
template <typename... Arguments>
Call bound(void (*kernel)(Arguments...)) {
    return bound(kernel, std::index_sequence_for<Arguments...>());
}

#define KERNEL(name) {#name, bound(name)}
#define OF_FIXED(name) KERNEL(name##_bf16_64), KERNEL(name##_bf16_128), KERNEL(name##_f16_64), KERNEL(name##_f16_128)
#define OF_EACH_TYPE(name) KERNEL(name##_f32), KERNEL(name##_bf16), KERNEL(name##_f16)
const std::map<std::string, Call> KERNELS = {
    OF_EACH_TYPE(embed),       OF_EACH_TYPE(rms_norm),    OF_EACH_TYPE(qk_norm_rope),   OF_EACH_TYPE(swiglu),
    OF_EACH_TYPE(attend_plain), KERNEL(attend_bf16_64),   KERNEL(attend_bf16_128),    KERNEL(attend_f16_64),
    KERNEL(attend_f16_128),    KERNEL(gather_rows),       KERNEL(score_rows),       KERNEL(qk_norm_rope_bf16_64),
    KERNEL(qk_norm_rope_bf16_128), KERNEL(qk_norm_rope_f16_64), KERNEL(qk_norm_rope_f16_128),
    KERNEL(attend_bf16_32), KERNEL(attend_f16_32), KERNEL(attend_windows_bf16_32),
    KERNEL(attend_windows_bf16_64), KERNEL(attend_windows_bf16_128), KERNEL(attend_windows_f16_32),
    KERNEL(attend_windows_f16_64), KERNEL(attend_windows_f16_128), OF_EACH_TYPE(activate_plain), OF_EACH_TYPE(activate_gated),
    OF_EACH_TYPE(add_bias), OF_EACH_TYPE(normalize), OF_EACH_TYPE(rotate), KERNEL(fill_rows), KERNEL(mean_rows),
    KERNEL(dot_rows),          KERNEL(multiply_gated_hopper_bf16), KERNEL(multiply_gated_hopper_f16),
    KERNEL(sum_both_ways), KERNEL(quantize_rows_bf16), KERNEL(rms_norm_quantized_bf16), KERNEL(swiglu_quantized_bf16),
    OF_FIXED(attend_hopper_early), OF_FIXED(attend_hopper_late),
};

}  // namespace

// `launch`: blocks across and down, threads across and down, bytes of shared memory. 1 if there is no such kernel.
extern "C" int emulate(const char* name, const unsigned* launch, void** arguments) {
    auto found = KERNELS.find(name);
    if (found == KERNELS.end()) return 1;
    unsigned blocks = found->first.rfind("multiply_gated", 0) == 0 ? gated::BLOCKS : 1;
    auto kernel = [&] { found->second(arguments); };
    emulation::launch({launch[0], launch[1]}, {launch[2], launch[3]}, launch[4], kernel, blocks);
    return 0;
}
