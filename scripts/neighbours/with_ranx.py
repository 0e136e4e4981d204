# /// script
# requires-python = ">=3.10"
# dependencies = ["ranx==0.3.21"]
# ///
"""ranx reads our TREC runs, its JSON is read by `rerank eval`, and its measures and fusions agree.

Ties are left out, as ranx puts them in no particular order.
"""

import json
import os
import random
import tempfile
from pathlib import Path

from data import TINY, beir, evaluate, judgements, rerank, run, same, write_qrels, write_run

# To compile it takes a minute and more. Few queries do without.
os.environ["NUMBA_DISABLE_JIT"] = "1"
from ranx import Qrels, Run, fuse  # noqa: E402
from ranx import evaluate as ranx_evaluate  # noqa: E402
from ranx.io import save_json  # noqa: E402

# ranx's ndcg has linear gains, as trec_eval's.
MEASURES = {
    "ndcg@10": "nDCG@10", "ndcg_burges@10": "nDCG(dcg='exp-log2')@10", "map": "AP", "mrr": "RR", "mrr@10": "RR@10",
    "precision@5": "P@5", "recall@10": "R@10", "r-precision": "Rprec", "hit_rate@5": "Success@5",
}  # fmt: skip
FUSIONS = {
    "rrf": {"norm": None, "method": "rrf", "params": {"k": 60}},
    "rrf=10": {"norm": None, "method": "rrf", "params": {"k": 10}},
    "alpha=0.3": {"norm": "min-max", "method": "wsum", "params": {"weights": (0.3, 0.7)}},
    "alpha=0.6,z-score": {"norm": "zmuv", "method": "wsum", "params": {"weights": (0.6, 0.4)}},
}
QUERIES = 20


def compare(qrels: Path, trec: Path, as_json: Path) -> None:
    """Compares the values of a run, which ranx reads as TREC and writes as JSON. Queries that it lacks count in both."""
    theirs = Run.from_file(str(trec), kind="trec")
    # Uncompiled, ranx has numpy's texts and numbers here, which its writer does not take.
    save_json(json.loads(json.dumps(theirs.to_dict())), as_json)
    values = ranx_evaluate(Qrels.from_file(str(qrels), kind="trec"), theirs, list(MEASURES), make_comparable=True)
    arguments = "--complete", "--qrels", qrels, "--test", "none", "--measures", " ".join(MEASURES.values())
    for ours in evaluate(*arguments, f"trec={trec}", f"json={as_json}"):
        for name, measure in MEASURES.items():
            same(f"{trec.name}, read as {ours['run']}, {measure} by ranx", ours[measure], values[name])


def fused(data: Path, run: Path, how: str) -> dict[str, dict[str, dict]]:
    """What rerank gives each document of each query when it fuses."""
    rankings = [json.loads(line) for line in rerank(*TINY, "--beir", data, "--run", run, "--fuse", how).splitlines()]
    return {ranking["query_id"]: {result["id"]: result for result in ranking["results"]} for ranking in rankings}


def compare_fusions(directory: Path) -> None:
    """Compares the sums: fusion by ranks has ties, whose order is each program's own."""
    data, run = beir(directory), directory / "bm25.trec"
    for how, arguments in FUSIONS.items():
        ours = fused(data, run, how)
        logits = {query: {document: result["logit"] for document, result in results.items()} for query, results in ours.items()}
        theirs = fuse([Run.from_file(str(run), kind="trec"), Run(logits)], **arguments).to_dict()
        assert ours.keys() == theirs.keys()
        for query, results in ours.items():
            assert results.keys() == theirs[query].keys()
            for document, result in results.items():
                same(f"{query}, {document} by --fuse {how}", result["fused"], theirs[query][document])


with tempfile.TemporaryDirectory() as name:
    directory = Path(name)
    source = random.Random(11)
    grades = judgements(source, QUERIES)
    trec = write_run(directory / "run.trec", run(source, grades, ties=False))
    compare(write_qrels(directory / "qrels", grades), trec, directory / "run.json")
    print(f"ranx: {len(MEASURES)} measures are equal on a run, read as TREC and as its JSON")
    compare_fusions(directory)
    print(f"ranx: the sums of {', '.join(FUSIONS)} are equal")
