#!/usr/bin/env bash
# Runs the clients that people use, as published, against `rerank serve` on this machine. Each must get the command line's
# order, indices and scores on the same pairs. Every client has an environment of its own, since their requirements contradict.
#
#   scripts/check_clients.sh [DIRECTORY]     for environments and downloads, about 1 GB; default: .clients
#
# RERANK names a binary; without it, one is built. RERANK_URL names a service that runs already. Where PyPI or npm can't be
# reached, a line reports what is skipped, and that is no failure.
set -euo pipefail
cd "$(dirname "$0")/.."

directory=${1:-.clients}
mkdir -p "$directory"
directory=$(cd "$directory" && pwd)
model=testdata/tiny-reranker
rerank=${RERANK:-target/release/rerank}
export PAIRS=$directory/pairs.json

install_uv() {
    [ -x "$directory/uv/bin/uv" ] ||
        { python3 -m venv "$directory/uv" && "$directory/uv/bin/pip" install --quiet --retries 1 uv; } > "$directory/uv.log" 2>&1
}

install_uv || {
    echo "skipped: the clients need uv from PyPI, which can't be reached ($directory/uv.log)"
    exit 0
}
[ -n "${RERANK:-}" ] || cargo build --locked --release
python3 scripts/clients/pairs.py "$rerank" "$model" "$PAIRS"

start_service() {
    echo no-secret > "$directory/key"
    "$rerank" serve --model "$model" --port 0 --api-key-file "$directory/key" 2> "$directory/serve.log" &
    service=$!
    trap 'kill "$service" 2> /dev/null || true' EXIT
    for _ in $(seq 300); do
        RERANK_URL=$(sed -n 's/.*listening on \(http:[^ ]*\).*/\1/p' "$directory/serve.log" | head -n 1)
        [ -z "$RERANK_URL" ] || ! curl --silent --fail --output /dev/null "$RERANK_URL/health" || return 0
        kill -0 "$service" 2> /dev/null || break
        sleep 0.1
    done
    echo "the service was not ready within 30 seconds:" >&2
    cat "$directory/serve.log" >&2
    exit 1
}

[ -n "${RERANK_URL:-}" ] || start_service
export RERANK_URL

failed=0
for client in scripts/clients/call_*.py; do
    "$directory/uv/bin/uv" run --quiet --no-project --cache-dir "$directory/cache" --script "$client" || failed=$((failed + 1))
done

if ! command -v npm > /dev/null || ! npm view cohere-ai version > /dev/null 2>&1; then
    echo "skipped: the clients in JavaScript need node and npm's registry, one of which is missing"
else
    # Modules are looked for beside the script that imports them.
    mkdir -p "$directory/node"
    cp scripts/clients/*.mjs scripts/clients/package.json "$directory/node"
    npm install --prefix "$directory/node" --no-audit --no-fund --silent
    for client in "$directory"/node/call_*.mjs; do
        node "$client" || failed=$((failed + 1))
    done
fi

[ "$failed" -eq 0 ] || echo "$failed scripts of clients have failed" >&2
[ "$failed" -eq 0 ]
