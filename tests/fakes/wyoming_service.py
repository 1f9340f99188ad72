"""A Wyoming service whose answers are a script, and which can be as rude as a real one on a bad day."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from wyoming.audio import AudioStop
from wyoming.event import Event, async_read_event, async_write_event
from wyoming.tts import Synthesize

from tests.fakes.stages import FakeService

Answer = Event | bytes | asyncio.Event
"""An event, raw bytes, or an event of asyncio to wait for."""


class WyomingService(FakeService):
    """Plays one script for each request, then closes the connection; remembers what it was asked."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"unix://{path}")
        self.scripts: list[Sequence[Answer]] = []
        self.requests: list[list[Event]] = []
        self.is_deaf = False
        """Accept, and never read."""
        self.released = asyncio.Event()
        self.connections = 0

    def enqueue(self, *script: Answer) -> None:
        self.scripts.append(script)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            if self.is_deaf:
                await self.released.wait()
                return
            await self._answer(reader, writer)
        except (ConnectionError, EOFError):
            """The client left."""
        finally:
            self.connections -= 1
            writer.transport.abort()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request: list[Event] = []
        self.requests.append(request)
        while (event := await async_read_event(reader)) is not None:
            request.append(event)
            if AudioStop.is_type(event.type) or Synthesize.is_type(event.type):
                break
        for answer in self.scripts.pop(0):
            if isinstance(answer, asyncio.Event):
                await answer.wait()
            elif isinstance(answer, bytes):
                writer.write(answer)
                await writer.drain()
            else:
                await async_write_event(answer, writer)


@asynccontextmanager
async def wyoming_service() -> AsyncIterator[WyomingService]:
    """A service for the length of the block, in which no connection may be left."""
    with tempfile.TemporaryDirectory(prefix="h-") as folder:
        service = WyomingService(Path(folder) / "s")
        server = await asyncio.start_unix_server(service.serve, Path(folder) / "s")
        try:
            yield service
        finally:
            service.released.set()
            server.close()
            async with asyncio.timeout(5):
                while service.connections:  # noqa: ASYNC110 - the last bytes of a connection have no event of ours
                    await asyncio.sleep(0.01)
                await server.wait_closed()
    assert 0 == service.leases, "a lease was not given back"
