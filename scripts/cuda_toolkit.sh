#!/bin/sh
# Puts CUDA's compiler into a folder, from NVIDIA's packages on PyPI: no root, no GPU, no driver. For building with
# `cargo build --release --features cuda`, which finds the default folder; name another one in CUDA_HOME.
#
#   scripts/cuda_toolkit.sh [DIRECTORY]     default: .cuda
set -eu
cd "$(dirname "$0")/.."

directory=${1:-.cuda}
version=13.0
if [ -x "$directory/nvidia/cu13/bin/nvcc" ]; then
    echo "$directory/nvidia/cu13/bin/nvcc is there already"
    exit
fi
python3 -m pip install --quiet --disable-pip-version-check --no-deps --target "$directory" \
    "nvidia-cuda-nvcc==$version.*" "nvidia-nvvm==$version.*" "nvidia-cuda-crt==$version.*" \
    "nvidia-cuda-runtime==$version.*" "nvidia-cuda-cccl==$version.*"
"$directory/nvidia/cu13/bin/nvcc" --version | grep release
