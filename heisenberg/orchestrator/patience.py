"""How long to wait in a pause: briefly after a complete sentence, long in mid-phrase.

Three witnesses: the words up to the pause, and (where there are such) the pause heads of a streaming recogniser and a
model that hears the melody. It decides nothing else; the endpointer counts the silence and has the last word.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from heisenberg.core.audio import Samples
from heisenberg.core.errors import HeisenbergError
from heisenberg.core.stages import TurnDetector
from heisenberg.orchestrator.ending import end

log = logging.getLogger(__name__)

COMPLETE_PROBABILITY = 0.5

SoundsComplete = Callable[[str, str], bool | None]
"""Whether a text in a language is a whole sentence; None if that cannot be told."""


class PauseHeads(Protocol):
    """A recogniser that hears pauses while it listens."""

    on_pause: Callable[[float], None] | None
    """Called on the event loop with the probability (0–1) that a long pause has begun, as often as it has one."""


@dataclass(frozen=True, slots=True)
class Pauses:
    """Seconds of silence that end a command."""

    complete: float
    """Its words are a complete sentence."""
    incomplete: float
    """It breaks off in mid-phrase."""
    usual: float | None = None
    """Its words are a complete sentence which does not sound complete; None does not say."""


class Patience:
    """One pause after the other.

    Args:
        pauses: how long they last.
        sounds_complete: judges the words.
        detector: judges the sound.
        heads: judge it, too, again and again while the pause lasts; the detector is not asked where they speak.
        head_threshold: from this probability (0–1) on they take the command for complete.
    """

    def __init__(
        self,
        pauses: Pauses,
        sounds_complete: SoundsComplete,
        detector: TurnDetector | None = None,
        *,
        heads: PauseHeads | None = None,
        head_threshold: float = 0.6,
    ) -> None:
        self._pauses = pauses
        self._sounds_complete = sounds_complete
        self._detector = detector
        self._heads = heads
        self._head_threshold = head_threshold
        self._wait_for: Callable[[float], None] = lambda seconds: None
        self._by_words: bool | None = None
        self._by_sound: bool | None = None
        self._by_heads: bool | None = None
        self._waits_s: float | None = None
        self._listening: asyncio.Task[None] | None = None

    async def begin(self, command: Samples, wait_for: Callable[[float], None]) -> None:
        """The user paused after *command*; *wait_for* is called with the seconds, perhaps more than once."""
        await self.close()
        self._wait_for = wait_for
        self._by_words = self._by_sound = self._by_heads = self._waits_s = None
        if self._heads is not None:
            self._heads.on_pause = self._hear_heads
        if self._detector is not None:
            listen = self._listen(self._detector, command)
            self._listening = asyncio.create_task(listen, name="turn detector")

    def judge(self, text: str, language: str) -> None:
        """The words up to the pause are known."""
        self._by_words = self._sounds_complete(text, language)
        self._decide()

    async def close(self) -> None:
        """The pause is over."""
        if self._heads is not None:
            self._heads.on_pause = None
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

    def _hear_heads(self, probability: float) -> None:
        self._by_heads = probability >= self._head_threshold
        self._decide()

    def _decide(self) -> None:
        """The words come first: much that breaks off sounds complete, and little that is complete does not."""
        by_sound = self._by_sound if self._by_heads is None else self._by_heads
        if self._by_words is False or (self._by_words is None and by_sound is False):
            self._wait(self._pauses.incomplete)
        elif by_sound is not False and (self._by_words or self._by_heads):
            self._wait(self._pauses.complete)
        elif self._by_words and self._pauses.usual is not None:
            self._wait(self._pauses.usual)

    def _wait(self, seconds: float) -> None:
        if seconds != self._waits_s:
            self._waits_s = seconds
            self._wait_for(seconds)
