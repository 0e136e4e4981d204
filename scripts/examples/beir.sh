#!/usr/bin/env bash
# Reranks a run of a BEIR data set and evaluates it before and after.
#
#   scripts/examples/beir.sh DIRECTORY RUN OUTPUT.trec [OPTION…]     options are rerank's, as --model
#
# DIRECTORY holds corpus.jsonl, queries.jsonl and qrels/test.tsv, as BEIR's archives do. RUN is what a first stage found.
set -euo pipefail
directory=$1 run=$2 output=$3
shift 3
rerank=${RERANK:-rerank}

# A run that was broken off goes on, and a complete one is left as it is.
"$rerank" --beir "$directory" --run "$run" --output "$output" --resume "$@"
"$rerank" eval --qrels "$directory/qrels/test.tsv" "before=$run" "after=$output" --complete
