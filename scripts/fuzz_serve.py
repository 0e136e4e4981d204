#!/usr/bin/env python3
"""Sends wrong requests to `rerank serve` on this machine for some seconds, and looks whether it stays right.

    scripts/fuzz_serve.py [--seconds 60] [--seed 1]

JSON that is changed in its values and bytes, in every dialect; broken HTTP, of the kinds by which requests are smuggled past
proxies among it; noise; and connections that send a byte now and then. A fault is: a status of 500 or above, a response that
is no HTTP, an error without a message, a body that is framed in two ways and read as two requests, a panic, a right request
that is not answered or has other scores than before, memory beyond a limit, an end of the service. The status is then 1,
and the request stands in --faults.
"""

import argparse
import json
import random
import socket
import sys
import threading
import time
from collections import Counter
from pathlib import Path

from serving.mutation import http_request, json_request, noise
from serving.service import Service
from serving.valid import REQUESTS, scores_of
from serving.wire import exchange

# How long an answer to a body that came in full is waited for; where the request may be incomplete, there is none.
PATIENCE, IMPATIENCE = 30.0, 0.3
THREADS, SLOW_CONNECTIONS = 8, 100
MEBIBYTE = 1 << 20
# Each has a second request within what some would take for its body. A server that may be behind a proxy refuses it, or
# closes the connection after its first answer.
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"
SMUGGLING = {
    "two lengths": b"Content-Length: 5\r\nContent-Length: 4\r\n\r\nhello" + SMUGGLED,
    "a list of lengths": b"Content-Length: 5, 4\r\n\r\nhello" + SMUGGLED,
    "a length with a sign": b"Content-Length: +0\r\n\r\n" + SMUGGLED,
    "chunks that are not last": b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "an unknown coding": b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "a space before the colon": b"Transfer-Encoding : chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "a folded header": b"Transfer-Encoding:\r\n chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "a vertical tab": b"Transfer-Encoding:\x0bchunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "a chunk's size with a sign": b"Transfer-Encoding: chunked\r\n\r\n+0\r\n\r\n" + SMUGGLED,
    "a chunk's size with 0x": b"Transfer-Encoding: chunked\r\n\r\n0x0\r\n\r\n" + SMUGGLED,
    "chunks of bare line feeds": b"Transfer-Encoding: chunked\r\n\r\n0\n\n" + SMUGGLED,
}


class Fuzz:
    """The faults that were found, and what was sent."""

    def __init__(self, service: Service, options):
        self.service, self.options = service, options
        self.until = time.monotonic() + options.seconds
        self.statuses, self.sent, self.faults, self.resident = Counter(), Counter(), [], 0

    def fault(self, what: str, request: bytes) -> None:
        self.options.faults.mkdir(parents=True, exist_ok=True)
        path = self.options.faults / f"{len(self.faults)}.request"
        path.write_bytes(request)
        self.faults.append(f"{what} ({path})")

    def send(self, kind: str, request: bytes, patience: float) -> list[tuple[int, bytes]]:
        self.sent[kind] += 1
        try:
            responses = exchange(self.service.host, self.service.port, request, patience)
        except ValueError as error:
            self.fault(f"{kind}: {error}", request)
            return []
        except OSError:
            # A connection that the service resets, as it may where a request is wrong before all of it has come.
            responses = []
        for status, body in responses:
            self.statuses[status] += 1
            if status >= 500:
                self.fault(f"{kind}: status {status}: {body[:200]!r}", request)
        return responses

    def work(self, seed: int) -> None:
        draw = random.Random(seed)
        while time.monotonic() < self.until and self.service.is_alive():
            chance = draw.random()
            if chance < 0.6:
                request = json_request(draw)
                responses = self.send("JSON", request, PATIENCE)
                if not responses:
                    self.fault("JSON: no response", request)
                elif responses[0][0] != 200 and len(responses[0][1]) < 10:
                    self.fault(f"JSON: status {responses[0][0]} without a message", request)
            elif chance < 0.95:
                self.send("HTTP", http_request(draw), IMPATIENCE)
            else:
                self.send("noise", noise(draw), IMPATIENCE)

    def smuggle(self) -> None:
        for name, rest in SMUGGLING.items():
            request = b"POST /v1/rerank HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n" + rest
            responses = self.send("smuggling", request, 1.0)
            if len(responses) > 1:
                self.fault(f"{name}: the second request within was answered: {[status for status, _ in responses]}", request)
        # Transfer-Encoding counts alone then, by the rules of HTTP, and the connection should be closed.
        both = b"POST /v1/rerank HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        answers = [status for status, _ in self.send("smuggling", both + SMUGGLED, 1.0)]
        print(
            f"both lengths, by Content-Length and by chunks: answered {answers}, where two would be requests one after the other"
        )

    def dawdle(self) -> None:
        """Connections whose requests never end."""
        held = []
        for number in range(SLOW_CONNECTIONS):
            connection = socket.create_connection((self.service.host, self.service.port))
            connection.sendall(
                b"POST /rerank HTTP/1.1\r\nHost: a\r\n" + (b"Content-Length: 1000\r\n\r\n" if number % 2 else b"X: ")
            )
            held.append(connection)
        while time.monotonic() < self.until:
            time.sleep(1)
            self.resident = max(self.resident, self.service.resident())
            for connection in list(held):
                try:
                    connection.sendall(b"a")
                except OSError:
                    held.remove(connection)
        print(f"{SLOW_CONNECTIONS} slow connections, of which the service has closed {SLOW_CONNECTIONS - len(held)}")

    def run(self) -> None:
        threads = [threading.Thread(target=self.work, args=(self.options.seed * 1000 + number,)) for number in range(THREADS)]
        threads.append(threading.Thread(target=self.dawdle))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def right_scores(service: Service) -> list[dict[int, float]]:
    """What right requests give, in every dialect."""
    found = []
    for path, body in REQUESTS:
        status, response = service.post(path, body)
        if status != 200:
            raise SystemExit(f"{path} with {body}: status {status}: {response.decode()}")
        scores = scores_of(json.loads(response))
        if len(scores) != 3 or max(scores, key=scores.get) != 2:
            raise SystemExit(f"{path} with {body}: the third document is the best, not what {response.decode()} states")
        found.append(scores)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rerank", type=Path, default=Path("target/release/rerank"))
    parser.add_argument("--model", type=Path, default=Path("testdata/tiny-reranker"))
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--memory", type=int, default=512, metavar="MIB", help="more than this is a fault")
    parser.add_argument("--faults", type=Path, default=Path("target/fuzz-serve"), help="folder for requests that find some")
    options = parser.parse_args()
    service = Service([options.rerank, "serve", "--model", options.model, "--port", "0"])
    before = right_scores(service)
    fuzz = Fuzz(service, options)
    fuzz.resident = service.resident()
    print(f"seed {options.seed}; {fuzz.resident // MEBIBYTE} MiB before")
    fuzz.smuggle()
    fuzz.run()
    faults = fuzz.faults
    if not service.is_alive():
        faults.append(f"the service has ended with status {service.process.returncode}")
    elif right_scores(service) != before:
        faults.append("right requests have other scores than before")
    faults += [line.strip() for line in service.lines if "panicked" in line]
    print(f"sent {dict(fuzz.sent)}; statuses {dict(sorted(fuzz.statuses.items()))}; at most {fuzz.resident // MEBIBYTE} MiB")
    if fuzz.resident > options.memory * MEBIBYTE:
        faults.append(f"{fuzz.resident // MEBIBYTE} MiB of memory")
    if status := service.stop():
        faults.append(f"the service ended with status {status} when told to")
    for fault in faults[:20]:
        print(fault, file=sys.stderr)
    print(f"{len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
