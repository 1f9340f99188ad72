"""Measures one turn: seconds from the true end of the user's speech to each thing that follows."""

from collections.abc import Callable


class LatencyWatch:
    """The stop-watch of a turn.

    Args:
        clock: monotonic seconds.
        ended_ago: how long ago the user's speech truly ended: the silence that the endpointer waited for.
    """

    def __init__(self, clock: Callable[[], float], ended_ago: float) -> None:
        self._clock = clock
        self._zero = clock() - ended_ago
        self._marks: dict[str, float] = {}

    def mark(self, name: str) -> None:
        """Note that *name* happened now; only the first time counts."""
        self._marks.setdefault(name, round(self._clock() - self._zero, 4))

    def marks(self) -> dict[str, float]:
        """What happened when, in seconds."""
        return dict(self._marks)
