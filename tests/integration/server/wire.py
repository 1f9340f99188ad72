"""HTTP by hand, for requests that no client would make."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

PATIENCE_S = 10.0
"""No answer takes longer; the server's own bounds are tested in virtual time."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Wire:
    """A connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def say(self, raw: bytes) -> None:
        """Send bytes as they are."""
        self.writer.write(raw)
        await self.writer.drain()

    async def hear(self, *, has_body: bool = True) -> Reply | None:
        """The next answer; None if the server has closed the connection. That to HEAD has no body."""
        async with asyncio.timeout(PATIENCE_S):
            try:
                head = await self.reader.readuntil(b"\r\n\r\n")
            except (asyncio.IncompleteReadError, ConnectionError):
                return None
            if head.startswith(b"HTTP/1.1 100 "):
                return await self.hear(has_body=has_body)
            first, *lines = head.decode("latin-1").rstrip().split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            body = await self.reader.readexactly(int(headers.get("content-length", 0)) if has_body else 0)
            return Reply(int(first.split()[1]), headers, body)

    async def is_closed(self) -> bool:
        """Whether the server closes it, at once or soon."""
        async with asyncio.timeout(PATIENCE_S):
            try:
                return not await self.reader.read(1)
            except ConnectionError:
                return True


@asynccontextmanager
async def wired(url: str) -> AsyncIterator[Wire]:
    """A connection to the server at *url*."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        yield Wire(reader, writer)
    finally:
        writer.transport.abort()


async def ask(url: str, raw: bytes) -> Reply | None:
    """The answer to one request on a connection of its own."""
    async with wired(url) as wire:
        await wire.say(raw)
        return await wire.hear(has_body=not raw.startswith(b"HEAD "))


def head(method: str, path: str, *lines: str, host: str = "localhost", body: bytes = b"") -> bytes:
    """A request, with its length if it has a body."""
    length = [f"Content-Length: {len(body)}"] if body else []
    return "\r\n".join([f"{method} {path} HTTP/1.1", f"Host: {host}", *length, *lines, "", ""]).encode("latin-1") + body
