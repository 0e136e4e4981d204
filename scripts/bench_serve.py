#!/usr/bin/env python3
"""Puts `rerank serve` under load on this machine and compares it with the batch command line on the same pairs.

    scripts/bench_serve.py                                          64 connections of 32 documents, on the tiny model
    scripts/bench_serve.py --vanish 5 --garbage 1 --slow 2          per cent of clients that misbehave
    scripts/bench_serve.py --beside 10000                           small requests beside a large one
    scripts/bench_serve.py --requests 100000 --rounds 1 --documents 4 --words 2 8        a long run: memory over time
    scripts/bench_serve.py --model DIR --peer                       sentence-transformers behind FastAPI on the same shape

Client and service share the machine's cores, so its throughput includes what the client takes, which is printed. Rounds
alternate between the command line and the service, and medians are compared. Responses are compared with the command
line's scores: one in twenty, to the bit. The status is 1 if one differs, or a proper request is not answered with 200.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

from serving.load import Behaviour, Load, Outcome
from serving.service import Service
from serving.workload import prepare, questions, run_batch

# As many different requests as a long run needs, so that no cache of any processor holds them all.
MOST_QUESTIONS = 4000
SMALL, SMALL_CONNECTIONS = 10, 8
MEBIBYTE = 1 << 20
MOST_FAULTS = 10


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rerank", type=Path, default=Path("target/release/rerank"))
    parser.add_argument("--model", type=Path, default=Path("testdata/tiny-reranker"))
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--documents", type=int, default=32, help="of a request")
    parser.add_argument("--words", type=int, nargs=2, default=(20, 60), metavar=("LEAST", "MOST"), help="of a document")
    parser.add_argument("--requests", type=int, default=2000, help="of a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--vanish", type=float, default=0, metavar="PERCENT", help="clients that go away without the answer")
    parser.add_argument("--garbage", type=float, default=0, metavar="PERCENT", help="requests that are no HTTP, JSON or path")
    parser.add_argument("--slow", type=float, default=0, metavar="PERCENT", help="clients that send and read slowly")
    parser.add_argument("--beside", type=int, metavar="DOCUMENTS", help="small requests beside one of so many documents")
    parser.add_argument("--peer", action="store_true", help="needs fastapi, uvicorn and sentence-transformers")
    return parser.parse_args()


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")


def latencies(values: list[float]) -> str:
    parts = (f"P{share:.0f} {percentile(values, share / 100) * 1000:,.1f} ms" for share in (50, 95, 99))
    return ", ".join(parts)


def load(service: Service, made: list, options, connections: int, requests: int) -> Outcome:
    """One load, with what the client itself took of the machine."""
    behaviour = Behaviour(options.vanish / 100, options.garbage / 100, options.slow / 100)
    before, computed = time.process_time(), service.processor_seconds()
    outcome = asyncio.run(Load(service.host, service.port, made, behaviour).run(connections, requests))
    client, outcome.processor_seconds = time.process_time() - before, service.processor_seconds() - computed
    rate = outcome.pairs / outcome.seconds
    requests = len(outcome.latencies) / outcome.seconds
    print(f"  {service.name}: {rate:,.1f} pairs/s, {requests:,.1f} requests/s; {latencies(outcome.latencies)}")
    seconds = f"seconds {outcome.seconds:.1f}, of processors: service {outcome.processor_seconds:.1f}, client {client:.1f}"
    print(f"    {seconds}; statuses {dict(outcome.statuses)}")
    if outcome.misbehaved:
        print(f"    misbehaved: {dict(outcome.misbehaved)}")
    return outcome


class Memory:
    """Samples a service's memory while it works."""

    def __init__(self, service: Service):
        self.service, self.samples, self.ended = service, [], threading.Event()
        self.thread = threading.Thread(target=self._sample, daemon=True)
        self.thread.start()

    def _sample(self) -> None:
        while not self.ended.wait(0.25):
            self.samples.append(self.service.resident())

    def report(self) -> str:
        self.ended.set()
        self.thread.join()
        size = len(self.samples)
        if size < 10:
            return "memory: too short a run to sample it"
        tenths = [max(self.samples[size * tenth // 10 : size * (tenth + 1) // 10]) / MEBIBYTE for tenth in range(10)]
        return "memory, the most in each tenth of the time: " + " ".join(f"{tenth:.0f}" for tenth in tenths) + " MiB"


def faults(outcome: Outcome) -> list[str]:
    wrong = [
        f"{count} proper requests ended with {status}" for status, count in outcome.statuses.items() if status not in (200, 429)
    ]
    wrong += [f"{count} times: {what}" for what, count in outcome.faults.items()]
    if outcome.differences:
        wrong.append(f"{len(outcome.differences)} of {outcome.compared} responses differ; the first: {outcome.differences[0]}")
    return wrong


def compare(options, folder: Path) -> list[str]:
    made = questions(min(options.requests, MOST_QUESTIONS), options.documents, options.words, seed=1)
    command = [options.rerank, "--model", options.model, "--dtype", options.dtype]
    service = Service([options.rerank, "serve", "--model", options.model, "--dtype", options.dtype, "--port", "0"])
    prepare(made, service.host, service.port)
    wrong, batch, served = [], [], []
    memory = Memory(service)
    # The first requests meet cold caches and a small allocator; the batch's loading is not counted either.
    asyncio.run(
        Load(service.host, service.port, made, Behaviour()).run(options.connections, min(len(made), 2 * options.connections))
    )
    for number in range(options.rounds):
        print(f"round {number + 1}")
        batch.append(run_batch(command, made, folder))
        stats = batch[-1]
        print(f"  command line: {stats['pairs_per_second']:,.1f} pairs/s in {stats['ranking_seconds']:.1f} s")
        served.append(load(service, made, options, options.connections, options.requests))
        wrong += faults(served[-1])
    rate = report(
        "pairs/s", [outcome.pairs / outcome.seconds for outcome in served], [stats["pairs_per_second"] for stats in batch]
    )
    report(
        "pairs per second of a processor",
        [outcome.pairs / outcome.processor_seconds for outcome in served],
        [stats["pairs"] / stats["processor_seconds"] for stats in batch],
    )
    print(f"{sum(outcome.compared for outcome in served):,} responses compared with the command line's scores")
    print(memory.report())
    if status := service.stop():
        wrong.append(f"the service ended with status {status}")
    return wrong + (peer(made, options, folder, rate) if options.peer else [])


def report(unit: str, served: list[float], batch: list[float]) -> float:
    """The medians and their ratio; that by processors' seconds is steadier where other programs run."""
    rate, of_batch = statistics.median(served), statistics.median(batch)
    print(f"medians: service {rate:,.1f} {unit}, command line {of_batch:,.1f}: {rate / of_batch:.1%}")
    return rate


def peer(made: list, options, folder: Path, rate: float) -> list[str]:
    command = [sys.executable, Path(__file__).parent / "serving" / "peer.py", options.model, folder / "classifier"]
    other = Service(command, "sentence-transformers")
    for question in made:
        question.scores = None
    prepare(made, other.host, other.port)
    load(other, made[: options.connections], options, options.connections, min(options.requests, options.connections))
    print("  (that was to warm up)")
    outcome = load(other, made, options, options.connections, options.requests)
    print(f"the service is {rate / (outcome.pairs / outcome.seconds):.1f} times as fast as sentence-transformers behind FastAPI")
    other.stop()
    return faults(outcome)


def beside(options, folder: Path) -> list[str]:
    """The times of small requests alone, and while a large one is computed."""
    small = questions(min(options.requests, MOST_QUESTIONS), SMALL, options.words, seed=2)
    large = questions(1, options.beside, options.words, seed=3)
    service = Service([options.rerank, "serve", "--model", options.model, "--dtype", options.dtype, "--port", "0"])
    prepare(small + large, service.host, service.port)
    command = [options.rerank, "--model", options.model, "--dtype", options.dtype]
    print(f"command line, the large one: {run_batch(command, large, folder)['ranking_seconds']:.2f} s")
    wrong = []
    for name in ("alone", "beside the large one"):
        ended, seconds = threading.Event(), []
        if name != "alone":
            thread = threading.Thread(target=repeat, args=(service, large, ended, seconds, wrong))
            thread.start()
            time.sleep(0.2)
        print(f"small ones {name}, {SMALL_CONNECTIONS} connections of {SMALL} documents:")
        outcome = load(service, small, options, SMALL_CONNECTIONS, options.requests)
        wrong += faults(outcome)
        ended.set()
        if name != "alone":
            thread.join()
            print(f"  the large one, meanwhile: {', '.join(f'{value:.2f}' for value in seconds)} s")
    service.stop()
    return wrong


def repeat(service: Service, large: list, ended: threading.Event, seconds: list[float], wrong: list[str]) -> None:
    """Asks for the large one again and again, until the small ones are through."""
    while not ended.is_set():
        outcome = asyncio.run(Load(service.host, service.port, large, Behaviour(), check_every=1).run(1, 1))
        seconds.append(outcome.seconds)
        wrong += faults(outcome)


def main() -> int:
    options = arguments()
    with tempfile.TemporaryDirectory() as folder:
        wrong = beside(options, Path(folder)) if options.beside else compare(options, Path(folder))
    for line in wrong[:MOST_FAULTS]:
        print(line, file=sys.stderr)
    if len(wrong) > MOST_FAULTS:
        print(f"and {len(wrong) - MOST_FAULTS} more faults", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
