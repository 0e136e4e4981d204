"""What the tests of the Python package share: the toy model, pairs, and the command that came with the package."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rerank import Reranker

# Every start measures which unit of the processor is the faster one in bf16, and the next may choose another, with other bits.
os.environ.setdefault("RERANK_INSTRUCTIONS", "products=f32/attention=f32")

TESTDATA = Path(__file__).parents[2] / "testdata"
MODEL = TESTDATA / "tiny-reranker"
COMMAND = Path(sys.executable).parent / "rerank"


def read_pairs(file: str) -> list[tuple[str, str]]:
    """The pairs of a file of queries with candidates."""
    groups = [json.loads(line) for line in (TESTDATA / file).read_text(encoding="utf-8").splitlines()]
    return [(group["query"], candidate["text"]) for group in groups for candidate in group["candidates"]]


def command(*arguments: str | os.PathLike[str], **options) -> subprocess.CompletedProcess:
    """Runs the command that came with the package."""
    return subprocess.run([COMMAND, *arguments], capture_output=True, text=True, timeout=120, **options)


def scored_by_command(pairs: list[tuple[str, str]], *options: str) -> tuple[np.ndarray, np.ndarray]:
    """The logits and scores that the command gives pairs, each a query of its own."""
    rows = ({"query_id": str(index), "query": query, "id": "d", "text": text} for index, (query, text) in enumerate(pairs))
    ran = command("--model", MODEL, "--quiet", *options, input="".join(json.dumps(row) + "\n" for row in rows))
    assert ran.returncode == 0, ran.stderr
    results = [json.loads(line)["results"][0] for line in ran.stdout.splitlines()]
    values = [np.array([result[name] for result in results], np.float32) for name in ("logit", "score")]
    return values[0], values[1]


@pytest.fixture(scope="session")
def pairs() -> list[tuple[str, str]]:
    """Pairs of several queries."""
    return read_pairs("candidates.jsonl")


@pytest.fixture(scope="session")
def reranker() -> Reranker:
    """The toy model, which all tests use that need no other."""
    return Reranker(MODEL, dtype="f32")
