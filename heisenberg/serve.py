"""The composition root of the server alone: configuration in, models on the ports out.

Kept apart from ``main.py``, which needs sound; ``heisenberg run --serve`` puts both together there.
"""

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator

from heisenberg.core.config import Config
from heisenberg.core.service_manager import ServiceManager
from heisenberg.models import Runner
from heisenberg.server.announcement import announcement
from heisenberg.server.serving import serving

ALIVE_S = 1.0
"""How often the service manager may be told that the event loop still turns."""


async def run_server(config: Config, on_ready: Callable[[list[str]], None]) -> None:
    """Serve until asked to end (SIGTERM) or cancelled (Ctrl-C); *on_ready* is given lines to print.

    Raises: PortInUse; ConfigError if the models would be open to others.
    """
    service = ServiceManager()
    asked_to_end = asyncio.Event()
    with _on_terminate(asked_to_end):
        async with (
            Runner(config, serves=True, assists=False) as runner,
            serving(config, runner.fleet, speech=runner) as addresses,
            _wyoming(config, runner) as wyoming_addresses,
        ):
            models = [model.name for model in runner.fleet.catalog.all()]
            on_ready(announcement(config.server, addresses, models, wyoming_addresses))
            service.ready()
            service.status(f"serving on {' and '.join(addresses)}")
            try:
                await _until(asked_to_end, service)
            finally:
                service.stopping()


@contextlib.asynccontextmanager
async def _wyoming(config: Config, runner: Runner) -> AsyncIterator[list[str]]:
    """The Wyoming services, if they are wanted; yields their addresses."""
    if not config.server.wyoming:
        yield []
        return
    from heisenberg.server.wyoming.listening import wyoming_serving
    from heisenberg.wakeword.offered import OfferedPhrases

    async with wyoming_serving(config, runner.fleet.catalog, runner, OfferedPhrases(config.wakeword)) as addresses:
        yield addresses


def new_event_loop() -> asyncio.AbstractEventLoop:
    """uvloop's, which costs half as much for each piece of a stream; where there is none, the standard library's."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


@contextlib.contextmanager
def _on_terminate(asked_to_end: asyncio.Event) -> Iterator[None]:
    if sys.platform == "win32":  # it has Ctrl-C only
        yield
        return
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, asked_to_end.set)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGTERM)


async def _until(asked_to_end: asyncio.Event, service: ServiceManager) -> None:
    """Wait, and show that we can."""
    while not asked_to_end.is_set():
        service.alive()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ALIVE_S):
                await asked_to_end.wait()
