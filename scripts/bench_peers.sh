#!/bin/sh
# Compares rerank's speed with its peers', on random weights of the 0.6B shape: sets the peers up in a virtual environment,
# makes the model, builds rerank, and runs all in turn. llama.cpp is built for this processor, which takes a while; where that
# fails, it is not among them.
#
#   scripts/bench_peers.sh [DIRECTORY] [OPTIONS OF bench_peers.py]     default: .venv-peers
set -eu
cd "$(dirname "$0")/.."

directory=${1:-.venv-peers}
[ $# -eq 0 ] || shift
if [ ! -x "$directory/bin/python" ]; then
    scripts/setup_reference.sh "$directory"
    "$directory/bin/python" -m pip install --quiet sentence-transformers openvino nncf gguf
    "$directory/bin/python" -m pip install --quiet --no-binary llama-cpp-python llama-cpp-python ||
        echo "llama.cpp could not be built here" >&2
fi
model=$directory/qwen3-0.6b-random
[ -d "$model" ] || "$directory/bin/python" scripts/random_model.py --shape 0.6b --output "$model" \
    --tokenizer testdata/tiny-reranker/tokenizer.json
cargo build --locked --release
"$directory/bin/python" scripts/bench_peers.py --model "$model" "$@"
