"""Which command the audio thread captures, as far as the session knows, and what it is told to do next.

Each command that is captured has a number (``listener.py``); an order names the last one that its sender knew of, so
that a newer one is not given up for it. It keeps those numbers, and asks whichever audio thread there is; without one
(typed questions only) nobody is asked. What a command means is ``turns.py``'s affair.
"""

from heisenberg.orchestrator.hearing import Hearing
from heisenberg.orchestrator.reports import CommandPaused


class Captures:
    """The captures of one session.

    Args:
        hearing: has the audio thread.
    """

    def __init__(self, hearing: Hearing) -> None:
        self._hearing = hearing
        self._number = 0
        self.is_over = False
        """Whether the input is over: nobody will say anything more."""

    @property
    def can_listen(self) -> bool:
        """Whether a command without a wake word can be captured."""
        return self._hearing.listener is not None and not self.is_over

    def follow(self, capture: int) -> None:
        """*capture* is what the turn listens to."""
        self._number = capture

    def is_followed(self, capture: int) -> bool:
        """Whether the turn listens to *capture*."""
        return capture == self._number

    def learn(self, capture: int) -> None:
        """*capture* has begun, and is not wanted: orders count from there."""
        self._number = max(self._number, capture)

    def begin_anew(self) -> None:
        """Another audio thread listens; it counts from the beginning."""
        self._number = 0

    # ── orders ───────────────────────────────────────────────────────────────────────────────────

    def arm(self) -> None:
        """Listen for the wake word."""
        if self._hearing.listener is not None:
            self._hearing.listener.arm(self._number)

    def guard(self, *, is_sounding: bool = False) -> None:
        """The assistant has the word (and begins to sound): notice what may interrupt it."""
        if self._hearing.listener is not None:
            self._hearing.listener.guard(self._number, is_sounding=is_sounding)

    def listen(self) -> bool:
        """Listen for a command without a wake word; whether anybody does."""
        if self._hearing.listener is None or self.is_over:
            return False
        self._number = self._hearing.listener.capture()
        return True

    def listen_on(self, seconds: float) -> bool:
        """The same after a reply, for a command that begins within *seconds*."""
        if self._hearing.listener is None or self.is_over:
            return False
        self._number = self._hearing.listener.capture(no_speech_s=seconds, after_reply=True)
        return True

    def wait_for(self, pause: CommandPaused, seconds: float) -> None:
        """*pause* ends its command after *seconds* of silence."""
        if self._hearing.listener is not None:
            self._hearing.listener.wait_for(pause.capture, pause.number, seconds)
