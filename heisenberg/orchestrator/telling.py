"""What the world is told of a session: events in the name of a turn, how turns ended, what was lost.

It knows the sinks and the clock, and decides nothing.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any

from heisenberg.core.drops import Drops
from heisenberg.core.events import Event, Failed, ItemsDropped, TurnCompleted, TurnDropped
from heisenberg.core.stages import Sink
from heisenberg.orchestrator.manners import Tally

log = logging.getLogger(__name__)


class Telling:
    """Tells the sinks.

    Args:
        sinks: told of every event; one that fails is logged and told of the next.
        drops: what queues anywhere lost.
        current_turn: the number of the turn under way, or of the last one while idle.
        told: called after the sinks were told of an event.
    """

    def __init__(
        self,
        sinks: Sequence[Sink],
        drops: Drops,
        current_turn: Callable[[], int],
        told: Callable[[Event], None] = lambda event: None,
    ) -> None:
        self._clock = asyncio.get_running_loop().time
        self._began_at = self._clock()
        self._sinks = list(sinks)
        self._drops = drops
        self._drops_told: dict[str, int] = {}
        self._current_turn = current_turn
        self._told = told
        self.tally = Tally()

    def add_sink(self, sink: Sink) -> None:
        """Tell *sink*, too, from now on."""
        self._sinks.append(sink)

    def emit(self, kind: type[Event], *, turn: int | None = None, **fields: Any) -> None:
        """Tell the sinks, in the name of *turn* (the current one if not given)."""
        at = round(self._clock() - self._began_at, 4)
        event = kind(turn=self._current_turn() if turn is None else turn, at=at, **fields)
        for sink in self._sinks:
            try:
                sink.handle(event)
            except Exception:
                log.exception("%s failed on %s", type(sink).__name__, event.type)
        self._told(event)

    def completed(self, turn: int, latency: dict[str, float]) -> None:
        """*turn* was answered; *latency* holds seconds after the end of speech."""
        self.tally.completed += 1
        log.info("answered; seconds after the end of speech: %s", latency)
        self.emit(TurnCompleted, turn=turn, latency=latency)

    def dropped(self, turn: int, reason: str) -> None:
        """*turn* ended without an answer, or in the middle of it, on purpose."""
        self.tally.dropped += 1
        log.info("dropped: %s", reason)
        self.emit(TurnDropped, turn=turn, reason=reason)

    def failed(self, code: str, message: str) -> None:
        """The current turn failed."""
        self.tally.failed += 1
        log.warning("failed (%s): %s", code, message)
        self.emit(Failed, code=code, message=message)

    def losses(self) -> None:
        """What was lost since the last time."""
        for where, count in self._drops.totals().items():
            if count > self._drops_told.get(where, 0):
                self._drops_told[where] = count
                self.emit(ItemsDropped, where=where, count=count)
