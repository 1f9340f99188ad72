"""Opens the ports and answers on them until asked to end.

The composition of the server: fleet, HTTP client, application, uvicorn. Used by ``heisenberg serve``, and by
``heisenberg run --serve`` inside the assistant's event loop.
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import aiohttp
import uvicorn

from heisenberg.core.config import Config
from heisenberg.runner import llama_typos
from heisenberg.runner.fleet import Fleet
from heisenberg.server.app import Server
from heisenberg.server.asgi import App
from heisenberg.server.audio.engines import NoSpeech, SpeechEngines
from heisenberg.server.connection import Connection
from heisenberg.server.context import Context
from heisenberg.server.security import Policy
from heisenberg.server.sockets import BACKLOG, Listening, open_ports, raise_descriptor_limit

log = logging.getLogger(__name__)

CONNECT_S = 5.0

CONNECTIONS = 1000
"""Clients at the same time; one more is answered 503."""

KEEP_ALIVE_S = 30
"""How long a connection is kept for a client's next request."""

GRACE_S = 5
"""How long answers may go on after the server was asked to end."""

CUT_S = 2.0
"""How long the answers that are cut then may take to say so."""


class _Uvicorn(uvicorn.Server):
    """Uvicorn without its signal handlers: whoever runs us decides when to end. It tells when it is up."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.is_up = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.is_up.set()


@asynccontextmanager
async def serving(
    config: Config, fleet: Fleet, listening: Listening | None = None, speech: SpeechEngines | None = None
) -> AsyncIterator[list[str]]:
    """Serve while the block runs; yields the addresses, ours first.

    Args:
        config: the whole configuration.
        fleet: the models.
        listening: ports that are open already, in place of the configured ones; closed in the end.
        speech: speech to text and text to speech, if they are served, too.

    Raises: PortInUse; ConfigError if the models would be open to others.
    """
    async with contextlib.AsyncExitStack() as stack:
        if listening is not None:
            stack.callback(listening.close)
        policy = Policy(config.server)  # before anybody could knock
        for line in (*llama_typos.certain(config), *llama_typos.doubtful(config)):
            log.warning("%s", line)
        opened = listening or open_ports(config.server)
        stack.callback(opened.close)
        raise_descriptor_limit()
        http = await stack.enter_async_context(_client())
        context = Context(config, fleet, http, policy, opened.ollama_port, speech or NoSpeech())
        stack.callback(context.downloads.close)
        await stack.enter_async_context(_answering(Server(context), opened, context.ending))
        yield opened.urls


def _client() -> aiohttp.ClientSession:
    # llama-server closes a connection after each streamed answer without announcing it: the next request over it fails.
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S)
    return aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=False)


@asynccontextmanager
async def _answering(app: App, opened: Listening, ending: asyncio.Event) -> AsyncIterator[None]:
    server = _Uvicorn(_settings(app))
    urls = ", ".join(opened.urls)
    running = asyncio.create_task(server.serve(sockets=list(opened.sockets)), name="server")
    running.add_done_callback(lambda task: None if server.should_exit else log.critical("Nobody answers on %s.", urls))
    up = asyncio.create_task(server.is_up.wait(), name="server's start")
    try:
        await asyncio.wait({running, up}, return_when=asyncio.FIRST_COMPLETED)
        yield
    finally:
        up.cancel()
        ending.set()
        server.should_exit = True
        await _finish_answers(server, running)
        await asyncio.gather(running, up, return_exceptions=True)


async def _finish_answers(server: _Uvicorn, running: "asyncio.Task[None]") -> None:
    """Let the answers under way end, for so long; cut the others. Uvicorn would, but with an error in the log."""
    if under_way := len(server.server_state.tasks):
        log.warning("Ending; answers under way (%d) may go on for %g s.", under_way, GRACE_S)
    await asyncio.wait({running}, timeout=GRACE_S)
    cut = set(server.server_state.tasks)
    for task in cut:
        task.cancel()
    if cut:
        await asyncio.wait(cut, timeout=CUT_S)
    server.force_exit = True  # whoever reads nothing is not waited for


def _settings(app: App) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="error",  # every malformed request is a warning to it
        access_log=False,
        server_header=False,
        proxy_headers=False,  # anybody could say where they come from
        backlog=BACKLOG,
        limit_concurrency=CONNECTIONS,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=None,  # :func:`_finish_answers`
    )
