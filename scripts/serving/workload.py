"""Queries with documents, as requests and as the command line's input, and the comparison of what both give."""

import json
import random
import resource
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

LINES = (Path(__file__).parents[1] / "reference" / "words.txt").read_text().splitlines()
WORDS = [word for line in LINES if not line.startswith("#") for word in line.split() if not word.startswith("[")]


@dataclass
class Question:
    """A query with documents, and the request that asks for them, ready to be sent."""

    query: str
    documents: list[str]
    request: bytes = b""
    # By the documents' indices, once the command line has been run.
    scores: list[float] | None = None


def questions(count: int, documents: int, words: tuple[int, int], seed: int) -> list[Question]:
    """Questions of random words, no two of whose pairs are equal."""
    draw = random.Random(seed)
    made = []
    for _ in range(count):
        query = " ".join(draw.choices(WORDS, k=8))
        texts = [" ".join(draw.choices(WORDS, k=draw.randint(*words))) for _ in range(documents)]
        made.append(Question(query, texts))
    return made


def prepare(made: list[Question], host: str, port: int, path: str = "/v1/rerank") -> None:
    for question in made:
        body = json.dumps({"query": question.query, "documents": question.documents}).encode()
        question.request = post(host, port, path, body)


def post(host: str, port: int, path: str, body: bytes) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def write(made: list[Question], path: Path) -> None:
    with path.open("w") as file:
        for number, question in enumerate(made):
            record = {"query_id": str(number), "query": question.query, "documents": question.documents}
            file.write(json.dumps(record) + "\n")


def run_batch(command: list, made: list[Question], folder: Path) -> dict:
    """Ranks the questions with the command line, notes their scores, and gives the run's figures."""
    source, output, stats = folder / "questions.jsonl", folder / "ranked.jsonl", folder / "stats.json"
    if not source.exists():
        write(made, source)
    output.unlink(missing_ok=True)
    options = ["--input-format", "jsonl", "--no-text", "--quiet", "--output", output, "--stats", stats]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([str(part) for part in [*command, source, *options]], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    with output.open() as file:
        for question, line in zip(made, file, strict=True):
            question.scores = [0.0] * len(question.documents)
            for result in json.loads(line)["results"]:
                question.scores[int(result["id"]) - 1] = single(result["score"])
    processor_seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return json.loads(stats.read_text()) | {"processor_seconds": processor_seconds}


def single(value: float) -> float:
    """The float32 nearest to a number."""
    return struct.unpack("f", struct.pack("f", value))[0]


def difference(question: Question, body: bytes) -> str | None:
    """What a response has that the command line has not; nothing, if all is right."""
    try:
        results = json.loads(body)["results"]
        got = [(result["index"], single(result["relevance_score"])) for result in results]
    except (ValueError, KeyError, TypeError) as error:
        return f"a response that can't be read ({error}): {body[:200]!r}"
    expected = sorted(enumerate(question.scores), key=lambda pair: -pair[1])
    if dict(got) != dict(expected) or [score for _, score in got] != [score for _, score in expected]:
        return f"scores {got[:3]}… instead of {expected[:3]}… for {question.query!r}"
    return None
