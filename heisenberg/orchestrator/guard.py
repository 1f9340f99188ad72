"""What may interrupt the assistant while it thinks and speaks: pure counting of speech probabilities.

It hears no words. A stop word is found by the recogniser, in what :attr:`Guard.may_hold_stop_word` points at; the
wake word by its engine. Without echo cancellation most of the speech is the assistant's own.
"""

from collections import deque
from enum import IntEnum

from heisenberg.core.audio import CHUNK_SAMPLES, PIPELINE_RATE_HZ

CHUNK_S = CHUNK_SAMPLES / PIPELINE_RATE_HZ

SPEECH_PROBABILITY = 0.5

OVERHEARD_S = 1.8
"""How much is searched for a stop word: a phrase of three words, spoken slowly."""

OVERHEARD_EVERY_S = 0.6
"""How often. Neighbours overlap, so that a word that is cut in one is whole in the next."""

OVERHEARD_SPEECH_S = 0.16
"""A stop word is at least so much speech."""

SPOKEN_OVER_S = 0.35
"""So much more speech than silence is somebody speaking over the reply, not a cough."""


class BargeIn(IntEnum):
    """What interrupts a reply; each includes those before it."""

    OFF = 0
    STOP_WORD = 1
    WAKE_WORD = 2
    SPEECH = 3


class Guard:
    """Watches the speech probabilities while the assistant has the word."""

    def __init__(self, barge_in: BargeIn) -> None:
        self._barge_in = barge_in
        self._recent: deque[bool] = deque(maxlen=round(OVERHEARD_S / CHUNK_S))
        self.overheard_samples = round(OVERHEARD_S / CHUNK_S) * CHUNK_SAMPLES
        self.reset()

    def reset(self) -> None:
        """The assistant takes the word."""
        self._recent.clear()
        self._since_look_s = 0.0
        self._lead_s = 0.0
        self.speech_s = 0.0
        """How long ago what is being said began, pauses included."""

    @property
    def minds_wake_word(self) -> bool:
        """Whether the wake word interrupts."""
        return self._barge_in >= BargeIn.WAKE_WORD

    def hear(self, probability: float) -> None:
        """Advance by one chunk whose speech probability is *probability* (0–1)."""
        is_speech = probability >= SPEECH_PROBABILITY
        self._recent.append(is_speech)
        self._since_look_s += CHUNK_S
        self._lead_s = max(0.0, self._lead_s + (CHUNK_S if is_speech else -CHUNK_S))
        self.speech_s = self.speech_s + CHUNK_S if self._lead_s > 0 else 0.0

    @property
    def is_spoken_over(self) -> bool:
        """Whether somebody speaks, and speech interrupts."""
        return self._barge_in >= BargeIn.SPEECH and self._lead_s >= SPOKEN_OVER_S

    @property
    def may_hold_stop_word(self) -> bool:
        """Whether the last seconds are worth a look for a stop word; true at most every 0.6 s."""
        if self._barge_in < BargeIn.STOP_WORD or self._since_look_s < OVERHEARD_EVERY_S:
            return False
        if sum(self._recent) * CHUNK_S < OVERHEARD_SPEECH_S:
            return False
        self._since_look_s = 0.0
        return True
