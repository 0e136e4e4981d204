#!/usr/bin/env bash
# Checks on TREC DL19 that all shapes of the same candidates give the same ranking, and tells what shared prefixes save.
#
#   scripts/check_dl19.sh DATA [MODEL [TOKENIZER]]
#
# DATA holds candidates.jsonl, candidates.csv, rank_llm.json, and bm25.trec with queries.tsv and corpus.jsonl. MODEL ranks
# (the tiny one where none is named); TOKENIZER is a directory whose tokenizer counts (MODEL's where none is named).
set -euo pipefail
data=$(realpath "${1:?usage: scripts/check_dl19.sh DATA [MODEL [TOKENIZER]]}")
cd "$(dirname "$0")/.."
model=${2:-testdata/tiny-reranker}
tokenizer=${3:-$model}

cargo build --locked --release --quiet
rank() {
    target/release/rerank --model "$model" --output-format trec --quiet "$@" | sha256sum
}
expected=$(rank --input "$data/candidates.jsonl")
for shape in candidates.csv rank_llm.json; do
    [[ $(rank --input "$data/$shape") == "$expected" ]] || { echo "$shape is ranked differently" >&2; exit 1; }
done
run=(--input "$data/bm25.trec" --queries "$data/queries.tsv" --collection "$data/corpus.jsonl")
[[ $(rank "${run[@]}") == "$expected" ]] || { echo "bm25.trec is ranked differently" >&2; exit 1; }
echo "all shapes give the same ranking"
target/release/rerank --model "$tokenizer" --input "$data/candidates.jsonl" --dry-run
