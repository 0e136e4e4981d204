"""Runs the examples of data engines on the same pairs, and compares rows and bits with the command's.

    python scripts/scale/check.py PAIRS FOLDER [MODEL [ENGINE…]]     as scripts/check_scale.sh runs it
"""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pairs

EXAMPLES = Path("scripts/examples")


def check(name: str, expected: dict[int, float], found: dict[int, float]) -> None:
    """Compares the logits that an engine has found with those of the command."""
    if found == expected:
        print(f"{name}: {len(found)} rows, equal to the bit")
        return
    lost = expected.keys() - found.keys()
    other = sum(found[number] != logit for number, logit in expected.items() if number in found)
    sys.exit(f"{name}: {len(lost)} rows are lost, {len(found.keys() - expected.keys())} are new, {other} have other logits")


def main() -> None:
    """Runs all of them."""
    count, folder, *more = sys.argv[1:]
    model, *engines = more or ["testdata/tiny-reranker"]
    unknown = set(engines) - {"polars", "spark", "spark-pipe", "ray", "ray-killed"}
    if unknown:
        sys.exit(f"there is no engine {', '.join(sorted(unknown))}")
    count, folder, model = int(count), Path(folder).resolve(), str(Path(model).resolve())
    shutil.rmtree(folder, ignore_errors=True)
    pairs.make(count, folder)
    rerank = Path(sys.executable).parent / "rerank"
    options = ["--model", model, "--dtype", "f32", "--quiet"]
    output = folder / "command.jsonl"
    # One core beside the others, as engines count them: each worker has one thread.
    plain = pairs.timed("the command", rerank, folder / "queries.jsonl", *options, "--threads", "2", "--output", output)
    expected = pairs.logits_of_lines([output])

    def engine(name: str, example: str | Path, source: str, read: Callable[[Path], dict[int, float]], *more: str) -> None:
        if engines and name not in engines:
            return
        target = folder / name
        pairs.timed(name, sys.executable, example, folder / source, target, model, *more, beside=plain)
        check(name, expected, read(target))

    def lines(target: Path) -> dict[int, float]:
        return pairs.logits_of_lines(sorted(target.glob("part-*")))

    engine("polars", EXAMPLES / "polars_rerank.py", "pairs", lambda target: only_best(expected, target))
    engine("spark", EXAMPLES / "spark_rerank.py", "pairs", pairs.logits_of_tables)
    engine("spark-pipe", EXAMPLES / "spark_pipe.py", "queries", lines)
    engine("ray", EXAMPLES / "ray_rerank.py", "pairs", pairs.logits_of_tables, "2")
    engine("ray-killed", "scripts/scale/ray_killed.py", "pairs", pairs.logits_of_tables, "2")


def only_best(expected: dict[int, float], target: Path) -> dict[int, float]:
    """All expected logits, with those in their place that were kept: ten of each query."""
    found = pairs.logits_of_tables(target)
    best = set()
    for first in range(0, len(expected), pairs.CANDIDATES):
        numbers = range(first, min(first + pairs.CANDIDATES, len(expected)))
        best.update(sorted(numbers, key=lambda number: -expected[number])[:10])
    if found.keys() != best:
        sys.exit("polars: other rows are kept than the command's ten best")
    return {**expected, **found}


if __name__ == "__main__":
    main()
