"""What may interrupt the assistant while it thinks and speaks: pure counting of speech probabilities and loudness.

It hears no words. A stop word is found by the recogniser, in what :attr:`Guard.overheard_s` points at; the wake word
by its engine. Without echo cancellation most of the speech is the assistant's own; a user is told from it by being
louder, and what is searched for a stop word is the outburst alone, since in a longer stretch Whisper follows the reply.
"""

from collections import deque
from enum import IntEnum

from heisenberg.core.audio import CHUNK_SAMPLES, PIPELINE_RATE_HZ

CHUNK_S = CHUNK_SAMPLES / PIPELINE_RATE_HZ
_ROUNDING = 1e-6

SPEECH_PROBABILITY = 0.5

LOUDER = 1.5
"""Somebody who wants to stop the assistant is louder than its echo: 3.5 dB above nearly all that was heard lately."""

LATELY_S = 3.0
USUAL_SHARE = 0.9
"""Of what was heard lately, so much counts as usual."""

OUTBURST_SPEECH_S = 0.12
"""A stop word is at least so much loud speech."""

OUTBURST_END_S = 0.2
"""So much that is not louder than usual ends an outburst."""

LONGEST_OUTBURST_S = 1.6
"""A stop phrase of three words, spoken slowly."""

LEAD_S = 0.2
"""So much from before an outburst is searched, too: words begin quietly."""

SETTLE_S = 2.0
"""An echo canceller needs so long to learn a room once the loudspeaker sounds (docs/decisions/0006); until then what
it leaves of the echo could be taken for somebody who speaks."""

SPOKEN_OVER_S = 0.35
"""So much more speech than silence is somebody speaking over the reply, not a cough."""


LONGEST_LEAD_IN_S = 2.0
"""What is spoken over a reply is captured from so far back at most."""


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
        self._loudness: deque[float] = deque(maxlen=round(LATELY_S / CHUNK_S))
        self.reset()

    def reset(self) -> None:
        """The assistant takes the word."""
        self._loudness.clear()
        self._usual = 0.0
        self._outburst_s = self._loud_s = self._calm_s = 0.0
        self._settles_s = 0.0
        self._lead_s = 0.0
        self.speech_s = 0.0
        """How long ago what is being said began, pauses included."""
        self.overheard_s = 0.0
        """How far back an outburst reaches that has just ended, and that may hold a stop word; 0 if none has."""

    def settle(self) -> None:
        """The loudspeaker begins to sound, and an echo canceller to learn."""
        self._settles_s = SETTLE_S

    @property
    def minds_wake_word(self) -> bool:
        """Whether the wake word interrupts."""
        return self._barge_in >= BargeIn.WAKE_WORD

    @property
    def is_spoken_over(self) -> bool:
        """Whether somebody speaks, and speech interrupts."""
        may_interrupt = self._barge_in >= BargeIn.SPEECH and self._settles_s <= 0
        return may_interrupt and self._lead_s >= SPOKEN_OVER_S - _ROUNDING

    def hear(self, probability: float, loudness: float) -> None:
        """Advance by one chunk.

        Args:
            probability: of speech, 0–1.
            loudness: 0–1.
        """
        is_speech = probability >= SPEECH_PROBABILITY
        self._settles_s = max(0.0, self._settles_s - CHUNK_S)
        self._lead_s = max(0.0, self._lead_s + (CHUNK_S if is_speech else -CHUNK_S))
        self.speech_s = min(self.speech_s + CHUNK_S, LONGEST_LEAD_IN_S) if self._lead_s > 0 else 0.0
        self.overheard_s = 0.0
        if self._barge_in >= BargeIn.STOP_WORD:
            self._follow_outburst(is_speech, loudness)

    def _follow_outburst(self, is_speech: bool, loudness: float) -> None:
        is_loud = is_speech and loudness > LOUDER * self._usual
        if not self._outburst_s and not is_loud:
            self._get_used_to(loudness)
            return
        self._outburst_s += CHUNK_S
        self._loud_s += CHUNK_S if is_loud else 0.0
        self._calm_s = 0.0 if is_loud else self._calm_s + CHUNK_S
        if self._calm_s >= OUTBURST_END_S - _ROUNDING or self._outburst_s >= LONGEST_OUTBURST_S:
            if self._loud_s >= OUTBURST_SPEECH_S - _ROUNDING:
                self.overheard_s = self._outburst_s + LEAD_S
            self._outburst_s = self._loud_s = self._calm_s = 0.0
            self._get_used_to(loudness)

    def _get_used_to(self, loudness: float) -> None:
        self._loudness.append(loudness)
        ordered = sorted(self._loudness)
        self._usual = ordered[int(USUAL_SHARE * (len(ordered) - 1))]
