#!/bin/sh
# Compares rerank's speed on encoders with that of sentence-transformers and ONNX Runtime: sets them up in a virtual
# environment, makes models with random weights, builds rerank, and runs all in turn.
#
#   scripts/bench_encoders.sh [DIRECTORY] [OPTIONS OF bench_encoders.py]     default: .venv-peers
set -eu
cd "$(dirname "$0")/.."

directory=${1:-.venv-peers}
[ $# -eq 0 ] || shift
[ -x "$directory/bin/python" ] || scripts/setup_reference.sh "$directory"
"$directory/bin/python" -m pip install --quiet sentence-transformers onnx onnxruntime
cargo build --locked --release
for shape in bge-base minilm; do
    "$directory/bin/python" scripts/bench_encoders.py --directory "$directory" --shape "$shape" "$@"
done
