"""Requests that nobody should send: from a seed, so that what fails can be sent again."""

import json
import random
from collections.abc import Callable, Iterator, Sequence

METHODS = (
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "PATCH",
    "DELETE",
    "OPTIONS",
    "TRACE",
    "PROPFIND",
    "get",
    "BREW",
    "CONNECT",
    "",
)
VERSIONS = ("HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/0.9", "HTTP/2.0", "HTTP/1.1 ", "http/1.1", "")
HOSTS = ("localhost", "localhost", "127.0.0.1:1", "evil.example", "", ":80", "[::1", "a" * 3000, "\xff\xfe", "x\ty")
NAMES = (
    "tiny",
    "tiny:latest",
    "huge",
    "",
    " ",
    "../../etc/passwd",
    "a/b/c",
    "x" * 5000,
    "\x00",
    "\ud800",
    "%s%n",
    "💥",
)
VALUES = (
    None, True, False, 0, -1, 1.5, 10**30, float("nan"), float("inf"), "", "x", "x" * 10_000, "\x00", "\ud800", [], {},
    [None], [[]], [{}], {"a": None}, {"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}, [1, "two"],
    {"role": "user", "content": "hello"}, [{"role": "user", "content": [{"type": "text"}]}], [{"role": 1}],
)  # fmt: skip
FIELDS = (
    "model", "name", "messages", "prompt", "input", "stream", "options", "keep_alive", "format", "tools", "images",
    "think", "stop", "temperature", "max_tokens", "n", "response_format", "source", "destination", "ttl", "suffix",
    "system", "template", "instance_id", "context_length", "dimensions", "encoding_format", "verbose", "id", "n_keep",
)  # fmt: skip
TYPES = (
    "application/json",
    "text/plain",
    "multipart/form-data",
    "multipart/form-data; boundary=x",
    "",
    "\xff",
    "a/b;c",
)
JUNK = (
    b"{", b"[]", b"null", b'"x"', b"1", b"{'a': 1}", b'{"model":', b"\xff\xfe\x00", b"[" * 3000, b'{"a":' * 3000,
    b'{"model": "tiny", "model": 1}', b"--x\r\n\r\n--x--", b"\xef\xbb\xbf{}", b'{"a": 1e999999}', b" ", b"\x00",
    b"9" * 5000,
)  # fmt: skip


def malformed(seed: int, count: int, paths: Sequence[str]) -> Iterator[bytes]:
    """*count* requests; *paths* are those that the server knows."""
    chance = random.Random(seed)
    kinds: Sequence[Callable[[random.Random, Sequence[str]], bytes]] = (_odd, _odd, _wrong_json, _wrong_json, _broken)
    for _ in range(count):
        yield chance.choice(kinds)(chance, paths)


def _odd(chance: random.Random, paths: Sequence[str]) -> bytes:
    """Well framed; everything else may be wrong."""
    body = chance.choice((b"", b"", *JUNK))
    lines = [
        f"{chance.choice(METHODS)} {_path(chance, paths)} {chance.choice(VERSIONS)}",
        f"Host: {chance.choice(HOSTS)}",
        f"Content-Type: {chance.choice(TYPES)}",
        *chance.sample(_headers(chance), chance.randrange(4)),
        *([f"Content-Length: {len(body)}"] if body else []),
    ]
    return _head(lines) + body


def _wrong_json(chance: random.Random, paths: Sequence[str]) -> bytes:
    """What a dialect has to look into: an object with some fields right, others not."""
    asked: dict[str, object] = {"model": chance.choice(("tiny", *NAMES))}
    asked |= {field: chance.choice(VALUES) for field in chance.sample(FIELDS, chance.randrange(6))}
    body = json.dumps(asked).encode()
    method = chance.choice(("POST", "POST", "POST", "DELETE"))
    return (
        _head([f"{method} {chance.choice(paths)} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}"]) + body
    )


def _broken(chance: random.Random, paths: Sequence[str]) -> bytes:
    """Not even framed."""
    path = chance.choice(paths)
    return chance.choice(
        (
            chance.randbytes(chance.randrange(1, 400)),
            b"\r\n" * chance.randrange(1, 50),
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + chance.randbytes(50),  # TLS
            _head([f"POST {path} HTTP/1.1", "Host: localhost", "Content-Length: 50"]) + b"{}",
            _head([f"POST {path} HTTP/1.1", "Host: localhost", "Content-Length: -1"]),
            _head([f"POST {path} HTTP/1.1", "Host: localhost", "Content-Length: 2", "Content-Length: 3"]) + b"{}",
            _head([f"POST {path} HTTP/1.1", "Host: localhost", "Transfer-Encoding: chunked"])
            + b"zz\r\n{}\r\n0\r\n\r\n",
            _head([f"POST {path} HTTP/1.1", "Host: localhost", "Transfer-Encoding: chunked"]) + b"2\r\n{}\r\n",
            _head([f"POST {path} HTTP/1.1", "Host: localhost", "Transfer-Encoding: gzip", "Content-Length: 2"]) + b"{}",
            _head([f"GET {path} HTTP/1.1", "Host: localhost", "Upgrade: websocket", "Connection: Upgrade"]),
            f"GET {path}".encode(),
            _head([f"GET {path} HTTP/1.1", "Host localhost"]),
            _head([f"GET {path} HTTP/1.1", "Host: localhost"]) * 5,
        )
    )


def _path(chance: random.Random, paths: Sequence[str]) -> str:
    known = chance.choice(paths)
    return chance.choice(
        (
            known, known, known + "/", known + "/" + "x" * 3000, known + "?" + "a=b&" * 500, known.upper(),
            known + "%00", known + "%ff%fe", known + "/../..", "/%2e%2e/%2e%2e/etc/passwd", "/", "", "*",
            "/" + "x" * 9000, "//" + known,
            "http://evil.example" + known, "localhost:80", known + "#x", known + "\x01", known + "\u00e9",
        )
    )  # fmt: skip


def _headers(chance: random.Random) -> list[str]:
    return [
        "Origin: null", "Origin: https://evil.example", "Origin: http://localhost:3000", "Origin: http://[",
        "Origin: \xff", "Authorization: Bearer",
        "Authorization: \x01", "X-Api-Key: " + "k" * 5000, "X-Request-Id: a\tb", "Cookie: a=b",
        "Expect: 100-continue", "Expect: nothing", "Connection: close", "Range: bytes=0-", "Accept: \xff",
        "Access-Control-Request-Method: \xff", f"X-{'n' * chance.randrange(1, 2000)}: 1", "No colon", ": no name",
        "Content-Encoding: gzip", "Transfer-Encoding: identity", "Content-Length: x", "X-Folded: a\r\n b",
    ]  # fmt: skip


def _head(lines: Sequence[str]) -> bytes:
    return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace")
