"""Bytes to a service and back, without a library that would mend or refuse them."""

import re
import select
import socket
import time

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
FIRST_LINE = re.compile(rb"HTTP/1\.[01] (\d{3})[ \r]")


def exchange(host: str, port: int, request: bytes, patience: float) -> list[tuple[int, bytes]]:
    """Sends bytes and gives the responses that come: the first within `patience`, others right behind it."""
    with socket.create_connection((host, port), timeout=patience) as connection:
        received = send_and_read(connection, request, patience)
    is_head = request.startswith(b"HEAD ")
    return [] if request.startswith(b"PRI ") else read_responses(received, is_head)


def send_and_read(connection: socket.socket, request: bytes, patience: float) -> bytes:
    # A service may answer before it has read all, and then close.
    connection.setblocking(False)
    received, until = b"", time.monotonic() + patience
    while time.monotonic() < until:
        writable = [connection] if request else []
        readable, writable, _ = select.select([connection], writable, [], max(0.0, until - time.monotonic()))
        if writable:
            try:
                request = request[connection.send(request[:65536]) :]
            except (BrokenPipeError, ConnectionResetError):
                request = b""
        if readable:
            try:
                part = connection.recv(65536)
            except ConnectionResetError:
                break
            if not part:
                break
            received += part
            if is_complete(received):
                until = min(until, time.monotonic() + 0.05)
    return received


def is_complete(received: bytes) -> bool:
    head, end, rest = received.partition(b"\r\n\r\n")
    found = LENGTH.search(head + b"\r\n")
    return bool(end) and (found is None or len(rest) >= int(found[1]))


def read_responses(received: bytes, is_head: bool) -> list[tuple[int, bytes]]:
    """The responses in what has come. Raises ValueError where it is not HTTP."""
    responses = []
    while received:
        first = FIRST_LINE.match(received)
        if first is None:
            raise ValueError(f"a response that is no HTTP: {received[:100]!r}")
        head, _, rest = received.partition(b"\r\n\r\n")
        status, found = int(first[1]), LENGTH.search(head + b"\r\n")
        if status < 200:
            received = rest
            continue
        length = 0 if is_head else int(found[1]) if found else len(rest)
        responses.append((status, rest[:length]))
        received = rest[length:]
    return responses
