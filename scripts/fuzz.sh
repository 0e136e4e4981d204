#!/usr/bin/env bash
# Gives each reader of strangers' files what cargo fuzz invents, for so many seconds (10 minutes without an argument). It needs a
# nightly toolchain and cargo-fuzz (`cargo install cargo-fuzz`). What it finds stands in tests/fuzz/artifacts; a finding that is
# mended becomes an example in tests/rerank/hostile_examples.rs.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-600}

RERANK_FUZZ_CORPUS="$PWD/tests/fuzz/corpus" cargo test --locked --release --test rerank hostile::
# With the libraries of the program itself.
cp Cargo.lock tests/fuzz/Cargo.lock
for target in $(cargo fuzz list --fuzz-dir tests/fuzz); do
    cargo +nightly fuzz run --fuzz-dir tests/fuzz --sanitizer none --debug-assertions "$target" -- \
        -max_total_time="$seconds" -timeout=60 -rss_limit_mb=2048 -max_len=65536 -print_final_stats=1
done
