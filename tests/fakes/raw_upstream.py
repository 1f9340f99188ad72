"""A server that answers with given bytes and keeps the bytes that came: for what must not change on the way."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

HANG = b"\0hang"
"""Instead of a piece of the answer: wait until the client goes away."""


@dataclass
class RawUpstream:
    """What it answers and what it was asked."""

    answers: list[Sequence[bytes]] = field(default_factory=list)
    """The next answers, head and all, in pieces; the last one is given again. An empty one is a cut connection."""
    asked: list[tuple[bytes, bytes]] = field(default_factory=list)
    """Head and body of each request."""
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    """A client went away while the answer hung."""
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    """A request was read."""
    url: str = ""

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, one request."""
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            self.asked.append((head, await reader.readexactly(length)))
            self.begun.set()
            for piece in self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]:
                if piece == HANG:
                    await reader.read(1)
                    self.cancelled.set()
                    return
                writer.write(piece)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()


def plain(body: bytes, *, status: str = "200 OK", kind: str = "application/json") -> bytes:
    """A whole answer."""
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + body


def streamed(*pieces: bytes, is_complete: bool = True) -> list[bytes]:
    """An answer in server-sent events, each piece a chunk of its own; cut off unless it is complete."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunks = [piece if piece == HANG else b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces]
    return [head, *chunks, *([b"0\r\n\r\n"] if is_complete else [])]


@asynccontextmanager
async def raw_upstream(*answers: Sequence[bytes]) -> AsyncIterator[RawUpstream]:
    """Running while the block does."""
    upstream = RawUpstream(list(answers))
    async with await asyncio.start_server(upstream.answer, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()[:2]
        upstream.url = f"http://{host}:{port}"
        yield upstream
