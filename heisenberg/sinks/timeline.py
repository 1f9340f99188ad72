"""Leaves a picture of the first turns: one SVG file that needs nothing else.

In: events; out: a file, written at the start (so that a wrong path is noticed before an evening has passed)
and again at the end. What the picture shows is the business of ``picture/``.
"""

import asyncio
from collections.abc import Iterable
from pathlib import Path

from heisenberg.core.errors import SinkError
from heisenberg.core.events import Event, LlmToken, OscSent, TranscriptionPartial
from heisenberg.sinks.picture.page import MAX_TURNS, lay_out

MAX_EVENTS = 20_000
RESERVE = 1_000
"""Room that is kept for the rare events when tokens and datagrams have filled the rest."""


def draw(events: Iterable[Event]) -> str:
    """The SVG text of at most the first three turns of *events*."""
    return lay_out(events).svg


class TimelineSink:
    """Collects events and draws them when it is closed.

    Args:
        path: the SVG file; its folder is made if need be, and what was there is replaced.

    Raises: SinkError if *path* cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._events: list[Event] = []
        self._latest: Event | None = None
        self._write(draw([]))

    def handle(self, event: Event) -> None:
        """Remember *event* if the picture can show it."""
        if event.turn > MAX_TURNS:
            self._latest = event  # only to say how many turns there were
            return
        is_dense = isinstance(event, LlmToken | OscSent | TranscriptionPartial)
        if len(self._events) < MAX_EVENTS - (RESERVE if is_dense else 0):
            self._events.append(event)

    async def close(self) -> None:
        """Draw, and write the file. Raises SinkError."""
        latest = [self._latest] if self._latest is not None else []
        happened = [*self._events, *latest]
        await asyncio.to_thread(lambda: self._write(draw(happened)))

    def _write(self, svg: str) -> None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.write_text(svg, encoding="utf-8")
        except OSError as exc:
            message = f"The timeline cannot be written to {self._path}: {exc.strerror or exc}. Choose another file."
            raise SinkError(message, code="sink-unwritable") from exc
