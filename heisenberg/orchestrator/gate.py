"""Holds back what a turn has to tell until the turn is certain, and drops what comes after its end.

Work on a command begins before the user has certainly finished; nobody may notice if it came to nothing.
"""

from collections.abc import Callable
from typing import Any

from heisenberg.core.events import Event

Emit = Callable[..., None]
"""Given an event class and its fields."""


class Gate:
    """Between a turn's work and the world.

    Args:
        emit: tells the world.
    """

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._held: list[tuple[type[Event], dict[str, Any]]] = []
        self.is_open = False
        self._is_shut = False

    def pass_on(self, kind: type[Event], **fields: Any) -> None:
        """Tell the world, now or when the gate opens."""
        if self._is_shut:
            return
        if self.is_open:
            self._emit(kind, **fields)
        else:
            self._held.append((kind, fields))

    def open(self) -> None:
        """The turn is certain: tell what was held, in order."""
        self.is_open = True
        held, self._held = self._held, []
        for kind, fields in held:
            self.pass_on(kind, **fields)

    def forget(self) -> None:
        """What was held came to nothing."""
        self._held.clear()

    def shut(self) -> None:
        """The turn is over: nothing passes any more."""
        self._held.clear()
        self._is_shut = True
