#!/usr/bin/env bash
# Everything that a change must pass: formatting, lints, documentation, tests. Continuous integration runs this too.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo fmt --check
cargo clippy --locked --all-targets -- --deny warnings
RUSTDOCFLAGS="--deny warnings" cargo doc --locked --no-deps --document-private-items
# Release, as users build it: the products of a debug build would make the tests take minutes.
cargo test --locked --release
