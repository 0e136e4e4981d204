#!/usr/bin/env bash
# Compares rerank with the packages beside which it is used, as published (ir_measures, pytrec_eval, scipy, ranx, mteb, BEIR and
# PyTerrier), and runs scripts/examples. Each check has an environment of its own, with what it needs and no more.
#
#   scripts/check_neighbours.sh [DIRECTORY]     for environments and downloads, about 1 GB; default: .clients, as check_clients.sh
#
# RERANK names a binary; without it, one is built. What can't be installed within two minutes in all, because PyPI is out of
# reach, is skipped with a line, and is no failure.
set -euo pipefail
cd "$(dirname "$0")/.."

# Seconds for installing everything, and for each check.
readonly INSTALLING=120 ONE_CHECK=120
directory=${1:-.clients}
mkdir -p "$directory"
directory=$(cd "$directory" && pwd)
uv=$directory/uv/bin/uv
export UV_CACHE_DIR=$directory/cache

# Installs something, with its output in a file.
install() {
    local name=$1
    shift
    local left=$((INSTALLING - SECONDS))
    [ "$left" -le 0 ] || ! timeout --kill-after 5 "$left" "$@" > "$directory/$name.log" 2>&1 || return 0
    echo "skipped: $name can't be installed, or not within $INSTALLING s ($directory/$name.log)"
    return 1
}

# Runs a check. A wrong value is a failure; that a busy machine is too slow for a check is none.
check() {
    local name=$1 log=$directory/$1.log status=0
    shift
    timeout --kill-after 5 "$ONE_CHECK" "$@" 2> "$log" || status=$?
    if [ "$status" -eq 124 ] || [ "$status" -eq 137 ]; then
        echo "skipped: the rest of $name, which has taken $ONE_CHECK s"
    elif [ "$status" -ne 0 ]; then
        cat "$log" >&2
        echo "$name has failed" >&2
        failed=$((failed + 1))
    fi
}

checks=()
if [ -x "$uv" ] || install uv bash -c \
    'python3 -m venv "$0/uv" && "$0/uv/bin/pip" install --quiet --retries 1 --timeout 15 uv==0.13.9' "$directory"; then
    for script in scripts/neighbours/with_*.py; do
        ! install "$(basename "$script" .py)" "$uv" sync --quiet --script "$script" || checks+=("$script")
    done
fi

[ -n "${RERANK:-}" ] || cargo build --locked --release
RERANK=$(realpath "${RERANK:-target/release/rerank}")
export RERANK
failed=0 began=$SECONDS
check run_examples python3 scripts/neighbours/run_examples.py
for script in "${checks[@]}"; do
    check "$(basename "$script" .py)" "$uv" run --quiet --offline --script "$script"
done

echo "$((SECONDS - began)) s of checks after $began s of installing"
[ "$failed" -eq 0 ]
