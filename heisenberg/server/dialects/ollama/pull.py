"""Ollama's pull: fetches a model and tells the client how far it is.

The fetching is ``runner/catalog/pull.py`` in a thread of its own. When the client goes away the pull ends, as
Ollama's does; what has come is kept, and the next pull goes on from there.
"""

import asyncio
import contextlib
import hashlib
import time
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

from heisenberg.core.errors import HeisenbergError
from heisenberg.runner.catalog.hub import PREFIX
from heisenberg.runner.catalog.progress import Abandoned
from heisenberg.runner.catalog.pull import expand, pull, resolve
from heisenberg.runner.catalog.store import Store
from heisenberg.server.asgi import (
    STREAM_HEADERS,
    Receive,
    Scope,
    Send,
    parse_object,
    read_body,
    send_json,
    while_connected,
)
from heisenberg.server.context import Context
from heisenberg.server.dialects.ollama.generation import LINES
from heisenberg.server.dialects.ollama.request import is_streamed, model_name
from heisenberg.server.dialects.ollama.stream import as_line
from heisenberg.server.folders import without_folders

EVERY_S = 0.1
"""Between two lines about the same file."""

MOST_UNSENT = 200
"""Lines; the oldest are dropped for a client that reads slowly."""

HUBS = ("hf.co/", "huggingface.co/")
"""How Ollama's users write what is ``hf:`` here."""

Line = dict[str, Any]


def pulled_name(name: str) -> str:
    """What *name* of a pull is called here."""
    for hub in HUBS:
        if name.lower().startswith(hub):
            return PREFIX + name[len(hub) :].removesuffix(":latest")
    return name.removesuffix(":latest")


class Telling:
    """A pull's progress as Ollama's lines. Called in the pull's thread.

    Args:
        tell: takes a line, from any thread.
        abandoned: set when the pull is to end.
    """

    def __init__(self, tell: Callable[[Line], None], abandoned: Event) -> None:
        self._tell, self._abandoned = tell, abandoned
        self._line: Line = {}
        self._told_s = 0.0

    def start(self, what: str, total_bytes: int) -> None:
        """A new bar. Raises Abandoned."""
        digest = f"sha256:{hashlib.sha256(what.encode()).hexdigest()}"  # clients tell bars apart by it
        self._line = {"status": f"pulling {what}", "digest": digest, "total": total_bytes, "completed": 0}
        self._say(self._line)

    def reach(self, done_bytes: int) -> None:
        """The bar grows. Raises Abandoned."""
        self._line = {**self._line, "completed": done_bytes, "total": max(done_bytes, self._line.get("total", 0))}
        if time.monotonic() - self._told_s >= EVERY_S:
            self._say(self._line)
        elif self._abandoned.is_set():
            raise Abandoned

    def done(self) -> None:
        """The bar is full. Raises Abandoned."""
        self._say({**self._line, "completed": self._line.get("total", 0)})

    def note(self, text: str) -> None:
        """Something that the user should know. Raises Abandoned."""
        self._say({"status": text})

    def _say(self, line: Line) -> None:
        if self._abandoned.is_set():
            raise Abandoned
        self._told_s = time.monotonic()
        self._tell(line)


async def answer(context: Context, scope: Scope, receive: Receive, send: Send) -> None:
    """POST /api/pull."""
    request = parse_object(await read_body(scope, receive, context.body_bytes))
    wanted = expand([pulled_name(model_name(request))])
    tell = _streamed if is_streamed(request) else _whole

    async def work() -> None:
        async with contextlib.aclosing(_pulling(context, wanted)) as lines:
            await tell(lines, send)

    await while_connected(receive, work())


async def _streamed(lines: AsyncGenerator[Line], send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [LINES, *STREAM_HEADERS]})
    async for line in lines:
        await send({"type": "http.response.body", "body": as_line(line), "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _whole(lines: AsyncGenerator[Line], send: Send) -> None:
    last = [line async for line in lines][-1]
    await send_json(send, last, 500 if "error" in last else 200)


async def _pulling(context: Context, wanted: list[str]) -> AsyncGenerator[Line]:
    """What to tell while *wanted* is fetched; the last line is success, or an error."""
    loop, abandoned = asyncio.get_running_loop(), Event()
    lines: asyncio.Queue[Line | None] = asyncio.Queue(MOST_UNSENT)

    def enqueue(line: Line | None) -> None:
        if lines.full():
            lines.get_nowait()
        lines.put_nowait(line)

    def tell(line: Line | None) -> None:
        loop.call_soon_threadsafe(enqueue, line)

    def work() -> None:
        try:
            _fetch(context, wanted, Telling(tell, abandoned))
        finally:
            tell(None)

    yield {"status": "pulling manifest"}
    thread = ThreadPoolExecutor(1, thread_name_prefix="pull")
    try:
        working = loop.run_in_executor(thread, work)
        working.add_done_callback(_heard)
        while (line := await lines.get()) is not None:
            yield line
        try:
            await working
        except HeisenbergError as exc:
            yield {"error": without_folders(exc.message)}
        else:
            yield {"status": "success"}
    finally:
        abandoned.set()
        thread.shutdown(wait=False)


def _heard(working: "asyncio.Future[None]") -> None:
    """Nobody may be left to hear how it ended."""
    if not working.cancelled():
        working.exception()


def _fetch(context: Context, wanted: list[str], progress: Telling) -> None:
    store, timeout_s = Store(context.config.models.folder), context.config.models.source_timeout_seconds
    for name in wanted:
        if any(name in (model.name, model.origin) for model in store.installed()):
            progress.note(f"{name} is already installed")
            continue
        pull(resolve(name, timeout_s), store, progress, timeout_s=timeout_s)
        progress.note("verifying sha256 digest")
    progress.note("writing manifest")
