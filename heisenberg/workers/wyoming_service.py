"""What the speech workers share: a Wyoming service that answers once its model is loaded.

A model is a blocking thing, so one thread owns it. A handler asks for work on that thread and writes
events as results come; when its client goes away the work is abandoned at the next result. A model that never comes
to its next result ends the process: the parent starts another one.
"""

import argparse
import asyncio
import faulthandler
import functools
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from wyoming.error import Error
from wyoming.event import Event
from wyoming.info import Describe, Info
from wyoming.server import AsyncEventHandler, AsyncServer

from heisenberg.workers.lifeline import end_with_parent

log = logging.getLogger(__name__)

Result = TypeVar("Result")

LONGEST_STEP_S = 300.0
"""Longest wait for a model's next result. Clients lose patience long before; this is for a model that is stuck."""

STANDARD_ERROR = 2


class ModelThread:
    """The one thread that touches a model."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="model")

    async def run(self, work: Callable[[], Result]) -> Result:
        """Do *work* on the thread; longer than 300 s, and the process ends with status 1 and a traceback."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, _watched, work)

    async def stream(self, work: Callable[[], Iterator[Result]]) -> AsyncIterator[Result]:
        """Iterate over ``work()`` on the thread; its results are never None."""
        results = await self.run(lambda: iter(work()))
        while (result := await self.run(lambda: next(results, None))) is not None:
            yield result


def _watched(work: Callable[[], Result]) -> Result:
    # The watch is a thread below the interpreter, so it also ends a model that never gives the interpreter back.
    faulthandler.dump_traceback_later(LONGEST_STEP_S, exit=True, file=STANDARD_ERROR)
    try:
        return work()
    finally:
        faulthandler.cancel_dump_traceback_later()


class ServiceHandler(AsyncEventHandler):
    """Answers ``describe`` and turns a failure into an ``error`` event; subclasses add their service."""

    info: Info

    async def handle_event(self, event: Event) -> bool:
        try:
            if Describe.is_type(event.type):
                await self.write_event(self.info.event())
                return True
            return await self.serve(event)
        except (ConnectionError, asyncio.CancelledError):
            raise
        except Exception as exc:
            log.exception("request failed")
            await self.write_event(Error(text=f"{type(exc).__name__}: {exc}", code="failed").event())
            return False

    async def serve(self, event: Event) -> bool:
        """Handle one event of the service; False ends the connection."""
        raise TypeError(f"{type(self).__name__} has no service")


def arguments(description: str) -> argparse.ArgumentParser:
    """The options that every speech worker has."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--model", required=True, help="folder or file of the model")
    parser.add_argument("--name", default="", help="name to announce")
    parser.add_argument("--uri", required=True, help="unix:///path or tcp://host:port to serve on")
    return parser


def prepare() -> None:
    """Call first: ends with the parent, logs plainly to the parent."""
    end_with_parent()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")


def serve(uri: str, handler: Callable[..., ServiceHandler]) -> None:
    """Answer on *uri* until asked to end."""
    asyncio.run(AsyncServer.from_uri(uri).run(functools.partial(handler)))
