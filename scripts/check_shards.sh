#!/usr/bin/env bash
# Runs the schedulers' recipes in scripts/examples as far as that goes without the schedulers: with their variables, the fake model, and
# a worker that is killed and started again. The merged output must have the bytes of a single run.
#
#   scripts/check_shards.sh [BINARY]       the default is target/release/rerank; PYTHON with PyYAML reads the YAML files
#
# With the package kubernetes-validate, the Indexed Job is checked against Kubernetes' schema.
set -euo pipefail
examples=$(cd "$(dirname "$0")/examples" && pwd)
binary=$(realpath "${1:-target/release/rerank}")
python=${PYTHON:-python3}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
mkdir bin data model
ln -s "$binary" bin/rerank
export PATH="$folder/bin:$PATH"
# The recipes take the program of the PATH.
unset RERANK

python3 - >data/big.jsonl <<'PYTHON'
import json
for query in range(3000):
    candidates = [{"id": f"d{number}", "text": f"planet {query * number % 97} is red"} for number in range(100)]
    print(json.dumps({"query_id": f"q{query}", "query": "red planet 7", "candidates": candidates}))
PYTHON
rerank data/big.jsonl --model fake --quiet --output single.jsonl
passed() { echo "passed: $*"; }

# Compares what was merged with the single run.
compare() {
    rerank status "$2" >/dev/null
    rerank merge "$2" --output merged.jsonl --overwrite 2>/dev/null
    cmp merged.jsonl single.jsonl
    passed "$1"
}

# Runs a worker, kills it as soon as it has written something, and runs it again.
killed_once() {
    local parts=$1
    shift
    "$@" 2>/dev/null &
    local worker=$!
    while kill -0 "$worker" 2>/dev/null && [ -z "$(find "$parts" -name '*.tmp*' -size +0 2>/dev/null)" ]; do sleep 0.01; done
    kill -KILL "$worker" 2>/dev/null && echo "killed a worker of $parts" || echo "the worker of $parts was done too early to be killed"
    wait "$worker" || true
    "$@" 2>/dev/null
}

# Slurm: the tasks of an array, the second one killed.
export SLURM_ARRAY_TASK_COUNT=3 SLURM_ARRAY_TASK_MIN=0 SLURM_ARRAY_TASK_MAX=2
task=(bash "$examples/slurm.sh" data/big.jsonl fake)
SLURM_ARRAY_TASK_ID=2 "${task[@]}" 2>/dev/null
killed_once parts env SLURM_ARRAY_TASK_ID=1 "${task[@]}"
SLURM_ARRAY_TASK_ID=0 "${task[@]}" 2>/dev/null
unset SLURM_ARRAY_TASK_COUNT SLURM_ARRAY_TASK_MIN SLURM_ARRAY_TASK_MAX
compare slurm.sh parts
rm -rf parts

for recipe in xargs_only gnu_parallel; do
    if [ $recipe = gnu_parallel ] && ! command -v parallel >/dev/null; then
        echo "skipped: gnu_parallel, as parallel is not installed"
        continue
    fi
    bash "$examples/shards.sh" $recipe data/big.jsonl fake >recipe.log 2>&1 || { cat recipe.log; exit 1; }
    cmp ranked.jsonl single.jsonl
    passed "shards.sh $recipe"
    rm -rf parts ranked.jsonl
done

# A file system without locks: three workers of one shard at once.
if cc -shared -fPIC -o no_locks.so -x c - 2>/dev/null <<'C'
#include <errno.h>
int flock(int file, int operation) { errno = ENOSYS; return -1; }
C
then
    workers=()
    for _ in 1 2 3; do
        LD_PRELOAD=$PWD/no_locks.so rerank data/big.jsonl --model fake --output parts --shard 0/2 2>>no_locks.log &
        workers+=($!)
    done
    for worker in "${workers[@]}"; do wait "$worker" || { cat no_locks.log; exit 1; }; done
    grep -q 'has no locks' no_locks.log
    LD_PRELOAD=$PWD/no_locks.so rerank data/big.jsonl --model fake --output parts --shard 1/2 2>/dev/null
    [ -z "$(find parts -name '*.tmp*')" ]
    compare "workers without locks" parts
    rm -rf parts
else
    echo "skipped: a file system without locks, as there is no C compiler"
fi

if ! "$python" -c 'import yaml' 2>/dev/null; then
    echo "skipped: the YAML files, as $python has no PyYAML"
    exit 0
fi

# Kubernetes: the container's arguments, with the folders of this machine, and 3 shards instead of 256.
job="$examples/kubernetes-job.yaml"
mapfile -t arguments < <("$python" - "$job" "$folder" <<'PYTHON'
import sys, yaml
job = yaml.safe_load(open(sys.argv[1]))
spec = job["spec"]
arguments = spec["template"]["spec"]["containers"][0]["args"]
assert spec["completionMode"] == "Indexed" and f"--shards={spec['completions']}" in arguments
for argument in arguments:
    argument = argument.replace("/data/big.jsonl.zst", "/data/big.jsonl").replace("/data", sys.argv[2] + "/data")
    print(argument.replace("=/model", "=fake").replace("--shards=256", "--shards=3"))
PYTHON
)
JOB_COMPLETION_INDEX=2 rerank "${arguments[@]}" 2>/dev/null
killed_once data/parts env JOB_COMPLETION_INDEX=0 rerank "${arguments[@]}"
JOB_COMPLETION_INDEX=1 rerank "${arguments[@]}" 2>/dev/null
compare kubernetes-job.yaml data/parts
rm -rf data/parts
if "$python" -c 'import kubernetes_validate' 2>/dev/null; then
    "$python" - "$job" <<'PYTHON'
import sys, kubernetes_validate, yaml
kubernetes_validate.validate(yaml.safe_load(open(sys.argv[1])), kubernetes_validate.latest_version(), strict=True)
PYTHON
    passed "kubernetes-job.yaml against Kubernetes' schema"
else
    echo "skipped: Kubernetes' schema, as $python has no kubernetes-validate"
fi

# SkyPilot: the commands of a job, in a pool of three.
"$python" - "$examples/skypilot.yaml" "$folder" >job.sh <<'PYTHON'
import sys, yaml
task = yaml.safe_load(open(sys.argv[1]))
assert set(task) <= {"name", "resources", "workdir", "setup", "run"} and task["resources"]["use_spot"] is True
run = task["run"].replace("big.jsonl.zst", "big.jsonl").replace("s3://my-bucket/", sys.argv[2] + "/data/")
print(run.replace("Qwen/Qwen3-Reranker-0.6B", "fake"))
PYTHON
for rank in 1 0 2; do
    env SKYPILOT_JOB_RANK=$rank SKYPILOT_NUM_JOBS=3 SKYPILOT_NODE_RANK=0 SKYPILOT_NUM_NODES=1 bash job.sh 2>/dev/null
done
compare skypilot.yaml data/parts
