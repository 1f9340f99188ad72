"""Opens the Wyoming ports and talks to whoever connects: a connection is a client of one service.

What is said is ``hearing.py``'s, ``speaking.py``'s and ``waking.py``'s. Here are the bounds: how many connections, how
long one may be silent, and that nothing goes on for a client that has left.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from wyoming.error import Error
from wyoming.event import Event
from wyoming.info import Describe, Info
from wyoming.ping import Ping, Pong

from heisenberg.core.config import Config
from heisenberg.core.errors import HeisenbergError, PortInUse
from heisenberg.runner.catalog.index import Catalog
from heisenberg.server.audio.engines import SpeechEngines
from heisenberg.server.sockets import open_ports
from heisenberg.server.wyoming import hearing, speaking, waking
from heisenberg.server.wyoming.protocol import LONGEST_LINE_BYTES, Answers, Malformed, read_event

log = logging.getLogger(__name__)

CONNECTIONS = 64
"""At the same time, for each service."""

SILENT_S = 600.0
"""A connection on which nothing is said for so long is closed."""

EVENTS_WAITING = 32
"""That were read while an earlier one is worked on."""


class Handler(Protocol):
    """One client of a service."""

    async def handle(self, event: Event) -> None:
        """React to *event*. Raises HeisenbergError."""

    async def close(self) -> None:
        """The client is gone."""


@dataclass(frozen=True, slots=True)
class Service:
    """What is offered on one port."""

    describe: Callable[[], Info]
    new_handler: Callable[[Answers], Handler]


@asynccontextmanager
async def wyoming_serving(
    config: Config, catalog: Catalog, engines: SpeechEngines, wake_words: waking.WakeWords
) -> AsyncIterator[list[str]]:
    """Serve while the block runs; yields where: speech to text, text to speech, wake words. Raises PortInUse."""
    services = (
        Service(lambda: hearing.described(config.stt), lambda answers: hearing.Hearing(engines, config.stt, answers)),
        Service(
            lambda: speaking.described(config, catalog), lambda answers: speaking.Speaking(engines, catalog, answers)
        ),
        Service(lambda: waking.described(wake_words), lambda answers: waking.Waking(wake_words, answers)),
    )
    async with AsyncExitStack() as stack:
        doors = [
            await stack.enter_async_context(_open(config, port, service))
            for port, service in zip(config.server.wyoming_ports, services, strict=True)
        ]
        yield doors


@asynccontextmanager
async def _open(config: Config, port: int, service: Service) -> AsyncIterator[str]:
    try:
        opened = open_ports(config.server.model_copy(update={"port": port, "ollama_port": 0}))
    except PortInUse as exc:
        raise PortInUse(f"{exc.message} It is one of server.wyoming_ports.") from exc
    door = _Door(service)
    server = await asyncio.start_server(door.enter, sock=opened.sockets[0], limit=LONGEST_LINE_BYTES)
    try:
        yield opened.urls[0].replace("http://", "tcp://")
    finally:
        server.close()
        await door.close()


class _Door:
    """The connections of one service."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._inside: set[asyncio.Task[None]] = set()

    async def enter(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Talk to one client until it leaves."""
        if len(self._inside) >= CONNECTIONS:
            log.warning("A Wyoming client was turned away: %d are connected.", CONNECTIONS)
            writer.transport.abort()
            return
        task = asyncio.current_task()
        assert task is not None
        self._inside.add(task)
        try:
            await _converse(self._service, reader, writer)
        except (OSError, asyncio.CancelledError):
            """The client left, or the server ends."""
        finally:
            self._inside.discard(task)
            writer.close()

    async def close(self) -> None:
        """Send everybody away."""
        for task in self._inside:
            task.cancel()
        if self._inside:
            await asyncio.wait(self._inside, timeout=5.0)


async def _converse(service: Service, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    events: asyncio.Queue[Event] = asyncio.Queue(EVENTS_WAITING)
    answers = Answers(writer)
    handler = service.new_handler(answers)
    reading = asyncio.create_task(_read(reader, events), name="wyoming reader")
    answering = asyncio.create_task(_answer(service, handler, events, answers), name="wyoming answers")
    try:
        done, _ = await asyncio.wait({reading, answering}, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in (reading, answering):
            task.cancel()
        await asyncio.gather(reading, answering, return_exceptions=True)
        await handler.close()


async def _read(reader: asyncio.StreamReader, events: asyncio.Queue[Event]) -> None:
    """Until the client leaves: whatever is being done for it then ends."""
    try:
        while True:
            async with asyncio.timeout(SILENT_S):
                event = await read_event(reader)
            if event is None:
                return
            await events.put(event)
    except Malformed as exc:
        log.warning("A Wyoming client sent what is no event: %s", exc)


async def _answer(service: Service, handler: Handler, events: asyncio.Queue[Event], answers: Answers) -> None:
    while True:
        event = await events.get()
        try:
            if Describe.is_type(event.type):
                await answers.send(service.describe())
            elif Ping.is_type(event.type):
                await answers.send(Pong(text=Ping.from_event(event).text))
            else:
                await handler.handle(event)
        except HeisenbergError as exc:
            await _fail(answers, exc.message, exc.code)
            return
        except (LookupError, TypeError, AttributeError, ValueError) as exc:
            await _fail(answers, f"The event {event.type[:40]} is not understood: {exc!r}", "usage")
            return


async def _fail(answers: Answers, message: str, code: str) -> None:
    log.warning("A Wyoming request failed: %s", message)
    with contextlib.suppress(OSError):
        await answers.send(Error(text=message, code=code))
