"""Notices a recogniser that hears somebody speak and says nothing. Pure; counts frames, never the clock.

What counts as a voice is sound well above the quietest of the last seconds, so a steady fan is none.
"""

import math
from enum import Enum, auto

import numpy as np
import numpy.typing as npt

FRAME_S = 0.08

STUCK_S = 8.0
"""Of voice without a word. Kyutai's models speak a second after the speaker."""

LEAST_RMS = 0.004
"""About −48 dBFS; less is silence."""

OVER_THE_FLOOR = 2.5
"""8 dB."""

FLOOR_RISE = 1.012
"""Per frame: the quietest sound is forgotten at about 1.3 dB a second."""


class Verdict(Enum):
    """What the watchdog thinks."""

    STUCK = auto()
    """The model's state should be made anew; said once until there is a word."""
    HOPELESS = auto()
    """That did not help; said once until there is a word."""


class Watchdog:
    """Watches one utterance."""

    def __init__(self) -> None:
        self._floor = 1.0
        self.calm()

    def calm(self) -> None:
        """There was a word."""
        self._voiced_s = 0.0
        self._said: Verdict | None = None

    def hear(self, frame: npt.NDArray[np.float32], *, has_text: bool) -> Verdict | None:
        """Take a frame of sound (float32, −1 to 1) and whether the model said something after it."""
        if has_text:
            self.calm()
        rms = math.sqrt(float(np.dot(frame, frame)) / max(1, len(frame)))
        self._floor = max(min(self._floor * FLOOR_RISE, rms), LEAST_RMS / OVER_THE_FLOOR)
        if rms > self._floor * OVER_THE_FLOOR:
            self._voiced_s += FRAME_S
        if self._voiced_s < STUCK_S or self._said is Verdict.HOPELESS:
            return None
        self._voiced_s = 0.0
        self._said = Verdict.STUCK if self._said is None else Verdict.HOPELESS
        return self._said
