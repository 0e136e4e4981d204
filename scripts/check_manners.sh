#!/usr/bin/env bash
# What takes too long, or too many shells, for the tests: a pipe with a name 200 times, two runs on one output, a run under nohup
# that is hung up. Prints a figure for each, and fails where one is wrong.
#
#   scripts/check_manners.sh [PROGRAM]
set -euo pipefail

rerank=$(realpath "${1:-target/release/rerank}")
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
cd "$directory"
failed=0

verdict() {
    echo "$1: $2"
    [[ $3 == "$4" ]] || { echo "  expected $4, got $3"; failed=1; }
}

line() { printf '{"query_id":"%s","query":"red","candidates":[{"id":"a","text":"red"}]}\n' "$1"; }
run() { "$rerank" --model fake --device cpu --quiet "$@"; }
wait_for() { until [[ -s $1 ]]; do sleep 0.01; done; }

line q > in.jsonl
mkfifo pipe
read_rounds=0
for _ in $(seq 200); do
    cat in.jsonl > pipe &
    output=$(timeout 20 "$rerank" --model fake --device cpu --quiet -i pipe < /dev/null || true)
    [[ $output == *'"query_id":"q"'* ]] && read_rounds=$((read_rounds + 1)) || true
    wait
done
verdict "named pipe" "$read_rounds of 200 rounds read" "$read_rounds" 200

refused=0
for round in $(seq 20); do
    mkfifo "slow$round"
    "$rerank" --model fake --device cpu --quiet -i "slow$round" -o "out$round.jsonl" &
    first=$!
    exec 3> "slow$round"
    line q >&3
    wait_for "out$round.jsonl"
    status=0
    run in.jsonl -o "out$round.jsonl" --overwrite 2> message || status=$?
    [[ $status == 1 ]] && grep -q "another run" message && refused=$((refused + 1)) || true
    exec 3>&-
    wait $first
    # The lock has gone with the run: the next one may write.
    run in.jsonl -o "out$round.jsonl" --overwrite
done
verdict "two runs on one output" "the second refused in $refused of 20 rounds" "$refused" 20

survived=0
for round in $(seq 20); do
    mkfifo "nohup$round"
    nohup "$rerank" --model fake --device cpu -i "nohup$round" -o "nohup$round.jsonl" > nohup.out 2>&1 &
    job=$!
    exec 3> "nohup$round"
    line first >&3
    wait_for "nohup$round.jsonl"
    kill -HUP $job
    sleep 0.05
    line second >&3
    exec 3>&-
    status=0
    wait $job || status=$?
    [[ $status == 0 && $(wc -l < "nohup$round.jsonl") == 2 ]] && survived=$((survived + 1)) || true
done
verdict "nohup and a hang-up" "$survived of 20 runs went on to their end" "$survived" 20

ended=0
for round in $(seq 20); do
    mkfifo "term$round"
    "$rerank" --model fake --device cpu --quiet -i "term$round" -o "term$round.jsonl.gz" &
    job=$!
    exec 3> "term$round"
    line first >&3
    wait_for "term$round.jsonl.gz"
    kill -TERM $job
    status=0
    wait $job 2> /dev/null || status=$?
    exec 3>&-
    [[ $status == 143 && $(gzip -dc "term$round.jsonl.gz" | wc -l) == 1 ]] && gzip -t "term$round.jsonl.gz" && ended=$((ended + 1)) || true
done
verdict "terminated while writing .gz" "$ended of 20 ended with 143 and a complete file" "$ended" 20
exit $failed
