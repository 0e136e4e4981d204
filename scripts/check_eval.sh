#!/usr/bin/env bash
# Checks `rerank eval` against the expected output of trec_eval's own tests, and on the BM25 run of TREC DL19.
#
#   scripts/check_eval.sh TREC_EVAL_DIR [DL19_DIR]
#
# TREC_EVAL_DIR is the folder `test` of trec_eval's repository. DL19_DIR holds bm25.trec and qrels.txt, if it is named.
set -euo pipefail
tests=$(realpath "${1:?usage: scripts/check_eval.sh TREC_EVAL_DIR [DL19_DIR]}")
dl19=${2:+$(realpath "$2")}
cd "$(dirname "$0")/.."

cargo build --locked --release --quiet
failed=0
# Compares with an expected output: the options of trec_eval that it was made with are those of rerank eval.
check() {
    local expected=$1 qrels=$2 run=$3
    shift 3
    # relstring, which one of the outputs has, is a text and no measure.
    if difference=$(diff <(grep -v '^relstring' "$tests/$expected") \
        <(target/release/rerank eval --format trec --quiet --qrels "$tests/$qrels" "$tests/$run" "$@")); then
        echo "$expected: equal"
    else
        printf '%s differs (<: trec_eval, >: rerank eval)\n%s\n' "$expected" "$difference" >&2
        failed=1
    fi
}
check out.test qrels.test results.test
check out.test.a qrels.test results.test --measures all_trec
check out.test.aq qrels.test results.test --measures all_trec --per-query
check out.test.aqc qrels.test results.trunc --measures all_trec --per-query --complete
check out.test.aqcM qrels.test results.trunc --measures all_trec --per-query --complete --depth 100
check out.test.aql qrels.rel_level results.test --measures all_trec --per-query --level 2

if [[ -n $dl19 ]]; then
    value=$(target/release/rerank eval --quiet --qrels "$dl19/qrels.txt" "$dl19/bm25.trec" --measures nDCG@10 --format csv | tail -n 1)
    printf 'DL19, BM25: %s (0.5058 is published)\n' "$value"
    [[ $(printf '%.4f' "${value##*,}") == 0.5058 ]] || failed=1
fi
exit $failed
