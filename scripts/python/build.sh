#!/usr/bin/env bash
# Builds the Python package's wheel, installs it in an environment of its own, and runs its tests there.
#
#   scripts/python/build.sh [OPTION…]     options are maturin's, as --features cuda
#
# It needs Python 3.10 or newer and PyPI. Everything is in target/python: the wheel is in target/python/wheels. The wheel carries
# the command, too, as the program itself: a Python script that calls into the library would be a few megabytes smaller, and differ
# from it in signals, pipes and exit statuses.
set -euo pipefail
cd "$(dirname "$0")/../.."

directory=$PWD/target/python
scripts=src/python/rerank._rerank.data/scripts
features=()
for ((index = 1; index <= $#; index++)); do
    case ${!index} in
    --features | -F) index=$((index + 1)) && features+=(--features "${!index}") ;;
    --features=*) features+=("${!index}") ;;
    --all-features) features+=("${!index}") ;;
    esac
done

environment() {
    [ -x "$directory/$1/bin/python" ] || python3 -m venv "$directory/$1"
    "$directory/$1/bin/pip" install --quiet --disable-pip-version-check "${@:2}"
}

environment building maturin==1.16.0
cargo build --locked --release "${features[@]}"
mkdir -p "$scripts"
strip -o "$scripts/rerank" target/release/rerank
rm -rf "$directory/wheels"
"$directory/building/bin/maturin" build --locked --release --quiet --manifest-path src/python/Cargo.toml \
    --out "$directory/wheels" "$@"
wheel=$(echo "$directory"/wheels/*.whl)

rm -rf "$directory/testing"
environment testing pytest polars "$wheel[arrow]"
"$directory/testing/bin/python" -m pytest --quiet -p no:cacheprovider tests/python
installed=("$directory"/testing/lib/python3*/site-packages/rerank/_rerank*.so)
printf '%s: %s; installed, the library %s and the command %s\n' "${wheel#"$PWD/"}" \
    "$(du --human-readable --apparent-size "$wheel" | cut -f 1)" \
    "$(du --human-readable --apparent-size "${installed[0]}" | cut -f 1)" \
    "$(du --human-readable --apparent-size "$directory/testing/bin/rerank" | cut -f 1)"
