"""What was said lately: bounded in turns and in time."""

from collections import deque
from collections.abc import Callable

from heisenberg.core.stages import Exchange


class History:
    """The conversation so far.

    Args:
        turns: how many exchanges are kept.
        seconds: for how long.
        clock: monotonic seconds.
    """

    def __init__(self, turns: int, seconds: float, clock: Callable[[], float]) -> None:
        self._entries: deque[tuple[float, Exchange]] = deque(maxlen=turns)
        self._seconds = seconds
        self._clock = clock

    def add(self, exchange: Exchange) -> None:
        """Remember an exchange; the oldest may be forgotten."""
        self._entries.append((self._clock(), exchange))

    def recent(self) -> tuple[Exchange, ...]:
        """What is still remembered, oldest first."""
        oldest = self._clock() - self._seconds
        while self._entries and self._entries[0][0] < oldest:
            self._entries.popleft()
        return tuple(exchange for _, exchange in self._entries)
