# /// script
# requires-python = ">=3.10"
# ///
"""The shell scripts among the examples run from end to end, with the tiny model."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from data import EXAMPLES, RERANK, TINY, beir, evaluate, rerank


def example(name: str, *arguments: str | Path, **options) -> str:
    """Runs an example and gives its standard output."""
    command = [EXAMPLES / name, *arguments]
    run = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "RERANK": RERANK}, **options)
    if run.returncode != 0:
        sys.exit(f"{name}: status {run.returncode}\n{run.stderr}")
    return run.stdout


def with_beir(directory: Path, data: Path, run: Path) -> None:
    output = directory / "beir.trec"
    table = example("beir.sh", data, run, output, *TINY)
    assert "before " in table and "after " in table and "win/tie/loss" in table, table
    assert example("beir.sh", data, run, output, *TINY) == table
    print("beir.sh: a table, and the same one when it runs again")


def with_pyserini(directory: Path, data: Path, run: Path) -> None:
    """Texts as Pyserini has them give what BEIR's directory gives."""
    queries, collection = directory / "queries.tsv", directory / "collection.jsonl"
    lines = {name: [json.loads(line) for line in (data / f"{name}.jsonl").open()] for name in ("queries", "corpus")}
    queries.write_text("".join(f"{line['_id']}\t{line['text']}\n" for line in lines["queries"]))
    collection.write_text("".join(json.dumps({"id": line["_id"], "contents": line["text"]}) + "\n" for line in lines["corpus"]))
    with run.open() as standard_input:
        piped = example("pyserini.sh", queries, collection, *TINY, stdin=standard_input)
    assert piped == rerank(*TINY, "--beir", data, "--run", run, "--output-format", "trec")
    assert len(piped.splitlines()) == len(lines["corpus"])
    print("pyserini.sh: the piped run is the one of the same texts in BEIR's form")


def with_evaluate(directory: Path, data: Path, run: Path) -> None:
    if not shutil.which("jq"):
        print("skipped: evaluate.sh needs jq")
        return
    output = directory / "evaluated"
    qrels = data / "qrels/test.tsv"
    printed = example("evaluate.sh", run, data / "queries.jsonl", data / "corpus.jsonl", qrels, output, *TINY)
    tuned = evaluate("--qrels", qrels, "--tune-fusion", output / "reranked.jsonl")[0]
    assert f"--fuse {tuned['best']}" in printed and "win/tie/loss" in printed, printed
    [values] = evaluate("--qrels", qrels, output / "fused.jsonl", "--measures", "nDCG@10")
    assert values["nDCG@10"] == tuned["best_value"], (values, tuned)
    assert "\\begin{tabular}" in (output / "table.tex").read_text()
    assert (output / "queries.csv").read_text().count("\n") == 1 + 3 * (values["queries"] + 1)
    print("evaluate.sh: the fused run has the value that the tuning names, beside tables for LaTeX and by query")


with tempfile.TemporaryDirectory() as name:
    directory = Path(name)
    data = beir(directory)
    for run in (with_beir, with_pyserini, with_evaluate):
        run(directory, data, directory / "bm25.trec")
