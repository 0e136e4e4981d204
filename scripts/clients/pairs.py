"""The pairs that the clients ask about, and how the command line ranks them.

    pairs.py RERANK MODEL FILE      writes FILE, which check_clients.sh names in PAIRS for the clients

text-embeddings-inference-client has no part for rerankers, so it is not among the clients.
"""

import json
import os
import struct
import subprocess
import sys
from pathlib import Path

# The name under which the clients ask for testdata/tiny-reranker.
MODEL = "tiny-reranker"
URL = os.environ.get("RERANK_URL", "")
# The service is started with this key, so that each client shows how it sends one.
KEY = "no-secret"
# Some clients cut long lists into requests; llama-index's for NVIDIA after 64.
LONG_LIST = 100
# So many of the cases are asked for with limits, too.
WITH_LIMITS = 5


def write(rerank: str, model: str, path: Path) -> None:
    testdata = Path(__file__).parents[2] / "testdata"
    groups = records((testdata / "candidates.jsonl").read_text()) + records((testdata / "parity.jsonl").read_text())
    heldout = records((testdata / "heldout.jsonl").read_text())
    texts = [candidate["text"] for group in heldout for candidate in group["candidates"]]
    questions = [(group["query"], [candidate["text"] for candidate in group["candidates"]]) for group in groups]
    questions.append((heldout[0]["query"], texts[:LONG_LIST]))
    # Blank texts are left out, as several clients drop or refuse them before they ask.
    questions = [(query, [text for text in documents if text.strip()]) for query, documents in questions if query.strip()]
    lines = "".join(
        json.dumps({"query_id": str(number), "query": query, "documents": documents}) + "\n"
        for number, (query, documents) in enumerate(questions)
    )
    command = [rerank, "--model", model, "--input-format", "jsonl", "--quiet", "-"]
    output = subprocess.run(command, input=lines, capture_output=True, text=True, check=True).stdout
    cases = []
    for (query, documents), ranked in zip(questions, records(output), strict=True):
        ranking = [
            {"index": int(result["id"]) - 1, "score": result["score"], "logit": result["logit"]} for result in ranked["results"]
        ]
        cases.append({"query": query, "documents": documents, "ranking": ranking})
    path.write_text(json.dumps(cases))


def records(text: str) -> list[dict]:
    """The lines of JSONL. They end at line feeds alone, as texts hold other characters that Python takes for ends of lines."""
    return [json.loads(line) for line in text.split("\n") if line]


def cases() -> list[dict]:
    """Queries with their documents and their ranking, best first."""
    return json.loads(Path(os.environ["PAIRS"]).read_text())


def check(client: str, ask, *, score: str = "score") -> None:
    """Asks for each case and compares what comes back with the command line's ranking.

    `ask(query, documents, limit)` gives pairs of an index and a score, best first. A limit of None asks for all.
    """
    asked = 0
    for number, case in enumerate(cases()):
        for limit in (None, 1, 3) if number < WITH_LIMITS else (None,):
            expected = [(result["index"], single(result[score])) for result in case["ranking"]][:limit]
            got = [(index, single(value)) for index, value in ask(case["query"], case["documents"], limit)]
            if got != expected:
                sys.exit(f"{client}: {case['query']!r}, limit {limit}:\n  expected {expected}\n  got      {got}")
            asked += 1
    print(f"{client}: {asked} requests, order and scores are those of the command line")


def single(value: float) -> float:
    """The float32 nearest to a number, as scores are float32 and languages print them with different digits."""
    return struct.unpack("f", struct.pack("f", value))[0]


if __name__ == "__main__":
    write(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
