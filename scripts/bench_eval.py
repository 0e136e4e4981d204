"""Compares the time and memory of `rerank eval` with those of ir_measures, on a run of random documents.

    python scripts/bench_eval.py [--queries 7000] [--depth 1430] [--directory DIR] [--only rerank]

The run has queries x depth lines: 10 million by default. It needs a release build, and ir_measures with pytrec_eval.
"""

import argparse
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import time

MEASURES = ["nDCG@10", "RR@10", "AP", "R@100", "Judged@10"]


def write(directory: pathlib.Path, queries: int, depth: int) -> tuple[pathlib.Path, pathlib.Path]:
    """Writes a run and its judgements, or takes those that are there: they are the same each time."""
    run, qrels = directory / f"{queries}x{depth}.trec", directory / f"{queries}x{depth}.qrels"
    if run.exists() and qrels.exists():
        return run, qrels
    source = random.Random(1)
    # One that is not complete is never taken for a run.
    part = run.with_suffix(".part")
    with part.open("w") as lines, qrels.open("w") as judgements:
        for query in range(1, queries + 1):
            documents = source.sample(range(8_841_823), depth)
            score = 30.0
            for rank, document in enumerate(documents, 1):
                # Some scores are equal.
                score -= max(0.0, source.random() - 0.1) / 40
                lines.write(f"{1_000_000 + query} Q0 {document} {rank} {score:.6f} bench\n")
            judged = source.sample(documents, min(40, depth)) + source.sample(range(8_841_823, 9_000_000), 10)
            for document in judged:
                judgements.write(f"{1_000_000 + query} 0 {document} {source.choice([0, 0, 0, 1, 2, 3])}\n")
    part.rename(run)
    return run, qrels


def ir_measures(qrels: str, run: str) -> None:
    """What ir_measures' own documentation does."""
    import ir_measures

    measures = [ir_measures.parse_measure(name) for name in MEASURES]
    values = ir_measures.calc_aggregate(measures, ir_measures.read_trec_qrels(qrels), ir_measures.read_trec_run(run))
    print({str(measure): round(value, 4) for measure, value in values.items()})


def measured(command: list[str]) -> None:
    """Runs a command, and prints its time and the most memory that it had."""
    start = time.monotonic()
    process = subprocess.Popen(command)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - start
    if status != 0:
        sys.exit(f"{command[0]} failed")
    print(f"  {seconds:.1f} s, {usage.ru_utime + usage.ru_stime:.1f} s of computing, {usage.ru_maxrss / 1024:.0f} MiB", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--queries", type=int, default=7000)
    parser.add_argument("--depth", type=int, default=1430)
    parser.add_argument("--directory", type=pathlib.Path, default=pathlib.Path(tempfile.gettempdir()))
    parser.add_argument("--only", choices=["rerank", "ir_measures"])
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        ir_measures(*arguments.child)
        return
    run, qrels = write(arguments.directory, arguments.queries, arguments.depth)
    root = pathlib.Path(__file__).resolve().parent.parent
    commands = {
        "rerank": [str(root / "target/release/rerank"), "eval", "--qrels", str(qrels), str(run), "--measures", " ".join(MEASURES)],
        "ir_measures": [sys.executable, __file__, "--child", str(qrels), str(run)],
    }
    print(f"{arguments.queries * arguments.depth:,} lines, {run.stat().st_size / 1e6:.0f} MB", flush=True)
    for name, command in commands.items():
        if arguments.only in (None, name):
            print(name, flush=True)
            measured(command)


if __name__ == "__main__":
    main()
