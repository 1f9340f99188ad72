"""What was heard of a command so far, as far as a guess at it needs: its last seconds and whether it pauses.

No detector of speech: the ears have that. This only looks whether the last tenth of a second is much quieter.
"""

from collections import deque

import numpy as np

from heisenberg.core.audio import PIPELINE_RATE_HZ, Samples

GUESSED_S = 8.0
"""The longest stretch that is guessed at. Whisper is quickest up to here: it wants 2 s of room in its shortest
window of 10 s, and a longer command would cost more with each guess."""

CUT_WITHIN_S = 1.0
"""A longer command is cut where it is quietest within this time, so that no word is halved if it can be helped."""

PAUSE_LEVEL = 0.1
"""So much of the loudest is quiet: 20 dB below it."""

PAUSE_SAMPLES = PIPELINE_RATE_HZ // 10
CUT_SAMPLES = PIPELINE_RATE_HZ // 20
KEPT_SAMPLES = int((GUESSED_S + CUT_WITHIN_S) * PIPELINE_RATE_HZ)


class Heard:
    """A command that grows; only its end is kept."""

    def __init__(self) -> None:
        self.samples = 0
        """How many there were, in all."""
        self._kept: deque[Samples] = deque()
        self._kept_samples = 0
        self._loudest = 0.0

    def add(self, samples: Samples) -> None:
        """More of the command, 16 kHz."""
        self.samples += len(samples)
        self._kept.append(samples[-KEPT_SAMPLES:])
        self._kept_samples += len(self._kept[-1])
        while self._kept_samples - len(self._kept[0]) >= KEPT_SAMPLES:
            self._kept_samples -= len(self._kept.popleft())
        self._loudest = max(self._loudest, _level(self._last(PAUSE_SAMPLES)))

    @property
    def is_pausing(self) -> bool:
        """Whether the last tenth of a second is quiet: perhaps the command is over."""
        return _level(self._last(PAUSE_SAMPLES)) <= PAUSE_LEVEL * self._loudest

    def recent(self) -> tuple[Samples, bool]:
        """What to guess at, and whether that is the whole command."""
        kept = self._last(KEPT_SAMPLES)
        if self.samples <= KEPT_SAMPLES:
            return kept, True
        windows = kept[: int(CUT_WITHIN_S * PIPELINE_RATE_HZ)].reshape(-1, CUT_SAMPLES)
        quietest = int(np.argmin([_level(window) for window in windows]))
        return kept[quietest * CUT_SAMPLES :], False

    def _last(self, count: int) -> Samples:
        parts: list[Samples] = []
        found = 0
        for part in reversed(self._kept):
            parts.append(part)
            found += len(part)
            if found >= count:
                break
        return np.concatenate(parts[::-1])[-count:] if parts else np.zeros(0, dtype=np.int16)


def _level(samples: Samples) -> float:
    """Root mean square; 0 for nothing."""
    return float(np.sqrt(np.mean(np.square(samples.astype(np.float32))))) if len(samples) else 0.0
