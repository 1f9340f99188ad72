"""Where samples wait between threads: a ring with sample numbers, and the hand-off out of PortAudio's callback.

The audio thread keeps the last seconds in a :class:`SampleRing`, so that a command can be cut out together with
what came before it. A :class:`HandOff` is the only thing that a recording callback touches.
"""

import threading

import numpy as np

from heisenberg.core.audio import Samples


class SampleRing:
    """The last *capacity* samples, by sample number. Memory is taken once, at construction.

    One thread writes, one other thread may read. There is no lock: the writer announces how far it will
    write before it does, and the reader throws away what may have been overwritten under its hands.

    Args:
        capacity: samples that are kept, at least 1.
    """

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise ValueError(f"a ring holds at least 1 sample, not {capacity}")
        self.capacity = capacity
        self._samples = np.zeros(capacity, dtype=np.int16)
        self._written = 0
        self._announced = 0

    @property
    def written(self) -> int:
        """How many samples were ever written; the next one's number."""
        return self._written

    def write(self, samples: Samples) -> None:
        """Add *samples*; the oldest are overwritten."""
        end = self._written + len(samples)
        self._announced = end
        kept = samples[-self.capacity :] if len(samples) > self.capacity else samples
        at = (end - len(kept)) % self.capacity
        before_seam = min(len(kept), self.capacity - at)
        self._samples[at : at + before_seam] = kept[:before_seam]
        self._samples[: len(kept) - before_seam] = kept[before_seam:]
        self._written = end

    def read_range(self, start: int, end: int) -> Samples:
        """A copy of samples *start* to *end* (exclusive), clipped to what is still there."""
        end = min(end, self._written)
        start = max(start, 0, self._announced - self.capacity)
        if start >= end:
            return np.zeros(0, dtype=np.int16)
        copy = np.empty(end - start, dtype=np.int16)
        at = start % self.capacity
        before_seam = min(len(copy), self.capacity - at)
        copy[:before_seam] = self._samples[at : at + before_seam]
        copy[before_seam:] = self._samples[: len(copy) - before_seam]
        overwritten = max(0, self._announced - self.capacity - start)
        return copy[overwritten:]


class HandOff:
    """From a callback that must not wait to a thread that may: a ring and a doorbell.

    :meth:`put` copies and returns. If the reader falls behind by more than *capacity*, the oldest samples are
    lost and counted.

    Args:
        capacity: samples that may wait; a multiple of the channel count if they are interleaved.
    """

    def __init__(self, capacity: int) -> None:
        self._ring = SampleRing(capacity)
        self._taken = 0
        # A lock as a doorbell: ringing it is one C call, where a Condition would run Python under a lock.
        self._bell = threading.Lock()
        self._bell.acquire()
        self._is_closed = False
        self.lost_samples = 0
        """Samples that the reader came too late for."""

    def put(self, samples: Samples) -> None:
        """Hand over *samples*. For one writer; never waits."""
        self._ring.write(samples)
        self._wake()

    def close(self) -> None:
        """Nothing more is to come: :meth:`take` no longer waits. From any thread, any number of times."""
        self._is_closed = True
        self._wake()

    def take(self, timeout_s: float) -> Samples:
        """Everything new; nothing if *timeout_s* passed without any, or once closed. For one reader."""
        self._bell.acquire(blocking=False)  # Rung for what the last call already took.
        if self._ring.written == self._taken and not self._is_closed:
            self._bell.acquire(timeout=timeout_s)
        end = self._ring.written
        samples = self._ring.read_range(self._taken, end)
        self.lost_samples += end - self._taken - len(samples)
        self._taken = end
        return samples

    def discard(self) -> None:
        """Forget what is waiting, and what was lost. For the reader."""
        self.take(0)
        self.lost_samples = 0

    def _wake(self) -> None:
        # Suppressed by hand: contextlib.suppress would build an object in the callback.
        try:
            if self._bell.locked():
                self._bell.release()
        except RuntimeError:
            pass  # The other one who rings it was faster.
