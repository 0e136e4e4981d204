#!/usr/bin/env bash
# Everything that a change must pass: formatting, lints, documentation, tests. Continuous integration runs this too.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo fmt --check

# CUDA's code is built and tested with everything else: it needs CUDA's compiler, and no GPU, as the tests emulate one. What stands
# in its place without the feature is a few lines, which are linted.
[ -n "${CUDA_HOME:-}" ] || command -v nvcc > /dev/null || scripts/cuda_toolkit.sh
# The oldest cards and the newest that are common; a release has code for more.
export CUDA_COMPUTE_CAP=${CUDA_COMPUTE_CAP:-80,90}

# All in release: build scripts and macros are then compiled once, for lints, documentation and tests alike.
cargo clippy --locked --release --workspace --all-targets --features cuda -- --deny warnings
# As most build it; and without the service and the formats that are optional.
cargo clippy --locked --release -- --deny warnings
cargo clippy --locked --release --no-default-features -- --deny warnings
RUSTDOCFLAGS="--deny warnings" cargo doc --locked --release --features cuda --no-deps --document-private-items
# Release, as users build it: the products of a debug build would make the tests take minutes.
cargo test --locked --release --features cuda
# The Python package, in an environment of its own.
if python3 -c "import ensurepip, venv"; then
    scripts/python/build.sh --features cuda
else
    echo "skipped: the Python package, as this Python can't make environments"
fi
# The service's clients and its page, where they can be had.
RERANK=target/release/rerank scripts/check_clients.sh
# The packages beside which it is used, and the examples.
RERANK=target/release/rerank scripts/check_neighbours.sh
# The recipes of schedulers, without the schedulers.
scripts/check_shards.sh
