"""Pairs for the checks of data engines: passages of a few dozen words, and the command's scores, to which all others are compared."""

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

# Documents of a query.
CANDIDATES = 50
# Rows of a file of pairs. Engines make partitions of whole files, which are even only if there are many.
ROWS = 5_000


def make(count: int, folder: Path) -> None:
    """Writes pairs as Parquet files with id, query and text, and as JSON lines of queries with their candidates."""
    texts = [json.loads(line) for line in Path("testdata/heldout.jsonl").read_text(encoding="utf-8").splitlines()]
    words = sorted({word for group in texts for candidate in group["candidates"] for word in candidate["text"].split()})
    random_words = random.Random(0)
    queries = [" ".join(random_words.choices(words, k=5)) for _ in range(-(-count // CANDIDATES))]
    rows = []
    for number in range(count):
        text = " ".join(random_words.choices(words, k=random_words.randint(10, 60)))
        rows.append({"id": number, "query": queries[number // CANDIDATES], "text": text})
    (folder / "pairs").mkdir(parents=True)
    for part, first in enumerate(range(0, count, ROWS)):
        pq.write_table(pa.Table.from_pylist(rows[first : first + ROWS]), folder / "pairs" / f"{part:03}.parquet")
    (folder / "queries").mkdir()
    lines = []
    for first in range(0, count, CANDIDATES):
        group = rows[first : first + CANDIDATES]
        candidates = [{"id": str(row["id"]), "text": row["text"]} for row in group]
        lines.append(json.dumps({"query_id": str(first), "query": group[0]["query"], "candidates": candidates}) + "\n")
    for part, first in enumerate(range(0, len(lines), ROWS // CANDIDATES)):
        some = lines[first : first + ROWS // CANDIDATES]
        (folder / "queries" / f"{part:03}.jsonl").write_text("".join(some), encoding="utf-8")
    (folder / "queries.jsonl").write_text("".join(lines), encoding="utf-8")


def logits_of_lines(paths: list[Path]) -> dict[int, float]:
    """The logit of each pair in files that the command has written."""
    logits = {}
    for path in paths:
        for line in path.open(encoding="utf-8"):
            for result in json.loads(line)["results"]:
                assert int(result["id"]) not in logits, f"{path}: the pair {result['id']} stands twice"
                logits[int(result["id"])] = result["logit"]
    return logits


def logits_of_tables(folder: Path) -> dict[int, float]:
    """The logit of each pair in the Parquet files of a folder."""
    logits = {}
    for path in sorted(folder.rglob("*.parquet")) if folder.is_dir() else [folder]:
        # The values alone: floats of 32 bits, which the command prints in full, are compared as such.
        table = pq.read_table(path, columns=["id", "rerank_logit"], partitioning=None)
        for number, logit in zip(table["id"].to_pylist(), table["rerank_logit"].to_numpy()):
            assert number not in logits, f"{path}: the pair {number} stands twice"
            logits[number] = float(str(logit))
    return logits


def timed(name: str, *command: str | os.PathLike[str], beside: float | None = None) -> float:
    """Runs a program, and prints the seconds that it took, beside those of the command."""
    began = time.perf_counter()
    ran = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    seconds = time.perf_counter() - began
    if ran.returncode != 0:
        sys.exit(f"{name} has failed:\n{ran.stderr[-4000:]}")
    more = "" if beside is None else f", {(seconds / beside - 1) * 100:+.1f}% beside the command"
    print(f"{name}: {seconds:.1f} s{more}", flush=True)
    return seconds
