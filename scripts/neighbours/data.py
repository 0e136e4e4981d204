"""Judgements and runs from a seed, and what `rerank eval` makes of them. RERANK names the binary."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

RERANK = os.environ.get("RERANK", "target/release/rerank")
ROOT = Path(__file__).parents[2]
MODEL = str(ROOT / "testdata/tiny-reranker")
# The options with which rerank ranks here.
TINY = ["--quiet", "--model", MODEL, "--dtype", "f32"]
EXAMPLES = ROOT / "scripts/examples"
HELDOUT = 8
GRADES = [-2, -1, 0, 0, 0, 1, 1, 2, 3]
DOCUMENTS = [f"{prefix}{number}" for prefix in ("d", "D", "é") for number in range(40)]

Qrels = dict[str, dict[str, int]]
Run = dict[str, dict[str, float]]


def judgements(source: random.Random, queries: int) -> Qrels:
    """Graded, zero and negative judgements. Some queries have no relevant document.

    Each has one that is not negative, as pytrec_eval crashes at a query whose grades are all below -1.
    """
    qrels = {}
    for number in range(queries):
        first, *others = source.sample(DOCUMENTS, source.randint(1, 60))
        grades = {document: source.choice(GRADES) for document in others}
        qrels[str(number)] = {first: abs(source.choice(GRADES)), **grades}
    return qrels


def ranking(source: random.Random, ties: bool) -> dict[str, float]:
    """Up to all documents with scores. Among ties are scores that are equal as `f32` only."""
    documents = source.sample(DOCUMENTS, source.randint(1, len(DOCUMENTS)))
    if not ties:
        scores = source.sample(range(-4096, 4096), len(documents))
        return {document: score / 16 for document, score in zip(documents, scores, strict=True)}
    kinds = [lambda: source.randint(-5, 5), lambda: 16777216 + source.randint(0, 1), lambda: source.randint(1, 9) * 1e-20]
    kind = source.choice(kinds)
    return {document: float(kind()) for document in documents}


def run(source: random.Random, qrels: Qrels, ties: bool) -> Run:
    """A ranking of most of the queries that are judged, and of one that is not."""
    queries = [query for query in qrels if source.random() < 0.9] + [str(len(qrels))]
    return {query: ranking(source, ties) for query in queries}


def write_qrels(path: Path, qrels: Qrels) -> Path:
    with path.open("w") as lines:
        for query, grades in qrels.items():
            lines.writelines(f"{query} 0 {document} {grade}\n" for document, grade in grades.items())
    return path


def write_run(path: Path, run: Run) -> Path:
    """Writes a TREC run. Ties stand in no particular order, as ranks count for nothing in an evaluation."""
    with path.open("w") as lines:
        for query, scores in run.items():
            for rank, (document, score) in enumerate(sorted(scores.items(), key=lambda scored: -scored[1]), 1):
                lines.write(f"{query} Q0 {document} {rank} {score!r} run\n")
    return path


def rerank(*arguments: str | Path) -> str:
    """The standard output of rerank."""
    return subprocess.run([RERANK, *map(str, arguments)], check=True, capture_output=True, text=True).stdout


def evaluate(*arguments: str | Path) -> list[dict]:
    """The objects that `rerank eval` prints."""
    return [json.loads(line) for line in rerank("eval", "--quiet", "--format", "jsonl", *arguments).splitlines()]


def beir(directory: Path) -> Path:
    """Writes some of the tiny model's held-out queries as a directory of BEIR, with the first stage's bm25.trec beside it."""
    lines = (ROOT / "testdata/heldout.jsonl").read_text().splitlines()[:HELDOUT]
    data = directory / "beir"
    (data / "qrels").mkdir(parents=True)
    source, first_stage, grades = random.Random(3), {}, ["query-id\tcorpus-id\tscore\n"]
    with (data / "corpus.jsonl").open("w") as corpus, (data / "queries.jsonl").open("w") as queries:
        for group in map(json.loads, lines):
            query = group["query_id"]
            queries.write(json.dumps({"_id": query, "text": group["query"]}) + "\n")
            first_stage[query] = {}
            for candidate in group["candidates"]:
                document, grade = f"{query}-{candidate['id']}", candidate["relevance"]
                corpus.write(json.dumps({"_id": document, "title": "", "text": candidate["text"]}) + "\n")
                grades.append(f"{query}\t{document}\t{grade}\n")
                first_stage[query][document] = round(grade + source.gauss(8, 2), 4)
    (data / "qrels/test.tsv").write_text("".join(grades))
    write_run(directory / "bm25.trec", first_stage)
    return data


def same(what: str, ours: float, theirs: float, within: float = 1e-6) -> None:
    """Ends the check if two values differ by more than this."""
    if not abs(ours - theirs) <= within:
        sys.exit(f"{what}: rerank has {ours!r}, the other {theirs!r}")
