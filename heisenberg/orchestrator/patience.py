"""How long to wait in a pause: briefly after a complete sentence, long in mid-phrase.

Two witnesses: the words up to the pause, and (where there is one) a model that hears the melody. It decides
nothing else; the endpointer counts the silence and has the last word.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from heisenberg.core.audio import Samples
from heisenberg.core.errors import HeisenbergError
from heisenberg.core.stages import TurnDetector
from heisenberg.orchestrator.ending import end

log = logging.getLogger(__name__)

COMPLETE_PROBABILITY = 0.5

SoundsComplete = Callable[[str, str], bool | None]
"""Whether a text in a language is a whole sentence; None if that cannot be told."""


@dataclass(frozen=True, slots=True)
class Pauses:
    """Seconds of silence that end a command."""

    complete: float
    """Its words are a complete sentence."""
    incomplete: float
    """It breaks off in mid-phrase."""


class Patience:
    """One pause after the other.

    Args:
        pauses: how long they last.
        sounds_complete: judges the words.
        detector: judges the sound.
    """

    def __init__(self, pauses: Pauses, sounds_complete: SoundsComplete, detector: TurnDetector | None = None) -> None:
        self._pauses = pauses
        self._sounds_complete = sounds_complete
        self._detector = detector
        self._wait_for: Callable[[float], None] = lambda seconds: None
        self._by_words: bool | None = None
        self._by_sound: bool | None = None
        self._listening: asyncio.Task[None] | None = None

    async def begin(self, command: Samples, wait_for: Callable[[float], None]) -> None:
        """The user paused after *command*; *wait_for* is called with the seconds, perhaps more than once."""
        await self.close()
        self._wait_for = wait_for
        self._by_words = self._by_sound = None
        if self._detector is not None:
            listen = self._listen(self._detector, command)
            self._listening = asyncio.create_task(listen, name="turn detector")

    def judge(self, text: str, language: str) -> None:
        """The words up to the pause are known."""
        self._by_words = self._sounds_complete(text, language)
        self._decide()

    async def close(self) -> None:
        """The pause is over."""
        listening, self._listening = self._listening, None
        await end(listening)

    async def _listen(self, detector: TurnDetector, command: Samples) -> None:
        try:
            probability = await asyncio.to_thread(detector.is_complete, command)
        except HeisenbergError as exc:
            log.warning("the turn detector failed: %s", exc)  # the words still count
            return
        self._by_sound = probability >= COMPLETE_PROBABILITY
        self._decide()

    def _decide(self) -> None:
        """The words come first: much that breaks off sounds complete, and little that is complete does not."""
        if self._by_words is False or (self._by_words is None and self._by_sound is False):
            self._wait_for(self._pauses.incomplete)
        elif self._by_words and self._by_sound is not False:
            self._wait_for(self._pauses.complete)
