#!/usr/bin/env bash
# Shards without a scheduler, on one machine or several that share a directory. Each function is a recipe of one command.
#
#   scripts/examples/shards.sh gnu_parallel|xargs_only INPUT MODEL      8 shards into parts/, merged to ranked.jsonl
#   scripts/examples/shards.sh aws_batch QUEUE JOB_DEFINITION           submits 256 shards
set -euo pipefail
rerank=${RERANK:-rerank}

# GNU parallel starts a shard again that has failed; --sshlogin names other machines.
gnu_parallel() {
    seq 0 7 | parallel --jobs 2 --retries 3 "$rerank" "$1" --model "$2" --output parts --shard {}/8
    merge
}

# Two processes with one thread each. The GPUs of one machine need no shards: --device cuda:all takes all of them.
xargs_only() {
    seq 0 7 | xargs -P 2 -I {} "$rerank" "$1" --model "$2" --threads 1 --output parts --shard {}/8
    merge
}

# An array job: the job definition runs `rerank INPUT --model MODEL --output parts --shard auto --shards 256` on a volume that all share.
aws_batch() {
    aws batch submit-job --job-name rerank --job-queue "$1" --job-definition "$2" --array-properties size=256 --retry-strategy attempts=5
}

merge() {
    "$rerank" status parts && "$rerank" merge parts --output ranked.jsonl --overwrite
}

"$@"
