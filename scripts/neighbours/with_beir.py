# /// script
# requires-python = ">=3.10"
# dependencies = ["beir==2.2.0", "pytrec-eval-terrier==0.5.11", "tqdm==4.70.1"]
#
# [tool.uv]
# # Its loader and its evaluation need neither.
# exclude-dependencies = ["datasets", "sentence-transformers"]
# ///
"""BEIR's loader reads the directory that `--beir` reads, and its evaluation has the values that rerank reports."""

import json
import tempfile
from pathlib import Path

from beir.datasets.data_loader import GenericDataLoader
from beir.retrieval.evaluation import EvaluateRetrieval
from data import TINY, beir, evaluate, rerank, same

CUTOFFS = [1, 5, 10]
NAMES = {"NDCG": "nDCG", "MAP": "AP", "Recall": "R", "P": "P"}


def read(path: Path) -> dict[str, dict[str, float]]:
    run = {}
    for line in path.read_text().splitlines():
        query, _, document, _, score, _ = line.split()
        run.setdefault(query, {})[document] = float(score)
    return run


def expected(qrels: dict, run: dict) -> dict[str, float]:
    """BEIR's values by ir_measures' names."""
    parts = EvaluateRetrieval.evaluate(qrels, run, CUTOFFS)
    values = {name: value for part in parts for name, value in part.items()}
    named = {f"{ours}@{cutoff}": values[f"{theirs}@{cutoff}"] for theirs, ours in NAMES.items() for cutoff in CUTOFFS}
    return {**named, "RR@10": EvaluateRetrieval.evaluate_custom(qrels, run, CUTOFFS, "mrr")["MRR@10"]}


with tempfile.TemporaryDirectory() as name:
    directory = Path(name)
    data, before, after, stats = beir(directory), directory / "bm25.trec", directory / "ranked.trec", directory / "stats.json"
    corpus, queries, qrels = GenericDataLoader(str(data)).load(split="test")
    theirs = [expected(qrels, read(before))]
    measures = "--measures", " ".join(theirs[0])
    rerank(*TINY, "--beir", data, "--run", before, "--output", after, "--stats", stats, *measures)
    theirs.append(expected(qrels, read(after)))

    reported = json.loads(stats.read_text())["evaluation"]
    evaluated = evaluate("--qrels", data / "qrels/test.tsv", before, after, "--test", "none", *measures)
    for what, values, eval_values in zip(("before", "after"), theirs, evaluated, strict=True):
        for measure, value in values.items():
            # BEIR rounds to five digits.
            same(f"{measure} {what}, reported", reported[what][measure], value, within=5.1e-6)
            same(f"{measure} {what}, by rerank eval", eval_values[measure], value, within=5.1e-6)
    assert theirs[0] != theirs[1], "the reranker has changed nothing"
    print(f"beir: {len(queries)} queries, {len(corpus)} documents, {len(theirs[0])} measures are equal before and after")
