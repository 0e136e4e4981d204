#!/usr/bin/env bash
# Everything that is to be known of rerank on a GPU, in one command of under ten minutes: is it right, how fast is it, and
# how fast are others. Needs a binary that was built with `--features cuda`, a CUDA driver, and Python with torch,
# transformers and sentence-transformers for the comparisons; no network. What is found is printed, and kept as it comes.
#
#   scripts/bench_gpu.sh [BINARY] [DIRECTORY FOR RESULTS]     default: target/release/rerank, and gpu-results
set -uo pipefail
cd "$(dirname "$0")/.."

binary=$(realpath "${1:-target/release/rerank}")
results=${2:-gpu-results}
mkdir -p "$results"
python=${PYTHON:-python3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# cuBLAS as PyTorch's packages bring it, where the system has none.
packages=$("$python" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])' 2> /dev/null)
for folder in "$packages"/nvidia/*/lib /usr/local/cuda/lib64; do
    [ -d "$folder" ] && LD_LIBRARY_PATH="${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$folder"
done
export LD_LIBRARY_PATH

# No step begins after this, and none goes on for longer: what matters most comes first.
deadline=${DEADLINE:-570}

# step NAME SECONDS COMMAND...: runs it with a time limit; a failure is told, and the next step comes.
step() {
    local name=$1 seconds=$2 started=$SECONDS left=$((deadline - SECONDS))
    shift 2
    if [ "$left" -le 0 ]; then
        echo "== $name: no time left" | tee -a "$results/summary.txt"
        return
    fi
    [ "$seconds" -le "$left" ] || seconds=$left
    printf '\n== %s\n' "$name"
    timeout "$seconds" "$@" > "$results/$name.txt" 2>&1
    local status=$?
    tail -n 40 "$results/$name.txt"
    echo "== $name: status $status after $((SECONDS - started)) s" | tee -a "$results/summary.txt"
}

step card 20 nvidia-smi
step device 60 "$binary" --model testdata/tiny-reranker --input testdata/candidates.jsonl --device cuda --verbose --output -
"$python" scripts/random_model.py --shape 0.6b --output "$work/random" --tokenizer testdata/tiny-reranker/tokenizer.json \
    > "$results/random-model.txt" 2>&1 &
step parity 90 "$python" scripts/gpu_parity.py --rerank "$binary"
step passage 60 "$binary" bench --device cuda --workload passage --pairs 2000
step rag 60 "$binary" bench --device cuda --workload rag --pairs 500
step long 60 "$binary" bench --device cuda --workload long --pairs 20
wait
step parity-random 90 "$python" scripts/gpu_parity.py --rerank "$binary" --random "$work/random" --queries 0
step peers-passage 120 "$python" scripts/bench_peers.py --device cuda --rerank "$binary" --model "$work/random" --rounds 2 \
    --peers transformers sentence-transformers
step peers-rag 90 "$python" scripts/bench_peers.py --device cuda --rerank "$binary" --model "$work/random" --rounds 1 \
    --workload rag --peers transformers sentence-transformers
step shape-4b 60 "$binary" bench --device cuda --shape qwen3-4b --workload passage --pairs 1000 --repeat 1
step shape-8b 60 "$binary" bench --device cuda --shape qwen3-8b --workload passage --pairs 1000 --repeat 1
step whole-program 60 "$binary" --device cuda --dtype bf16 --model "$work/random" --input "$work/random-passage.jsonl" \
    --output "$work/ranked.jsonl" --stats "$results/stats.json"
if command -v compute-sanitizer > /dev/null; then
    for tool in memcheck racecheck initcheck; do
        step "sanitizer-$tool" 60 compute-sanitizer --tool "$tool" --error-exitcode 1 "$binary" --device cuda --dtype bf16 \
            --model "$work/random" --input testdata/candidates.jsonl --max-batch-tokens 1024 --top-k 1 --quiet
    done
fi
printf '\n'
cat "$results/summary.txt"
