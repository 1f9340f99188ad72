"""Writes text on a thread of its own, so that a stopped terminal or a slow pipe never stops a turn.

A terminal blocks its writers while somebody selects text in it or has pressed Ctrl-S. Text waits in a bounded
queue; when that is full the oldest is dropped and counted. What the text says, and what happens when it cannot be
written, is the caller's affair.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable

QUEUE_SIZE = 10_000
CLOSE_SECONDS = 2.0


class Writer:
    """A queue with a thread behind it.

    Args:
        write: writes and flushes; called on the thread, must not raise.
        name: the thread's.
        size: how many texts may wait.
        on_drop: called for each text that is dropped.
    """

    def __init__(
        self,
        write: Callable[[str], None],
        name: str,
        size: int = QUEUE_SIZE,
        on_drop: Callable[[], None] = lambda: None,
    ) -> None:
        self._write = write
        self._waiting: deque[str] = deque()
        self._size = size
        self._on_drop = on_drop
        self._changed = threading.Condition()
        self._is_closing = False
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self.dropped = 0
        """Texts that were never written."""

    def put(self, text: str) -> None:
        """Write *text* soon. Never blocks; does nothing after :meth:`close`."""
        with self._changed:
            if self._is_closing:
                return
            if len(self._waiting) >= self._size:
                self._waiting.popleft()
                self.dropped += 1
                self._on_drop()
            self._waiting.append(text)
            self._changed.notify()
            if self._thread.ident is None:
                self._thread.start()

    async def close(self) -> None:
        """Write what waits, for :data:`CLOSE_SECONDS` at most. May be called twice."""
        with self._changed:
            self._is_closing = True
            self._changed.notify()
        if self._thread.ident is not None:
            await asyncio.to_thread(self._thread.join, CLOSE_SECONDS)

    def _work(self) -> None:
        while (text := self._next()) is not None:
            self._write(text)

    def _next(self) -> str | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_closing)
            return self._waiting.popleft() if self._waiting else None
