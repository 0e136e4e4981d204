#!/bin/bash
# An array job of Slurm: 256 shards, 16 at a time, on a file system that all nodes share.
#
#   rerank plan big.jsonl.zst --model MODEL --speed bench.json     # how many shards?
#   array=$(sbatch --parsable slurm.sh big.jsonl.zst MODEL)
#   sbatch --dependency=afterany:$array --wrap 'rerank status parts && rerank merge parts -o ranked.jsonl.zst'
#
# Shards that were not done are named by `rerank status`. Submit the same array again: those that are done end at once.
#SBATCH --job-name=rerank
#SBATCH --array=0-255%16
#SBATCH --gpus=1
#SBATCH --time=01:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
# The first signal lets the batch at hand be finished; a requeued task goes on behind it.
#SBATCH --signal=B:TERM@60
set -euo pipefail
exec rerank "$1" --model "$2" --output parts --shard auto
