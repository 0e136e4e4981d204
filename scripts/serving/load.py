"""Connections that ask one question after the other, as fast as they are answered, and some that misbehave."""

import asyncio
import random
import re
import socket
import struct
import time
from collections import Counter
from dataclasses import dataclass, field

from serving.workload import Question, difference

CONTENT_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
# What a client that does not know HTTP or JSON sends. Each is answered with an error, or by closing the connection.
GARBAGE = [
    b'POST /v1/rerank HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"query":',
    b"POST /v1/rerank HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 4\r\n\r\n\xff\xfe\x00\x00",
    b"POST /v1/rerank HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}",
    b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64) + b"\r\n\r\n",
    b"NOT HTTP AT ALL\r\n\r\n",
]
SLOW_SECONDS = 0.5
# A service that has not answered by then is taken to hang.
PATIENCE = 300.0
GARBAGE_PATIENCE = 30.0
BROKEN_OFF = (OSError, asyncio.IncompleteReadError)


@dataclass
class Behaviour:
    """Shares of requests whose client misbehaves."""

    vanish: float = 0.0
    garbage: float = 0.0
    slow: float = 0.0


@dataclass
class Outcome:
    """What became of the requests."""

    seconds: float = 0.0
    # Of the service.
    processor_seconds: float = 0.0
    pairs: int = 0
    latencies: list[float] = field(default_factory=list)
    statuses: Counter = field(default_factory=Counter)
    misbehaved: Counter = field(default_factory=Counter)
    # What the service did wrong to clients that misbehave.
    faults: Counter = field(default_factory=Counter)
    differences: list[str] = field(default_factory=list)
    compared: int = 0


class Connection:
    """A connection that is kept open, and opened again where it was closed."""

    def __init__(self, host: str, port: int):
        self.host, self.port = host, port
        self.reader = self.writer = None

    async def open(self) -> None:
        if self.writer is None or self.writer.is_closing():
            self.reader, self.writer = await asyncio.open_connection(self.host, self.port, limit=1 << 20)
            self.writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def reset(self) -> None:
        """Closes without a farewell, as a process that is killed does."""
        if self.writer is not None:
            linger = struct.pack("ii", 1, 0)
            self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.writer.transport.abort()
            self.writer = None

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        await self.open()
        self.writer.write(request)
        return await self.read(PATIENCE)

    async def read(self, patience: float) -> tuple[int, bytes]:
        return await asyncio.wait_for(self._read(), patience)

    async def _read(self) -> tuple[int, bytes]:
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = CONTENT_LENGTH.search(head)
        if length is None:
            raise ValueError(f"a response without a length: {head[:200]!r}")
        body = await self.reader.readexactly(int(length[1]))
        if b"\r\nconnection: close" in head.lower():
            self.writer.close()
            self.writer = None
        return int(head[9:12]), body


class Load:
    """Asks questions over several connections at a time."""

    def __init__(self, host: str, port: int, questions: list[Question], behaviour: Behaviour, check_every: int = 20):
        self.host, self.port, self.questions, self.behaviour = host, port, questions, behaviour
        self.check_every = check_every
        self.outcome = Outcome()
        self.draw = random.Random(1)
        self.left = iter(())

    async def run(self, connections: int, requests: int) -> Outcome:
        self.left = iter(range(requests))
        started = time.perf_counter()
        await asyncio.gather(*(self._client() for _ in range(connections)))
        self.outcome.seconds = time.perf_counter() - started
        return self.outcome

    async def _client(self) -> None:
        connection = Connection(self.host, self.port)
        for number in self.left:
            question = self.questions[number % len(self.questions)]
            chance = self.draw.random()
            behaviour = self.behaviour
            if chance < behaviour.vanish:
                await self._vanish(connection, question)
            elif chance < behaviour.vanish + behaviour.garbage:
                await self._garbage(connection)
            elif chance < behaviour.vanish + behaviour.garbage + behaviour.slow:
                await self._slow(connection, question)
            else:
                await self._proper(connection, question, number)
        connection.reset()

    async def _proper(self, connection: Connection, question: Question, number: int) -> None:
        # The time for which the queue was full is the client's, too.
        started = time.perf_counter()
        for _ in range(100):
            try:
                status, body = await connection.ask(question.request)
            except BROKEN_OFF as error:
                self.outcome.statuses[type(error).__name__] += 1
                connection.reset()
                return
            self.outcome.statuses[status] += 1
            if status != 429:
                break
            await asyncio.sleep(0.05)
        if status != 200:
            return
        self.outcome.latencies.append(time.perf_counter() - started)
        self.outcome.pairs += len(question.documents)
        if question.scores is not None and number % self.check_every == 0:
            self.outcome.compared += 1
            if wrong := difference(question, body):
                self.outcome.differences.append(wrong)

    async def _vanish(self, connection: Connection, question: Question) -> None:
        if not await self._open(connection):
            return
        self.outcome.misbehaved["vanished"] += 1
        sent = self.draw.choice([len(question.request), len(question.request) // 2, 20])
        connection.writer.write(question.request[:sent])
        await asyncio.sleep(self.draw.choice([0, 0.002, 0.02]))
        connection.reset()

    async def _open(self, connection: Connection) -> bool:
        try:
            await connection.open()
        except OSError as error:
            self.outcome.faults[f"no connection: {type(error).__name__}"] += 1
            return False
        return True

    async def _garbage(self, connection: Connection) -> None:
        if not await self._open(connection):
            return
        connection.writer.write(self.draw.choice(GARBAGE))
        try:
            status, _ = await connection.read(GARBAGE_PATIENCE)
            self._note(f"garbage answered {status}", is_fault=status >= 500)
        # It is an error of the system, too.
        except TimeoutError:
            self._note("garbage not answered", is_fault=True)
            connection.reset()
        except BROKEN_OFF:
            self._note("garbage hung up on", is_fault=False)
            connection.reset()

    def _note(self, what: str, is_fault: bool) -> None:
        (self.outcome.faults if is_fault else self.outcome.misbehaved)[what] += 1

    async def _slow(self, connection: Connection, question: Question) -> None:
        """Sends by pieces, and reads late."""
        if not await self._open(connection):
            return
        try:
            piece = max(1, len(question.request) // 4)
            for start in range(0, len(question.request), piece):
                connection.writer.write(question.request[start : start + piece])
                await asyncio.sleep(SLOW_SECONDS / 4)
            await asyncio.sleep(SLOW_SECONDS)
            status, body = await connection.read(PATIENCE)
        except TimeoutError:
            self._note("slow, not answered", is_fault=True)
            connection.reset()
            return
        except BROKEN_OFF:
            self._note("slow, hung up on", is_fault=False)
            connection.reset()
            return
        self._note(f"slow, answered {status}", is_fault=status >= 500)
        if status == 200:
            self.outcome.pairs += len(question.documents)
