"""How a pull tells what it is doing. Whoever prints it decides how it looks."""

from typing import Protocol


class Abandoned(Exception):
    """Nobody wants the pull any more; what was fetched is kept. Raised by a progress, whichever of its methods."""


class Progress(Protocol):
    """Told about one thing after the other; each ``start`` is followed by one ``done``, unless the pull fails.

    A progress may raise :class:`Abandoned`, which ends the pull.
    """

    def start(self, what: str, total_bytes: int) -> None:
        """*what* begins; *total_bytes* is 0 if nobody knows."""

    def reach(self, done_bytes: int) -> None:
        """So much is done, counted from the beginning; may go back when something has to be fetched again."""

    def done(self) -> None:
        """It is finished."""

    def note(self, text: str) -> None:
        """Something the user should know: a source that was skipped, and why."""


class SilentProgress:
    """Tells nobody."""

    def start(self, what: str, total_bytes: int) -> None:
        """Say nothing."""

    def reach(self, done_bytes: int) -> None:
        """Say nothing."""

    def done(self) -> None:
        """Say nothing."""

    def note(self, text: str) -> None:
        """Say nothing."""
