"""The sound of an utterance that is fed bit by bit, kept so that it can be sent, and sent again.

It is the queue of a streaming recogniser and its memory in one: whoever sends keeps a sample number of his own. Only
the last minute and a quarter is kept, and before that what was not heard yet: a file is read faster than it is heard.
"""

from collections import deque

import numpy as np

from heisenberg.core.audio import PIPELINE_RATE_HZ, Samples

KEPT_S = 75.0
"""A command has at most 60 (``vad.max_command_seconds``), and some silence around them."""

MOST_BEHIND_S = 600.0
"""Whoever is further behind will never catch up: the oldest sound is dropped. 19 MB."""


class FedSound:
    """16 kHz samples by number, from the utterance's first.

    Args:
        kept_s: seconds that are kept, at least.
        most_s: seconds that are kept, at most.
    """

    def __init__(self, kept_s: float = KEPT_S, most_s: float = MOST_BEHIND_S) -> None:
        self._kept = int(kept_s * PIPELINE_RATE_HZ)
        self._most = int(most_s * PIPELINE_RATE_HZ)
        self._heard_to = 0
        self._parts: deque[Samples] = deque()
        self._fed = 0
        self.first = 0
        """Number of the oldest sample that is kept."""
        self.end = 0
        """How many samples there were, in all."""

    def feed(self, samples: Samples) -> None:
        """More of the utterance; what a command has shown already is not added twice."""
        ahead = max(0, self.end - self._fed)
        self._fed += len(samples)
        self._append(samples[ahead:])

    def take(self, command: Samples) -> bool:
        """*command* is the utterance so far, perhaps trimmed: add what of it was not fed yet.

        If it is another sound than the one that was fed, it takes its place, and False is returned.
        """
        known = self.read(self.first, min(self.end, len(command)))
        if np.array_equal(known, command[self.first : self.end]):
            self._append(command[self.end :])
            return True
        self._parts.clear()
        self.first = self.end = self._heard_to = 0
        self._append(command)
        self._fed = self.end
        return False

    def was_heard(self, end: int) -> None:
        """Samples up to *end* (exclusive) were heard; they need not be kept for long."""
        self._heard_to = max(self._heard_to, min(end, self.end))
        self._drop()

    def forget(self) -> None:
        """Drop what is kept."""
        self._parts.clear()
        self.first = self.end

    def read(self, start: int, stop: int) -> Samples:
        """A copy of samples *start* to *stop* (exclusive), clipped to what is kept."""
        start, stop = max(start, self.first), min(stop, self.end)
        if start >= stop:
            return np.zeros(0, dtype=np.int16)
        found: list[Samples] = []
        at = self.first
        for part in self._parts:
            if at + len(part) > start and at < stop:
                found.append(part[max(0, start - at) : stop - at])
            at += len(part)
        return np.concatenate(found)

    def _append(self, samples: Samples) -> None:
        if not len(samples):
            return
        self._parts.append(samples.copy())
        self.end += len(samples)
        self._drop()

    def _drop(self) -> None:
        """Parts that need not, or may not, be kept any longer."""
        while self._parts:
            after = self.first + len(self._parts[0])
            is_spare = after <= self._heard_to and self.end - after >= self._kept
            if not is_spare and self.end - after < self._most:
                return
            self._parts.popleft()
            self.first = after
