"""Smooths what the pause heads of a Kyutai recogniser say. Pure.

Each head gives the probability that the speaker is silent for 0.5, 1, 2 and 3 s from here. They are wild at
the beginning of a stream, and a single frame may spike (slowly dictated digits do that), so the first steps do not
count and the rest is averaged.
"""

from collections.abc import Sequence

FIRST_STEPS = 12
"""Steps (80 ms each) after a reset that say nothing."""

WEIGHT = 0.5
"""Of the newest frame: a spike of one frame stays below the 0.6 that ends a sentence, two frames exceed it."""


class PauseSmoother:
    """An exponential average for each head."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """The model's state was reset."""
        self._steps = 0
        self._smooth: list[float] = []

    def hear(self, pauses: Sequence[float]) -> list[float]:
        """The average after *pauses*, one probability (0–1) for each head. Zeros for the first twelve steps."""
        self._steps += 1
        if self._steps <= FIRST_STEPS or not self._smooth:
            self._smooth = [0.0] * len(pauses)
        if self._steps > FIRST_STEPS:
            self._smooth = [old + WEIGHT * (new - old) for old, new in zip(self._smooth, pauses, strict=True)]
        return list(self._smooth)
