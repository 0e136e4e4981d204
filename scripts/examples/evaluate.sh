#!/usr/bin/env bash
# From a first stage's run to a table: before and after the reranker, significance, and both fused in the best way.
#
#   scripts/examples/evaluate.sh BM25.trec QUERIES COLLECTION QRELS DIRECTORY [OPTION…]     options are rerank's, as --model
#
# Everything is written to DIRECTORY. The scores are kept there too, so that the fused ranking computes none again. It needs jq.
set -euo pipefail
run=$1 queries=$2 collection=$3 qrels=$4 directory=$5
shift 5
mkdir -p "$directory"

rank() {
    "${RERANK:-rerank}" "$run" --queries "$queries" --collection "$collection" --cache "$directory/cache" --resume "$@"
}
evaluate() {
    "${RERANK:-rerank}" eval --qrels "$qrels" "$@"
}

# JSONL keeps the first stage's scores, which the tuning needs.
rank --output "$directory/reranked.jsonl" "$@"
evaluate --tune-fusion "$directory/reranked.jsonl"
fusion=$(evaluate --quiet --tune-fusion "$directory/reranked.jsonl" --format jsonl | jq --raw-output .best)
# The gain to expect is the one of the cross-validation: the best fusion was chosen by these very judgements.
rank --output "$directory/fused.jsonl" --fuse "$fusion" "$@"

runs=("bm25=$run" "reranked=$directory/reranked.jsonl" "fused=$directory/fused.jsonl")
evaluate "${runs[@]}" --test randomisation
evaluate "${runs[@]}" --quiet --format latex > "$directory/table.tex"
evaluate "${runs[@]}" --quiet --format csv --per-query > "$directory/queries.csv"
