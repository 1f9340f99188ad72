"""The sound that waits for PortAudio's output callback, and how loud it is.

One thread (the event loop's) writes, the callback fills the device's buffers. It opens nothing, waits for nothing
and knows no rates but its own.
"""

import numpy as np
import numpy.typing as npt

from heisenberg.audio.ring import SampleRing
from heisenberg.core.audio import Meters, Samples, level

METER_HZ = 30
"""How often the loudness is measured, in readings per second of sound."""


class PlaybackQueue:
    """Sound on its way to a device. Memory is taken once, at construction.

    Args:
        rate_hz: samples per second.
        channels: of the device; each plays the same.
        capacity_s: seconds of sound that fit.
        meters: its ``speaking_level`` follows what is played.
    """

    def __init__(self, rate_hz: int, channels: int, capacity_s: float, meters: Meters) -> None:
        self._rate_hz = rate_hz
        self._channels = channels
        self._ring = SampleRing(int(capacity_s * rate_hz))
        self._meters = meters
        self._meter_samples = max(1, rate_hz // METER_HZ)
        self._loudness = np.zeros(self._ring.capacity // self._meter_samples + 2, dtype=np.float64)
        # Sample numbers. Each has one writer: the callback of the first two, the event loop of the others.
        self._taken = 0
        self._played = 0
        self._discarded_to = 0
        self._is_starving = False
        self._expects_more = False
        self.underruns = 0
        """Gaps within replies, because the voice was slower than speech."""
        self.callbacks = 0
        """How often the device has asked for sound; a device that no longer does is lost."""

    # ── the event loop's side ────────────────────────────────────────────────────────────────────

    @property
    def waiting_s(self) -> float:
        """Seconds of sound that the device has not taken yet."""
        return (self._ring.written - max(self._taken, self._discarded_to)) / self._rate_hz

    @property
    def played_s(self) -> float:
        """Seconds that the device ever took; silence in between does not count."""
        return self._played / self._rate_hz

    def write(self, samples: Samples) -> int:
        """Queue as much of *samples* as fits; how many that were."""
        free = self._ring.capacity - (self._ring.written - max(self._taken, self._discarded_to))
        samples = samples[: max(0, free)]
        if len(samples):
            self._expects_more = True
            start = self._ring.written
            self._ring.write(samples)
            self._measure(start)
        return len(samples)

    def end(self) -> None:
        """The reply is complete: running out of sound is no longer a gap."""
        self._expects_more = False

    def discard(self) -> None:
        """Forget what the device has not taken yet."""
        self._expects_more = False
        self._discarded_to = self._ring.written

    def _measure(self, start: int) -> None:
        """Note the loudness of each stretch that has new samples, from *start* on."""
        end = self._ring.written
        for number in range(start // self._meter_samples, (end - 1) // self._meter_samples + 1):
            stretch = self._ring.read_range(number * self._meter_samples, (number + 1) * self._meter_samples)
            self._loudness[number % len(self._loudness)] = level(stretch)

    # ── the callback's side ──────────────────────────────────────────────────────────────────────

    def fill(self, buffer: npt.NDArray[np.int16]) -> None:
        """Fill *buffer* (int16, interleaved) with what is next, the rest with silence. Never waits."""
        self.callbacks += 1
        frames = buffer.reshape(-1, self._channels)
        taken = max(self._taken, self._discarded_to)
        count = min(len(frames), self._ring.written - taken)
        if count:
            frames[:count] = self._ring.read_range(taken, taken + count)[:, np.newaxis]
            self._played += count
        frames[count:] = 0
        self._taken = taken + count
        self._note_gap(count < len(frames))
        self._meters.speaking_level = float(self._loudness[self._last_stretch()]) if count else 0.0

    def _last_stretch(self) -> int:
        return (self._taken - 1) // self._meter_samples % len(self._loudness)

    def _note_gap(self, is_short: bool) -> None:
        is_starving = is_short and self._expects_more
        if is_starving and not self._is_starving:
            self.underruns += 1
        self._is_starving = is_starving
