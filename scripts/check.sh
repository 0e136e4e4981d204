#!/usr/bin/env bash
# Everything that a change must pass: formatting, lints, documentation, tests. Continuous integration runs this too.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo fmt --check
# All in release: build scripts and macros are then compiled once, for lints, documentation and tests alike.
cargo clippy --locked --release --all-targets -- --deny warnings
# Without the service.
cargo clippy --locked --release --no-default-features --all-targets -- --deny warnings
RUSTDOCFLAGS="--deny warnings" cargo doc --locked --release --no-deps --document-private-items
# Release, as users build it: the products of a debug build would make the tests take minutes.
cargo test --locked --release
# The service's clients and its page, where they can be had.
RERANK=target/release/rerank scripts/check_clients.sh
# The packages beside which it is used, and the examples.
RERANK=target/release/rerank scripts/check_neighbours.sh

# With CUDA: needs its compiler, and no GPU, as the tests emulate one.
[ -n "${CUDA_HOME:-}" ] || command -v nvcc > /dev/null || scripts/cuda_toolkit.sh
# The oldest cards and the newest that are common; a release has code for more.
export CUDA_COMPUTE_CAP=${CUDA_COMPUTE_CAP:-80,90}
cargo clippy --locked --release --all-targets --features cuda -- --deny warnings
# The other emulated GPU tests do not depend on the feature, and ran above.
cargo test --locked --release --features cuda --test rerank -- cuda:: products::
