#!/usr/bin/env python3
"""Runs `rerank bench` and writes its figures as rows of a table in Markdown, with where the time goes printed beside.

    scripts/bench_table.py --device cuda --table table.md --shape qwen3-0.6b passage:4000 rag:1000 long:40
"""

import argparse
import json
import subprocess
from pathlib import Path

HEAD = "| shape | dtype | workload | pairs/s | computed tokens/s | TFLOP/s | share of the card's product | memory |\n|---|---|---|---|---|---|---|---|\n"


def measured(arguments, workload: str, pairs: str) -> dict:
    command = [arguments.rerank, "bench", "--device", arguments.device, "--shape", arguments.shape, "--json"]
    command += ["--workload", workload, "--pairs", pairs, "--repeat", str(arguments.repeat)]
    if arguments.dtype:
        command += ["--dtype", arguments.dtype]
    if arguments.gpu_memory:
        command += ["--gpu-memory", arguments.gpu_memory]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def row(shape: str, report: dict) -> str:
    memory = report["gpu_memory"] or report["peak_memory"]
    cells = [
        shape,
        report["dtype"],
        report["workload"],
        f"{report['pairs_per_second']:,.1f}",
        f"{report['computed_tokens_per_second']:,.0f}",
        f"{report['tera_operations_per_second']:.2f} of {report['peak_tera_operations_per_second']:.2f}",
        f"{report['share_of_peak']:.0%}",
        f"{memory / 1e9:.2f} GB",
    ]
    return "| " + " | ".join(cells) + " |\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rerank", type=Path, default=Path("target/release/rerank"))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype")
    parser.add_argument("--gpu-memory", help="the most memory that is used on the GPU, as 8GiB")
    parser.add_argument("--shape", default="qwen3-0.6b")
    parser.add_argument("--note", default="", help="added to the shape's name")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--table", type=Path, required=True, help="rows are added to this file")
    parser.add_argument("workloads", nargs="+", metavar="WORKLOAD:PAIRS")
    arguments = parser.parse_args()
    if not arguments.table.exists():
        arguments.table.write_text(HEAD)
    for workload in arguments.workloads:
        name, _, pairs = workload.partition(":")
        if not pairs.isdigit():
            parser.error(f"{workload}: write the number of pairs behind the workload, as passage:1000")
        report = measured(arguments, name, pairs)
        line = row(arguments.shape + arguments.note, report)
        with arguments.table.open("a") as table:
            table.write(line)
        print(f"{report['device']}; {report['batch_tokens']} tokens a batch; loaded in {report['load_seconds']:.2f} s")
        print(line, end="")
        if report["peak_gigabytes_per_second"]:
            print(f"  memory alone reaches {report['peak_gigabytes_per_second']:,.0f} GB/s")
        for part in report["breakdown"]:
            print(
                f"  {part['kind']:30} {part['time_share']:6.1%} {part['tera_operations_per_second']:9.2f} TFLOP/s"
                f" {part['gigabytes_per_second']:7.0f} GB/s {part['share_of_ceiling']:5.0%} of its limit"
            )
        print(f"  every repetition: {[round(rate, 1) for rate in report['all_pairs_per_second']]} pairs/s", flush=True)


if __name__ == "__main__":
    main()
