#!/usr/bin/env python3
"""Would 8-bit floats pay? Times the products of a forward in bf16 and in e4m3 with PyTorch, whose products are cuBLASLt's, and
says how much faster the whole forward would be if products take the given share of its time.

    scripts/gpu_fp8.py --share 0.75 [--shape 0.6b]
"""

import argparse
import statistics
import time

import torch

from random_model import HEAD_DIM, KEY_VALUE_HEADS, SHAPES

LARGEST = 448.0


def products(shape) -> dict[str, tuple[int, int]]:
    """Outputs and inputs."""
    queries = shape.heads * HEAD_DIM
    return {
        "query, key and value": (queries + 2 * KEY_VALUE_HEADS * HEAD_DIM, shape.hidden),
        "output": (shape.hidden, queries),
        "gate and up": (2 * shape.intermediate, shape.hidden),
        "down": (shape.hidden, shape.intermediate),
    }


def seconds(work, device: str) -> float:
    """The median of some, each long enough to be timed from outside."""

    def once() -> float:
        started = time.perf_counter()
        for _ in range(10):
            work()
        if device == "cuda":
            torch.cuda.synchronize()
        return (time.perf_counter() - started) / 10

    once()
    return statistics.median(once() for _ in range(5))


def narrow(matrix: torch.Tensor, by_row: bool) -> tuple[torch.Tensor, torch.Tensor]:
    largest = matrix.abs().amax(1, keepdim=True) if by_row else matrix.abs().max()
    scale = (largest.float() / LARGEST).clamp(min=1e-12)
    return (matrix.float() / scale).clamp(-LARGEST, LARGEST).to(torch.float8_e4m3fn), scale


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=SHAPES, default="0.6b")
    parser.add_argument("--rows", type=int, default=32768)
    parser.add_argument("--share", type=float, required=True, help="of products in the forward's time, see rerank bench")
    parser.add_argument("--device", default="cuda")
    arguments = parser.parse_args()
    torch.manual_seed(1)
    times: dict[str, dict[str, float]] = {}
    for name, (outputs, inputs) in products(SHAPES[arguments.shape]).items():
        left = torch.randn(arguments.rows, inputs, device=arguments.device, dtype=torch.bfloat16)
        right = torch.randn(outputs, inputs, device=arguments.device, dtype=torch.bfloat16)
        ways = {"bf16": lambda left=left, right=right: left @ right.T}
        for way, by_row in (("e4m3, a scale a matrix", False), ("e4m3, a scale a row", True)):
            (narrow_left, left_scale), (narrow_right, right_scale) = narrow(left, by_row), narrow(right, by_row)
            if by_row:
                right_scale = right_scale.T
            operands = (narrow_left, narrow_right.T, left_scale, right_scale)
            ways[way] = lambda operands=operands: torch._scaled_mm(*operands, out_dtype=torch.bfloat16)
        for way, work in ways.items():
            try:
                took = seconds(work, arguments.device)
            except RuntimeError as error:
                print(f"{name}, {way}: {str(error).splitlines()[0]}")
                continue
            times.setdefault(way, {})[name] = took
            rate = 2 * arguments.rows * outputs * inputs / took / 1e12
            print(f"{name:22} {outputs:6} x {inputs:5}  {way:24} {took * 1e6:9.1f} us {rate:8.1f} TFLOP/s", flush=True)
    whole = times["bf16"]
    for way, narrowed in times.items():
        if way == "bf16":
            continue
        for which, names in (("all products", list(whole)), ("all but output and down", ["query, key and value", "gate and up"])):
            if not all(name in narrowed for name in names):
                continue
            new = sum(narrowed[name] if name in names else whole[name] for name in whole)
            ratio = 1 / (1 - arguments.share + arguments.share * new / sum(whole.values()))
            print(f"{way}, {which}: the forward would be {ratio:.2f} times as fast")


if __name__ == "__main__":
    main()
