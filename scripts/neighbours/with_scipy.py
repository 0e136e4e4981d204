# /// script
# requires-python = ">=3.10"
# dependencies = ["scipy==1.17.1"]
# ///
"""The p-values and intervals of `rerank eval` are scipy's.

Those of the t-test are equal, and those of the randomisation test nearly, where both draw signs.
"""

import random
import tempfile
from pathlib import Path

import numpy
import scipy.stats
from data import evaluate, judgements, run, same, write_qrels, write_run

QUERIES, FEW = 80, 11
MEASURES = ["nDCG@10", "AP", "RR@10", "P@5"]
DRAWS = 10_000


def compare(qrels: Path, runs: list[Path], test: str) -> list[tuple[str, list[float], list[float], dict]]:
    """For each run after the first one and each measure: both runs' values by query, and what rerank says of the difference."""
    objects = evaluate("--qrels", qrels, *runs, "--per-query", "--test", test, "--measures", " ".join(MEASURES))
    values = {(object["run"], name): [] for object in objects for name in MEASURES}
    for object in objects:
        for name in MEASURES:
            if "query_id" in object:
                values[object["run"], name].append(object[name])
    return [
        (f"{object['run']}, {name}", values[runs[0].stem, name], values[object["run"], name], comparison)
        for object in objects
        if "comparison" in object
        for name, comparison in object["comparison"]["measures"].items()
    ]


def mean(values: numpy.ndarray, axis: int) -> numpy.ndarray:
    return values.mean(axis=axis)


def files(directory: Path, queries: int, runs: int) -> tuple[Path, list[Path]]:
    """Judgements, and runs with ties."""
    source = random.Random(queries)
    grades = judgements(source, queries)
    qrels = write_qrels(directory / f"{queries}.qrels", grades)
    return qrels, [write_run(directory / f"{queries}-{number}.trec", run(source, grades, ties=True)) for number in range(runs)]


def t_tests(directory: Path) -> None:
    qrels, runs = files(directory, QUERIES, 4)
    compared = compare(qrels, runs, "t")
    for what, first, second, comparison in compared:
        expected = scipy.stats.ttest_rel(second, first)
        same(f"{what}, p of the t-test", comparison["p_uncorrected"], expected.pvalue, within=1e-9)
        for ours, theirs in zip(comparison["interval"], expected.confidence_interval(0.95), strict=True):
            same(f"{what}, interval of the t-test", ours, theirs, within=1e-9)
    print(f"scipy: {len(compared)} p-values and intervals of the paired t-test are equal")


def randomisation_tests(directory: Path, queries: int) -> None:
    """Of few queries both count all choices of signs; else both draw them, from other numbers."""
    qrels, runs = files(directory, queries, 2)
    for what, first, second, comparison in compare(qrels, runs, "randomisation"):
        # For one sample this kind of permutations changes signs.
        differences, kind = numpy.subtract(second, first), "samples"
        expected = scipy.stats.permutation_test((differences,), mean, permutation_type=kind, n_resamples=DRAWS, rng=1).pvalue
        within = 1e-9 if 2 ** len(first) <= DRAWS else 5 * (expected * (1 - expected) / DRAWS) ** 0.5 + 1e-3
        same(f"{what}, p of the randomisation test", comparison["p_uncorrected"], expected, within)
    print(f"scipy: {len(MEASURES)} p-values of the randomisation test agree, over {queries} queries")


with tempfile.TemporaryDirectory() as name:
    t_tests(Path(name))
    randomisation_tests(Path(name), FEW)
    randomisation_tests(Path(name), QUERIES)
