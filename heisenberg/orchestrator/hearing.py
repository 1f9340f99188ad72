"""Keeps the assistant hearing: owns the audio thread and starts another one when it dies or stands still.

Reports of a thread that was given up are ignored. It heals once in ten minutes; a second fault within that time is for
whoever runs the program.
"""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable

from heisenberg.orchestrator.ending import end
from heisenberg.orchestrator.listener import Listener
from heisenberg.orchestrator.reports import ListenerDied, Report

log = logging.getLogger(__name__)

NewListener = Callable[[Callable[[Report], None]], Listener]
"""Makes a listener, given the callback for its reports. May block for seconds; raises HeisenbergError."""

HEAL_EVERY_S = 600.0
"""A fault that comes again sooner was not healed."""

LEAVE_BOUND_S = 0.5
"""So long is waited for the old thread's device to be closed."""


class Hearing:
    """The audio thread, whichever it is at the moment.

    Args:
        post: is given the reports, on the event loop.
    """

    def __init__(self, post: Callable[[Report], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._post = post
        self._new_listener: NewListener | None = None
        self.listener: Listener | None = None
        self._generation = 0
        self._healed_at: float | None = None
        self._healing: asyncio.Task[None] | None = None
        self._is_closed = False

    def hear_from(self, new_listener: NewListener) -> None:
        """Listen through what *new_listener* makes."""
        self._new_listener = new_listener
        self.listener = self._make(new_listener)

    def start(self) -> None:
        """Begin to listen."""
        if self.listener is not None:
            self.listener.start()

    @property
    def progress(self) -> int | None:
        """Grows while the audio thread works; None while it may rightly stand still."""
        return None if self.listener is None or self._is_healing else self.listener.progress

    @property
    def can_heal(self) -> bool:
        """Whether another audio thread may take over: the source is a device, and the last fault is long ago."""
        if self.listener is None or self._new_listener is None or self._is_healing or not self.listener.is_live:
            return False
        return self._healed_at is None or self._loop.time() - self._healed_at > HEAL_EVERY_S

    def heal(self, then: Callable[[], None]) -> None:
        """Give up the audio thread and start another; calls *then* when it listens. Posts ListenerDied if it cannot."""
        assert self._new_listener is not None
        self._healed_at = self._loop.time()
        self._generation += 1
        self._healing = asyncio.create_task(self._replace(self._new_listener, then), name="new audio thread")

    async def close(self) -> None:
        """End the audio thread."""
        self._is_closed = True
        await end(self._healing)
        if self.listener is not None:
            await asyncio.to_thread(self.listener.stop)

    @property
    def _is_healing(self) -> bool:
        return self._healing is not None and not self._healing.done()

    async def _replace(self, new_listener: NewListener, then: Callable[[], None]) -> None:
        old = self.listener
        if old is not None:
            await self._leave(old)
        try:
            listener = await asyncio.to_thread(self._make_unless_closed, new_listener)
        except Exception as exc:  # whatever it is, nobody hears any more
            log.exception("there is no other audio thread")
            self._post(ListenerDied(exc))
            return
        if listener is not None:
            self.listener = listener
            listener.start()
            then()

    async def _leave(self, old: Listener) -> None:
        """Give *old* up, for a moment at most: its device may stand still for ever, and its threads are daemons."""
        is_left = asyncio.Event()

        def leave() -> None:
            try:
                old.abandon()
            except Exception:
                log.exception("the audio thread could not be given up in good order")
            with contextlib.suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(is_left.set)

        threading.Thread(target=leave, name="old audio thread", daemon=True).start()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LEAVE_BOUND_S):
                await is_left.wait()

    def _make_unless_closed(self, new_listener: NewListener) -> Listener | None:
        """On a thread that nobody can cancel: what it opens after the end is closed again."""
        listener = self._make(new_listener)
        if self._is_closed:
            listener.abandon()
            return None
        return listener

    def _make(self, new_listener: NewListener) -> Listener:
        generation = self._generation
        return new_listener(lambda report: self._from_thread(generation, report))

    def _from_thread(self, generation: int, report: Report) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is interested any more
            self._loop.call_soon_threadsafe(self._take, generation, report)

    def _take(self, generation: int, report: Report) -> None:
        if generation == self._generation:
            self._post(report)
