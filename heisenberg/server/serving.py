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
import psutil
import uvicorn

from heisenberg.core.config import Config
from heisenberg.core.errors import PortInUse
from heisenberg.runner.fleet import Fleet
from heisenberg.server.app import Server
from heisenberg.server.context import Context

log = logging.getLogger(__name__)

CONNECT_S = 5.0
BACKLOG = 512


class _Uvicorn(uvicorn.Server):
    """Uvicorn without its signal handlers: whoever runs us decides when to end."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def serving(config: Config, fleet: Fleet) -> AsyncIterator[list[str]]:
    """Serve while the block runs; yields the addresses. Raises PortInUse."""
    sockets = open_sockets(config)
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=False) as http:
        app = Server(Context(config, fleet, http))
        settings = uvicorn.Config(app, lifespan="off", log_config=None, access_log=False, server_header=False)
        server = _Uvicorn(settings)
        running = asyncio.create_task(server.serve(sockets=sockets), name="server")
        try:
            yield [f"http://{bound.getsockname()[0]}:{bound.getsockname()[1]}" for bound in sockets]
        finally:
            server.should_exit = True
            await asyncio.gather(running, return_exceptions=True)


def open_sockets(config: Config) -> list[socket.socket]:
    """The listening sockets: ours, and Ollama's unless it is 0. Raises PortInUse, which names who has the port."""
    ports = [config.server.port, *filter(None, [config.server.ollama_port])]
    opened: list[socket.socket] = []
    for port in ports:
        try:
            opened.append(socket.create_server((config.server.host, port), backlog=BACKLOG))
        except OSError as exc:
            for bound in opened:
                bound.close()
            raise PortInUse(
                f"Port {port} on {config.server.host} cannot be opened: {exc.strerror or exc}{_owner(port)}. "
                "Stop that program, or choose another port (server.port, server.ollama_port)."
            ) from exc
    return opened


def _owner(port: int) -> str:
    with contextlib.suppress(psutil.Error, OSError):
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid:
                return f" (by {psutil.Process(connection.pid).name()}, process {connection.pid})"
    return ""
