"""A scripted TurnDetector: in its sound, the last sample says whether the sentence is over."""

import numpy as np

from heisenberg.core.audio import PIPELINE_RATE_HZ, Samples

OVER, OPEN = 3_000, 4_000


def utterance(seconds: float, *, is_over: bool) -> Samples:
    """*seconds* of speech that ends, or breaks off."""
    return np.full(round(seconds * PIPELINE_RATE_HZ), OVER if is_over else OPEN, dtype=np.int16)


class FakeTurnDetector:
    """Sure of itself where it hears :func:`utterance`; elsewhere it has no opinion. Raises *error* if there is one."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.heard: list[Samples] = []
        self.is_closed = False

    def is_complete(self, command: Samples) -> float:
        if self.error is not None:
            raise self.error
        self.heard.append(command)
        last = int(command[-1]) if len(command) else 0
        return {OVER: 1.0, OPEN: 0.0}.get(last, 0.5)

    def close(self) -> None:
        self.is_closed = True
