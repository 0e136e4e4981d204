#!/usr/bin/env bash
# Everything that is to be known of rerank on a GPU, in one command of under ten minutes: is it right, how fast is it, and
# how fast are others. Needs a binary that was built with `--features cuda`, a CUDA driver, and Python with torch,
# transformers and sentence-transformers for the comparisons; no network. What is found is printed, and kept as it comes.
#
#   scripts/bench_gpu.sh [BINARY] [DIRECTORY FOR RESULTS]     default: target/release/rerank, and gpu-results
#
# ONLY='parity|long' runs the steps whose names match; DEADLINE is the time for all of them, in seconds.
set -uo pipefail
cd "$(dirname "$0")/.."

binary=$(realpath "${1:-target/release/rerank}")
results=${2:-gpu-results}
mkdir -p "$results"
rm -f "$results/table.md" "$results/summary.txt"
python=${PYTHON:-python3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# cuBLAS as PyTorch's packages bring it, or else the toolkit's: never one library of each.
mkdir "$work/libraries"
packages=$("$python" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])' 2> /dev/null)
for name in libcublasLt libcublas; do
    for found in "$packages"/nvidia/*/lib/$name.so.1?; do
        [ -e "$found" ] && ln -sf "$found" "$work/libraries/$name.so" && ln -sf "$found" "$work/libraries/"
    done
done
[ -e "$work/libraries/libcublas.so" ] || export LD_LIBRARY_PATH="/usr/local/cuda/lib64:${LD_LIBRARY_PATH:-}"
export LD_LIBRARY_PATH="$work/libraries:${LD_LIBRARY_PATH:-}"
export HF_HUB_OFFLINE=1 HF_HUB_DISABLE_PROGRESS_BARS=1 TRANSFORMERS_VERBOSITY=error

# No step begins after this, and none goes on for longer: what matters most comes first.
deadline=${DEADLINE:-570}

failed=
# step NAME SECONDS COMMAND...: runs it with a time limit; a failure is told, and the next step comes.
step() {
    local name=$1 seconds=$2 started=$SECONDS left=$((deadline - SECONDS))
    shift 2
    [[ $name =~ ${ONLY:-.} ]] || return
    if [ "$left" -le 0 ]; then
        echo "== $name: no time left" | tee -a "$results/summary.txt"
        return
    fi
    [ "$seconds" -le "$left" ] || seconds=$left
    printf '\n== %s\n' "$name"
    timeout -k 5 "$seconds" "$@" > "$results/$name.txt" 2>&1
    local status=$?
    tail -n 40 "$results/$name.txt"
    echo "== $name: status $status after $((SECONDS - started)) s" | tee -a "$results/summary.txt"
    [ "$status" = 0 ] || failed="$failed $name"
}

# Whether a step of these names is run.
wanted() {
    local name
    for name in "$@"; do [[ $name =~ ${ONLY:-.} ]] && return; done
    return 1
}

# Models and candidates: encoders; the shape of the 0.6B model; small ones for every kernel; 200 queries that begin differently.
prepare() {
    if wanted parity-encoders peers-{bge-base,minilm} sanitizer-{memcheck,racecheck}-{minilm,modernbert}-bf16; then
        "$python" scripts/encoder_models.py --output "$work/encoders"
    fi
    if wanted parity parity-fp8 sanitizer-{memcheck,racecheck,initcheck}-{8-2-64-bf16,8-2-64-fp8,4-4-128-bf16,16-4-128-f16,6-1-80-f32}; then
        "$python" scripts/gpu_parity.py --small "$work/small" --only-make
    fi
    wanted parity-{random,memory,longest,fp8} peers-{passage,rag,long} whole-program streamed || return
    "$python" scripts/random_model.py --shape 0.6b --output "$work/random" --tokenizer testdata/tiny-reranker/tokenizer.json
    "$python" - "$work" << 'PYTHON'
import json
import random
import sys
from pathlib import Path

sys.path.insert(0, "scripts")
from bench_peers import write_candidates
from transformers import AutoTokenizer

work = Path(sys.argv[1])
write_candidates(work / "many.jsonl", "passage", AutoTokenizer.from_pretrained(work / "random"), 2000)
group, draw = json.loads((work / "many.jsonl").read_text()), random.Random(1)
with open(work / "whole.jsonl", "w") as lines:
    for index in range(200):
        query = {"query_id": str(index), "query": f"which words are these, {index}"}
        lines.write(json.dumps(query | {"candidates": draw.sample(group["candidates"], 100)}) + "\n")
PYTHON
}
prepare > "$results/prepare.txt" 2>&1 &
step card 20 nvidia-smi
step device 60 "$binary" --model testdata/tiny-reranker --input testdata/candidates.jsonl --device cuda --verbose --output -
wait
step parity 180 "$python" scripts/gpu_parity.py --rerank "$binary" --small "$work/small"
# name, seconds, shape, then options and workloads
bench() {
    step "$1" "$2" "$python" scripts/bench_table.py --rerank "$binary" --device cuda --table "$results/table.md" --shape "${@:3}"
}
bench bench-0.6b 150 qwen3-0.6b passage:4000 rag:1000 long:40
step parity-encoders 120 "$python" scripts/gpu_parity.py --rerank "$binary" --encoders "$work/encoders" --queries 0
bench bench-bge-base 40 bge-base passage:20000
bench bench-minilm 40 minilm passage:60000
for encoder in bge-base minilm; do
    step "peers-$encoder" 60 "$python" scripts/bench_peers.py --device cuda --rerank "$binary" --model "$work/encoders/$encoder" \
        --rounds 1 --peers sentence-transformers
done
step parity-random 90 "$python" scripts/gpu_parity.py --rerank "$binary" --random "$work/random" --queries 0 \
    --workloads passage rag long --dtypes f32 bf16
step parity-memory 60 "$python" scripts/gpu_parity.py --rerank "$binary" --random "$work/random" --queries 0 --workloads --memory
step peers-passage 120 "$python" scripts/bench_peers.py --device cuda --rerank "$binary" --model "$work/random" --rounds 1 \
    --peers transformers sentence-transformers
step whole-program 60 "$binary" --device cuda --dtype bf16 --model "$work/random" --input "$work/whole.jsonl" \
    --output "$work/ranked.jsonl" --overwrite --stats "$results/stats.json" --verbose
bench bench-4b 60 qwen3-4b --repeat 1 passage:1000 rag:500
bench bench-8b 60 qwen3-8b --repeat 1 passage:1000 rag:500
# 8-bit floats: what they deviate by, as transformers rounds too, and what they are worth beside the rows before.
step parity-fp8 90 "$python" scripts/gpu_parity.py --rerank "$binary" --small "$work/small" --random "$work/random" \
    --workloads passage rag --dtypes fp8
bench bench-0.6b-fp8 40 qwen3-0.6b --dtype fp8 passage:4000 rag:1000 long:40
bench bench-4b-fp8 40 qwen3-4b --dtype fp8 --repeat 1 passage:1000 rag:500
bench bench-8b-fp8 40 qwen3-8b --dtype fp8 --repeat 1 passage:1000 rag:500
for workload in rag long; do
    step "peers-$workload" 120 "$python" scripts/bench_peers.py --device cuda --rerank "$binary" --model "$work/random" \
        --rounds 1 --workload "$workload" --peers transformers sentence-transformers
done
# Layers in host memory: the scores of the whole model, to the bit, and what the uploads cost.
compare_streamed() {
    local rank=("$binary" --device cuda --dtype bf16 --model "$work/random" --input "$work/whole.jsonl" --max-batch-tokens 16384)
    "${rank[@]}" --output "$work/resident.jsonl" --overwrite --stats "$work/resident.json" \
        && "${rank[@]}" --gpu-memory 1500MB --output "$work/streamed.jsonl" --overwrite --stats "$work/streamed.json" --verbose \
        && grep -E '"(pairs_per_second|streamed|layers|of|host_bytes)"' "$work/resident.json" "$work/streamed.json" \
        && grep -q '"streamed"' "$work/streamed.json" \
        && cmp "$work/resident.jsonl" "$work/streamed.jsonl"
}
export -f compare_streamed
export binary work
step streamed 90 bash -c compare_streamed
bench bench-8b-streamed 90 qwen3-8b --note ", 8 GiB of memory" --gpu-memory 8GiB --repeat 1 passage:1000 rag:500
# What each of the things is worth that can be switched off.
RERANK_GPU_WITHOUT=hopper bench without-hopper 60 qwen3-0.6b --note ", without Hopper's attention" --repeat 1 rag:1000 long:40
RERANK_GPU_WITHOUT=product bench without-product 60 qwen3-0.6b --note ", without activating at once" --repeat 1 passage:4000
RERANK_GPU_WITHOUT=cublaslt bench without-cublaslt 60 qwen3-0.6b --note ", without cuBLASLt" --repeat 1 passage:4000
step parity-longest 90 "$python" scripts/gpu_parity.py --rerank "$binary" --random "$work/random" --queries 0 \
    --workloads longest --dtypes bf16
# Every own kernel: on tensor cores with 64 and 128 features, and the plain one. racecheck reports races inside of NVIDIA's own
# products (nvjet), and breaks when it is to leave them out: only a race that names one of our kernels fails the step. It is
# slow, so that it gets less to do, and products by cuBLAS, whose algorithms run under it. Hopper's attention is not for
# it: it does not follow barriers at which copies arrive (cp.async.mbarrier.arrive), and reports whatever they keep in order. The
# test gpu_races follows them, on the emulated GPU. initcheck does not see what nvjet and
# other kernels write by bulk copies, and reports every value of a product in bf16 or f16: it looks at f32 alone.
sanitize() {
    step "sanitizer-$1-$2-$3" 40 compute-sanitizer --tool "$1" --error-exitcode 9 "$binary" --device cuda --dtype "$3" \
        --model "$work/$4" --input "$5" --max-batch-tokens 512 --output /dev/null --quiet
}
ours='attend|multiply_gated|quantize|qk_norm_rope|rms_norm|swiglu|embed|gather_rows|score_rows|activate|add_bias|fill_rows|normalize|mean_rows|dot_rows|rotate'
check_races() {
    compute-sanitizer --tool racecheck "$binary" --device cuda --dtype "$2" --model "$work/$1" --input "$3" \
        --max-batch-tokens 512 --output /dev/null --quiet > "$work/races.txt"
    local status=$?
    cat "$work/races.txt"
    [ "$status" = 0 ] && ! grep -qE "(Race reported|Write access|Read access).* ($ours)" "$work/races.txt"
}
export -f check_races
export binary work ours
if command -v compute-sanitizer > /dev/null; then
    for run in "8-2-64 bf16" "4-4-128 bf16" "16-4-128 f16" "6-1-80 f32"; do
        read -r model dtype <<< "$run"
        sanitize memcheck "$model" "$dtype" "small/$model" "$work/small/rag.jsonl"
        RERANK_GPU_WITHOUT=cublaslt,hopper step "sanitizer-racecheck-$model-$dtype" 40 \
            bash -c "check_races small/$model $dtype $work/small/passage.jsonl"
    done
    # Without cuBLASLt there are no products of 8-bit floats, and with it, racecheck takes minutes.
    sanitize memcheck 8-2-64 fp8 small/8-2-64 "$work/small/rag.jsonl"
    sanitize initcheck 6-1-80 f32 small/6-1-80 "$work/small/passage.jsonl"
    for encoder in minilm modernbert; do
        sanitize memcheck "$encoder" bf16 "encoders/$encoder" testdata/candidates.jsonl
        RERANK_GPU_WITHOUT=cublaslt,hopper step "sanitizer-racecheck-$encoder-bf16" 40 \
            bash -c "check_races encoders/$encoder bf16 testdata/candidates.jsonl"
    done
fi
printf '\n'
cat "$results"/table.md "$results"/summary.txt 2> /dev/null
[ -z "$failed" ] || { echo "failed:$failed"; exit 1; }
