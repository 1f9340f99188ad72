"""Counts what full queues had to drop, from any thread. Who reports it: the session (events) and OSC (snapshots)."""

import threading
from collections import Counter


class Drops:
    """Lost items by the name of the queue that lost them."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()

    def count(self, where: str, items: int = 1) -> None:
        """*where* lost *items*. From any thread; takes microseconds."""
        with self._lock:
            self._counts[where] += items

    def totals(self) -> dict[str, int]:
        """Everything lost so far."""
        with self._lock:
            return dict(self._counts)

    @property
    def total(self) -> int:
        """All of it together."""
        with self._lock:
            return self._counts.total()
