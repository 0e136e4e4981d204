"""Requests made wrong: JSON that is changed in its values or its bytes, and HTTP that breaks its rules."""

import copy
import json
import random

from serving.valid import DOCUMENTS, QUERY, REQUESTS

STRANGE_VALUES = [
    None, True, False, 0, -1, 1, 2, 3.5, -0.0, 1e308, 2**31, 2**63, 2**64, -(2**63), 10**40, "", " ", "0", "true", "no", "END",
    "\u0000", "\u202e\u2066", "\ufffd", "é" * 1000, "a" * 100_000, "<|im_end|>", "{{7*7}}", "\n", "a" * 2_000_000, [], {}, [[]], [None], [""],
    ["a", 1], [{"text": None}], [{"text": ["a"]}], {"text": "a"}, {"a": {"a": {}}}, ["x"] * 2000,
    ["text"] * 100, [{"text": "a"}] * 9000, {f"f{number}": 0 for number in range(999)}, ["x"] * 9000,
]  # fmt: skip
NAMES = [
    "query", "documents", "texts", "model", "top_n", "top_k", "passages", "inputs", "text_1", "text_2", "queries", "items", "data_1",
    "instruction", "truncate", "truncation", "truncate_prompt_tokens", "truncation_side", "truncation_direction", "raw_scores",
    "use_activation", "return_documents", "return_text", "max_tokens_per_doc", "max_tokens_per_query", "normalize", "property",
    "score_threshold", "min_score", "rank_fields", "priority", "user", "chat_template_kwargs", "request_id", "cache_salt", "metadata",
    "relevant_spans", "overlap_tokens", "", "__proto__", "\u0000",
]  # fmt: skip
RAW_VALUES = [
    b"NaN", b"-Infinity", b"1e400", b"-", b"01", b'"\\ud800"', b'"\\udc00\\ud800"', b'"\\x"', b'"\xff"', b'"\x00"', b"[" * 20_000,
    b'{"a":' * 20_000, b"nul", b"1" * 10_000, b"[1,]", b"/* */ 1",
]  # fmt: skip
PATHS = [
    "/", "//", "/rerank/", "/rerank//", "/v1/../rerank", "/%2e%2e/etc/passwd", "/rerank?x=1", "/rerank#x", "/RERANK", "/v1/embeddings",
    "/v1/chat/completions", "/metrics", "/health", "/info", "/%00", "/%", "/%zz", "/\xff", "/" + "a" * 70_000, "*", "rerank",
    "http://elsewhere/rerank", "http://[::1/rerank", "/tei", "/tei/", "/tei/tei/rerank", "/elastic/score", "/.well-known/ready", "/v1/models",
]  # fmt: skip
METHODS = [
    "GET",
    "HEAD",
    "PUT",
    "DELETE",
    "OPTIONS",
    "TRACE",
    "CONNECT",
    "PATCH",
    "post",
    "P OST",
    "PRI",
    "X" * 5000,
    "",
    "GET\t",
]
VERSIONS = ["HTTP/1.1", "HTTP/1.0", "HTTP/0.9", "HTTP/2.0", "HTTP/9.9", "http/1.1", "HTTP/1.1 x", "", "HTTP/1.1\r"]
HEADERS = [
    "Content-Length: -1", "Content-Length: +5", "Content-Length: 5, 6", "Content-Length: 0x5", "Content-Length: 99999999999999999999",
    "Content-Length:", "Content-Length: 5\r\nContent-Length: 6", "Transfer-Encoding: chunked", "Transfer-Encoding: chunked, identity",
    "Transfer-Encoding: identity, chunked", "Transfer-Encoding: xchunked", "Transfer-Encoding : chunked", "Transfer-Encoding:\x0bchunked",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "transfer-encoding: CHUNKED", "X: a\r\n b", " X: a", "X : a", "X", ":",
    ": a", "X\x00: a", "X: \x00", "X: \xff\xfe", "X: a\rY: b", "X: a\nY: b", "Host: a\r\nHost: b", "Host:", "Host: a b/c",
    "Expect: 100-continue", "Expect: 200-ok", "Connection: close", "Connection: upgrade\r\nUpgrade: h2c", "Upgrade: websocket",
    "Content-Encoding: gzip", "Content-Type: text/plain", "Content-Type: application/json; charset=utf-16", "Content-Type: \xff",
    "Content-Type: application/x-www-form-urlencoded", "Accept: */*;q=x", "Accept-Encoding: gzip;q=-1", "Authorization: Bearer ",
    "Authorization: Basic \xff", "Authorization: Bearer a, Bearer b", "Origin: null", "Origin: http://a\x00", "X-Request-Id: " + "r" * 5000,
    "X-Request-Id: \x1b[31m", "Traceparent: 00-zz-zz-01", "Cookie: " + "c" * 60_000, "X: " + "a" * 500_000, "Range: bytes=0-1",
    "Trailer: Content-Length", "TE: trailers", "Keep-Alive: timeout=-1", "Forwarded: for=\"_x", "X-Forwarded-For: " + "1.1.1.1, " * 2000,
]  # fmt: skip
FRAMES = [b"", b"0\r\n\r\n", b"5\r\nhello\r\n0\r\n\r\n", b"5;x=y\r\nhello\r\n0\r\n\r\n", b"-5\r\nhello\r\n0\r\n\r\n", b"fffffffffffffffff\r\n",
          b"5\nhello\n0\n\n", b"5\r\nhelloX\r\n0\r\n\r\n", b"0\r\nContent-Length: 3\r\n\r\n", b"0x5\r\nhello\r\n0\r\n\r\n"]  # fmt: skip


def change_values(draw: random.Random, value):
    """One change of a JSON value, anywhere in it."""
    places = []

    def walk(node):
        if isinstance(node, dict):
            places.extend((node, key) for key in node)
            for child in node.values():
                walk(child)
        elif isinstance(node, list):
            places.extend((node, index) for index in range(len(node)))
            for child in node:
                walk(child)

    value = copy.deepcopy(value)
    walk(value)
    kind = draw.randrange(5)
    if not places or kind == 0:
        if isinstance(value, dict):
            value[draw.choice(NAMES)] = draw.choice([*STRANGE_VALUES, QUERY, DOCUMENTS])
            return value
        return draw.choice(STRANGE_VALUES)
    node, key = draw.choice(places)
    if kind == 1:
        del node[key]
    elif kind == 2 and isinstance(node, dict):
        node[draw.choice(NAMES)] = node.pop(key)
    elif kind == 3 and isinstance(node, list):
        node.extend(copy.deepcopy(node[key : key + 1] * draw.choice([1, 50, 3000])))
    else:
        node[key] = copy.deepcopy(draw.choice(STRANGE_VALUES))
    return value


def repeated(draw: random.Random):
    """A body in which something large meets something that stands often: what is made of them must not be their product."""
    large, often = "a" * draw.choice([1000, 2_000_000]), draw.choice([100, 1000])
    body = {"query": QUERY, "documents": [{"text": "a"}] * often}
    body[draw.choice(["request_id", "property", "instruction", "model", "user"])] = large
    if draw.random() < 0.5:
        text = "a" * min(len(large), 2_000_000 // often)
        body |= {"documents": [{"text": text}] * often, "rank_fields": ["text"] * draw.choice([1, 2, 100])}
    return body


def change_bytes(draw: random.Random, body: bytes) -> bytes:
    """One change of a body's bytes."""
    at, kind = draw.randrange(len(body) + 1), draw.randrange(6)
    if kind == 0:
        return body[:at]
    if kind == 1:
        return body[:at] + bytes([draw.randrange(256)]) + body[at + 1 :]
    if kind == 2:
        return body[:at] + draw.randbytes(draw.choice([1, 4, 64])) + body[at:]
    if kind == 3:
        return body[: body.find(b":") + 1] + draw.choice(RAW_VALUES) + body[-1:]
    if kind == 4:
        return draw.choice([b"\xef\xbb\xbf", b"\xff\xfe", b" \n\t"]) + body
    return body + draw.choice([b",", b"{}", b"\x00", body])


def json_request(draw: random.Random) -> bytes:
    """Right HTTP around a body that is wrong, or right in a strange way."""
    path, value = draw.choice(REQUESTS)
    if draw.random() < 0.1:
        path = draw.choice(REQUESTS)[0]
    for _ in range(draw.choice([1, 1, 1, 2, 5])):
        value = change_values(draw, value)
    if draw.random() < 0.01:
        value = repeated(draw)
    body = json.dumps(value).encode()
    if draw.random() < 0.3:
        body = change_bytes(draw, body)
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def http_request(draw: random.Random) -> bytes:
    """HTTP that breaks rules: of its first line, its headers, or of what frames the body."""
    path, value = draw.choice(REQUESTS)
    body = json.dumps(value).encode()
    method, version = "POST", "HTTP/1.1"
    kind = draw.randrange(4)
    if kind == 0:
        path = draw.choice(PATHS)
        method = draw.choice([*METHODS, "GET", "POST"])
    elif kind == 1:
        method, version = draw.choice(METHODS), draw.choice(VERSIONS)
    headers = ["Host: localhost", "Content-Type: application/json"]
    if draw.random() < 0.8:
        headers.append(f"Content-Length: {len(body)}")
    for _ in range(draw.choice([0, 1, 1, 2, 3]) + (kind == 2)):
        headers.insert(draw.randrange(len(headers) + 1), draw.choice(HEADERS))
    if draw.random() < 0.03:
        headers += [f"X-{number}: a" for number in range(5000)]
    if kind == 3:
        body = draw.choice(FRAMES) + (body if draw.random() < 0.5 else b"")
    message = "\r\n".join([f"{method} {path} {version}", *headers]).encode("latin-1") + b"\r\n\r\n" + body
    return change_bytes(draw, message) if draw.random() < 0.2 else message


def noise(draw: random.Random) -> bytes:
    """What is no HTTP/1 at all: random bytes, TLS, HTTP/2 with random frames, empty lines."""
    return draw.choice(
        [
            draw.randbytes(draw.randrange(1, 2000)),
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + draw.randbytes(64),
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + draw.randbytes(draw.randrange(200)),
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
            + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
            + bytes([0, 255, 255, 1, 5, 0, 0, 0, 1]) * 20,
            b"\r\n" * 5000,
            b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 200,
        ]
    )
