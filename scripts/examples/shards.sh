#!/bin/sh
# Shards without a scheduler, or with a short command: each line runs all of them.

# One machine after the other, or several that share a directory: GNU parallel starts a shard again that has failed.
gnu_parallel() {
    seq 0 7 | parallel --jobs 2 --retries 3 rerank "$1" --model "$2" --output parts --shard {}/8
}

# The GPUs of one machine need no shards: `--device cuda:all`. So this is for processors: two processes, each with half of the threads.
xargs_only() {
    seq 0 7 | xargs -P 2 -I {} rerank "$1" --model "$2" --threads 1 --output parts --shard {}/8
}

# AWS Batch: an array job, whose job definition runs `rerank s.jsonl.zst … --output parts --shard auto --shards 256` on a shared volume (EFS, FSx).
aws_batch() {
    aws batch submit-job --job-name rerank --job-queue "$1" --job-definition "$2" \
        --array-properties size=256 --retry-strategy attempts=5
}

"$@" && rerank status parts && rerank merge parts --output ranked.jsonl --overwrite
