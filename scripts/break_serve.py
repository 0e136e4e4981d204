#!/usr/bin/env python3
"""Takes from `rerank serve` on this machine what it needs, and looks whether it goes on.

    scripts/break_serve.py [queue] [end] [descriptors] [idle]      default: all

    queue        more requests than the queue takes: each is answered with scores or with 429, and later ones with scores
    end          SIGTERM under load: what was sent before is answered with scores, and the status is 0
    descriptors  fewer file descriptors than idle connections, and than working ones: they are closed, and others served
    idle         more idle connections than are let in: they are closed, and another client is served
"""

import argparse
import asyncio
import signal
import socket
import sys
import time
from pathlib import Path

from serving.load import Behaviour, Connection, Load
from serving.service import Service
from serving.workload import prepare, questions

CONNECTIONS = 64


def start(options, *more: str, wrapper: tuple = ()) -> tuple[Service, list]:
    command = [*wrapper, options.rerank, "serve", "--model", options.model, "--port", "0", *more]
    service = Service(command)
    made = questions(CONNECTIONS, 32, (5, 10), seed=1)
    prepare(made, service.host, service.port)
    return service, made


def open_many(service: Service, count: int) -> list[socket.socket]:
    """Connections on which nothing is sent; none is waited for, as the system lets only so many in."""
    opened = []
    for _ in range(count):
        connection = socket.socket()
        connection.setblocking(False)
        connection.connect_ex((service.host, service.port))
        opened.append(connection)
    return opened


def stop(service: Service) -> list[str]:
    status = service.stop()
    panics = [line.strip() for line in service.lines if "panicked" in line]
    return panics + ([f"it ended with status {status}"] if status else [])


def answers(service: Service, made: list, seconds: float = 30) -> list[str]:
    """Whether a right request is answered within some seconds."""
    until, last = time.monotonic() + seconds, "nothing"
    while time.monotonic() < until:
        try:
            status, _ = service.post("/v1/rerank", {"query": made[0].query, "documents": made[0].documents}, timeout=5)
        except OSError as error:
            last = str(error) or type(error).__name__
            continue
        if status == 200:
            return []
        last = f"status {status}"
        time.sleep(0.2)
    return [f"no scores within {seconds:.0f} s, but {last}"]


def queue(options) -> list[str]:
    service, made = start(options, "--max-queue-pairs", "100", "--max-documents", "50")

    async def ask() -> list:
        async def once(question) -> tuple[int, bytes]:
            connection = Connection(service.host, service.port)
            await connection.open()
            connection.writer.write(question.request)
            head = await connection.reader.readuntil(b"\r\n\r\n")
            connection.reset()
            return int(head[9:12]), head.lower()

        return await asyncio.gather(*(once(question) for question in made))

    heads = asyncio.run(ask())
    statuses = [status for status, _ in heads]
    print(f"  {statuses.count(200)} answered with scores, {statuses.count(429)} with 429")
    wrong = [] if set(statuses) == {200, 429} else [f"statuses {sorted(set(statuses))} instead of 200 and 429"]
    wrong += ["a 429 without Retry-After" for status, head in heads if status == 429 and b"\r\nretry-after:" not in head][:1]
    return wrong + answers(service, made) + stop(service)


def end(options) -> list[str]:
    service, made = start(options)
    ended = 0.0
    unanswered, scored = [], 0

    async def client(question) -> None:
        nonlocal scored
        connection = Connection(service.host, service.port)
        while True:
            sent = time.monotonic()
            try:
                status, _ = await connection.ask(question.request)
            except (OSError, asyncio.IncompleteReadError, AttributeError):
                status = 0
            if status == 200:
                scored += 1
                continue
            # A request that comes while the service is told to end may be too late.
            if not ended or sent < ended - 0.2:
                unanswered.append(status)
            return

    async def run() -> None:
        nonlocal ended
        clients = [asyncio.create_task(client(question)) for question in made]
        await asyncio.sleep(3)
        ended = time.monotonic()
        service.process.send_signal(signal.SIGTERM)
        await asyncio.wait(clients, timeout=60)

    asyncio.run(run())
    status = service.process.wait(60)
    print(f"  {scored} requests answered with scores, ended {time.monotonic() - ended:.1f} s after the signal")
    wrong = [f"requests that were sent before the signal ended with {unanswered[:5]} (0: no answer)"] if unanswered else []
    return wrong + ([f"it ended with status {status}"] if status else [])


def served_beside(service: Service, made: list, held: list[socket.socket]) -> list[str]:
    """Whether another client is served while these connections stay open, on its part."""
    began = time.monotonic()
    wrong = answers(service, made)
    print(f"  beside {len(held)} idle connections, another client was served after {time.monotonic() - began:.1f} s")
    for connection in held:
        connection.close()
    return wrong


def descriptors(options) -> list[str]:
    service, made = start(options, wrapper=("prlimit", "--nofile=64"))
    wrong = served_beside(service, made, open_many(service, 400))
    outcome = asyncio.run(Load(service.host, service.port, made, Behaviour()).run(200, 400))
    print(f"  200 connections with 64 descriptors: statuses {dict(outcome.statuses)}")
    if set(outcome.statuses) != {200}:
        wrong.append(f"statuses {dict(outcome.statuses)} instead of 200 alone")
    return wrong + stop(service)


def idle(options) -> list[str]:
    service, made = start(options, "--max-connections", "100")
    return served_beside(service, made, open_many(service, 1000)) + stop(service)


CASES = {"queue": queue, "end": end, "descriptors": descriptors, "idle": idle}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", default=list(CASES), metavar="CASE")
    parser.add_argument("--rerank", type=Path, default=Path("target/release/rerank"))
    parser.add_argument("--model", type=Path, default=Path("testdata/tiny-reranker"))
    options = parser.parse_args()
    faults = 0
    for name in options.cases or CASES:
        print(name)
        wrong = CASES[name](options)
        faults += len(wrong)
        for line in wrong:
            print(f"  fault: {line}")
    print(f"{faults} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
