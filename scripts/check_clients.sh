#!/usr/bin/env bash
# Runs the clients that people use, as published, and the page in a browser, against `rerank serve` on this machine. Each client
# must get the command line's order, indices and scores on the same pairs. It has an environment of its own, since their
# requirements contradict. The page of `rerank eval --report` is tested in the same browser.
#
#   scripts/check_clients.sh [DIRECTORY]     for environments and downloads, about 1 GB; default: .clients
#
# RERANK names a binary; without it, one is built. RERANK_URL names a service that runs already. What can't be installed within five
# minutes in all, because PyPI, npm's registry or a browser is out of reach, is skipped with a line, and is no failure.
set -euo pipefail
cd "$(dirname "$0")/.."

# Seconds for installing everything, until the last check begins, and for each check.
readonly INSTALLING=300 CHECKING=180 ONE_CHECK=120
directory=${1:-.clients}
mkdir -p "$directory"
directory=$(cd "$directory" && pwd)
model=testdata/tiny-reranker
rerank=${RERANK:-target/release/rerank}
uv=$directory/uv/bin/uv
export PAIRS=$directory/pairs.json UV_CACHE_DIR=$directory/cache

# Installs something, with its output in a file.
install() {
    local name=$1
    shift
    local left=$((INSTALLING - SECONDS))
    [ "$left" -le 0 ] || ! timeout --kill-after 5 "$left" "$@" > "$directory/$name.log" 2>&1 || return 0
    echo "skipped: $name can't be installed, or not within $INSTALLING s ($directory/$name.log)"
    return 1
}

install_uv() {
    [ -x "$uv" ] || install uv bash -c \
        'python3 -m venv "$0/uv" && "$0/uv/bin/pip" install --quiet --retries 1 --timeout 15 uv==0.13.9' "$directory"
}

install_node() {
    command -v npm > /dev/null && command -v node > /dev/null || {
        echo "skipped: the clients in JavaScript need node and npm"
        return 1
    }
    # Modules are looked for beside the script that imports them.
    mkdir -p "$directory/node"
    cp scripts/clients/*.mjs scripts/clients/package.json "$directory/node"
    install npm npm install --prefix "$directory/node" --no-audit --no-fund --fetch-retries 1 --fetch-timeout 15000
}

install_page() {
    command -v chromium > /dev/null || {
        echo "skipped: the page needs chromium"
        return 1
    }
    # Both pages have the same requirements.
    install page "$uv" sync --quiet --script scripts/test_page.py &&
        install report "$uv" sync --quiet --script scripts/test_report.py
}

start_service() {
    echo no-secret > "$directory/key"
    "$rerank" serve --model "$model" --port 0 --api-key-file "$directory/key" 2> "$directory/serve.log" &
    service=$!
    trap 'kill "$service" 2> /dev/null || true' EXIT
    for _ in $(seq 300); do
        RERANK_URL=$(sed -n 's/.*listening on \(http:[^ ]*\).*/\1/p' "$directory/serve.log" | head -n 1)
        # Both lines may have come since the address was looked for.
        [ -z "$RERANK_URL" ] || ! grep --quiet '^ready: ' "$directory/serve.log" || return 0
        kill -0 "$service" 2> /dev/null || break
        sleep 0.1
    done
    echo "the service was not ready within 30 seconds:" >&2
    cat "$directory/serve.log" >&2
    exit 1
}

# Runs a check. A wrong answer is a failure; that a busy machine is too slow for a client is none.
check() {
    local name log status=0
    name=$(basename "$1") log=$directory/$(basename "$1").log
    shift
    [ $((SECONDS - began)) -lt "$CHECKING" ] || {
        echo "skipped: $name, as the checks before have taken $CHECKING s"
        return
    }
    timeout --kill-after 5 "$ONE_CHECK" "$@" > "$log" 2>&1 || status=$?
    cat "$log"
    if [ "$status" -eq 124 ] || [ "$status" -eq 137 ]; then
        echo "skipped: the rest of $name, which has taken $ONE_CHECK s"
    elif [ "$status" -ne 0 ] && [[ $name == call_* ]] && tail -n 1 "$log" | grep --quiet --ignore-case 'timeout\|timed out'; then
        echo "skipped: the rest of $name, for which the service was too slow on this machine"
    elif [ "$status" -ne 0 ]; then
        echo "$name has failed" >&2
        failed=$((failed + 1))
    fi
}

clients=()
if install_uv; then
    for client in scripts/clients/call_*.py; do
        ! install "$(basename "$client" .py)" "$uv" sync --quiet --script "$client" || clients+=("$client")
    done
    ! install_page || clients+=(scripts/test_page.py scripts/test_report.py)
fi
! install_node || clients+=("$directory"/node/call_*.mjs)
[ "${#clients[@]}" -gt 0 ] || exit 0

[ -n "${RERANK:-}" ] || cargo build --locked --release
python3 scripts/clients/pairs.py "$rerank" "$model" "$PAIRS"
[ -n "${RERANK_URL:-}" ] || start_service
export RERANK_URL

failed=0 began=$SECONDS
for client in "${clients[@]}"; do
    case $client in
    *.mjs) check "$client" node "$client" ;;
    # It starts a service of its own, without a key.
    */test_page.py) check "$client" "$uv" run --quiet --offline --script "$client" --rerank "$rerank" --model "$model" ;;
    */test_report.py) check "$client" "$uv" run --quiet --offline --script "$client" --rerank "$rerank" ;;
    *) check "$client" "$uv" run --quiet --offline --script "$client" ;;
    esac
done

echo "$((SECONDS - began)) s of checks after $began s of installing and starting"
[ "$failed" -eq 0 ]
