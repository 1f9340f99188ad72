"""A client that costs little: it takes the time of every frame of a stream, and parses nothing.

Talks to a model's server directly or through a proxy, for ``bench/proxy.py``. Frames carry the moment they were sent
in their text (see ``proxy_upstream.py``).
"""

import asyncio
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from heisenberg.core.errors import UpstreamError

PATIENCE_S = 60.0
_SENT = re.compile(rb"\b(\d{20})\b")
_END = b"\r\n0\r\n\r\n"


@dataclass(slots=True)
class Heard:
    """One answer."""

    first_byte_s: float = 0.0
    """From the request to the first frame, or to the body."""
    seconds: float = 0.0
    """From the request to the last byte."""
    delays_s: list[float] = field(default_factory=list)
    """How long each frame was under way, in order."""
    is_ordered: bool = True


class Connection(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._done: asyncio.Future[None] | None = None
        self._head = bytearray()
        self._rest = self._tail = b""
        self._length = -1
        self._latest_sent = 0
        self._heard = Heard()
        self._began_ns = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """asyncio's."""
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio's."""
        if self._done is not None and not self._done.done():
            self._done.set_exception(UpstreamError("The server under test closed a connection."))

    async def ask(self, host: str, path: str, body: Mapping[str, Any]) -> Heard:
        """Send *body* and hear the whole answer. Raises UpstreamError if it is a refusal."""
        raw = json.dumps(body).encode()
        head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
        head += f"Authorization: Bearer none\r\nContent-Length: {len(raw)}\r\n\r\n"
        self._head.clear()
        self._rest = self._tail = b""
        self._length, self._latest_sent, self._heard = -1, 0, Heard()
        self._done = asyncio.get_running_loop().create_future()
        assert self._transport is not None
        self._began_ns = time.monotonic_ns()
        self._transport.write(head.encode() + raw)
        async with asyncio.timeout(PATIENCE_S):
            await self._done
        self._heard.seconds = (time.monotonic_ns() - self._began_ns) / 1e9
        return self._heard

    def close(self) -> None:
        """At once."""
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """asyncio's."""
        now_ns = time.monotonic_ns()
        if self._length == -1:
            self._head += data
            head, found, data = bytes(self._head).partition(b"\r\n\r\n")
            if not found:
                return
            self._begin(head)
        if self._length >= 0:
            self._length -= len(data)
            is_over = self._length <= 0
        else:
            is_over = self._frames(data, now_ns)
        if self._heard.first_byte_s == 0.0 and data:
            self._heard.first_byte_s = (now_ns - self._began_ns) / 1e9
        if is_over and self._done is not None and not self._done.done():
            self._done.set_result(None)

    def _begin(self, head: bytes) -> None:
        if not head.startswith(b"HTTP/1.1 200") and self._done is not None and not self._done.done():
            self._done.set_exception(UpstreamError(f"The server under test said {head[:80].decode(errors='replace')}."))
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        self._length = int(length[1]) if length else -2

    def _frames(self, data: bytes, now_ns: int) -> bool:
        """Note the frames in *data*; whether they were the last."""
        received = self._rest + data
        block = received[: received.rfind(b"\n") + 1]
        self._rest = received[len(block) :]
        for found in _SENT.findall(block):
            sent_ns = int(found)
            self._heard.delays_s.append((now_ns - sent_ns) / 1e9)
            self._heard.is_ordered = self._heard.is_ordered and sent_ns > self._latest_sent
            self._latest_sent = sent_ns
        self._tail = (self._tail + data)[-len(_END) :]
        return self._tail == _END


async def connected(url: str) -> tuple[Connection, str]:
    """A connection to *url*, and the Host to name. Raises OSError."""
    parts = urlsplit(url)
    _, protocol = await asyncio.get_running_loop().create_connection(
        Connection, parts.hostname or "127.0.0.1", parts.port or 80
    )
    return protocol, parts.netloc
