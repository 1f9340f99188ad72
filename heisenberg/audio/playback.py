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

REWIND_S = 1.0
"""So much of what a device took can be taken back; no device holds more."""

REMEMBERED = 64
"""Callbacks of which is known how much sound each took: more than :data:`REWIND_S` at 20 ms each."""


class PlaybackQueue:
    """Sound on its way to a device. Memory is taken once, at construction.

    Args:
        rate_hz: samples per second.
        channels: of the device; each plays the same.
        capacity_s: seconds of sound that fit.
        meters: its ``speaking_level`` follows what is played.
    """

    def __init__(self, rate_hz: int, channels: int, capacity_s: float, meters: Meters) -> None:
        self.rate_hz = rate_hz
        self.channels = channels
        self._capacity = int(capacity_s * rate_hz)
        self._ring = SampleRing(self._capacity + int(REWIND_S * rate_hz))
        self._meters = meters
        self._meter_samples = max(1, rate_hz // METER_HZ)
        self._loudness = np.zeros(self._ring.capacity // self._meter_samples + 2, dtype=np.float64)
        # Sample numbers. Each has one writer: the callback of the first two, the event loop of the others.
        self._taken = 0
        self._played = 0
        self._discarded_to = 0
        self._is_starving = False
        self._frames_given = np.zeros(REMEMBERED, dtype=np.int64)
        self._sound_given = np.zeros(REMEMBERED, dtype=np.int64)
        self._heard_to = 0
        self.expects_more = False
        """Whether running out of sound is a gap in the reply."""
        self.is_held = False
        """While it is, the device is given silence."""
        self.latency_s = 0.0
        """So much later is heard what the device takes."""
        self.underruns = 0
        """Gaps within replies, because the voice was slower than speech."""
        self.callbacks = 0
        """How often the device has asked for sound; a device that no longer does is lost."""

    # ── the event loop's side ────────────────────────────────────────────────────────────────────

    @property
    def waiting_s(self) -> float:
        """Seconds of sound that the device has not taken yet."""
        return self._waiting / self.rate_hz

    @property
    def played_s(self) -> float:
        """Seconds that the device ever took; silence in between does not count."""
        return self._played / self.rate_hz

    @property
    def heard_s(self) -> float:
        """The same without what is still inside the device."""
        return (self._played - self._unheard()) / self.rate_hz

    @property
    def is_sounding(self) -> bool:
        """Whether something can be heard, or is about to be. It ends with :meth:`all_was_heard`."""
        return self._waiting > 0 or self._played > self._heard_to

    def write(self, samples: Samples) -> int:
        """Queue as much of *samples* as fits; how many that were."""
        samples = samples[: max(0, self._capacity - self._waiting)]
        if len(samples):
            self.expects_more = True
            start = self._ring.written
            self._ring.write(samples)
            self._measure(start)
        return len(samples)

    def end(self) -> None:
        """The reply is complete: running out of sound is no longer a gap."""
        self.expects_more = False

    def discard(self) -> None:
        """Forget what the device has not taken yet."""
        self.expects_more = False
        self._discarded_to = self._ring.written

    def all_was_heard(self) -> None:
        """The device holds nothing of it any more."""
        self._heard_to = self._played

    def take_back(self) -> None:
        """What was taken, but not heard, waits again. Only once the device asks for nothing any more."""
        unheard = self._unheard()
        self._taken -= unheard
        self._played -= unheard
        self._heard_to = self._played

    def waiting(self) -> Samples:
        """A copy of what the device has not taken yet."""
        return self._ring.read_range(max(self._taken, self._discarded_to), self._ring.written)

    @property
    def _waiting(self) -> int:
        return self._ring.written - max(self._taken, self._discarded_to)

    def _unheard(self) -> int:
        """How many samples are inside the device: those among the frames that it was given last."""
        frames, samples = round(self.latency_s * self.rate_hz), 0
        for number in range(self.callbacks - 1, max(-1, self.callbacks - 1 - REMEMBERED), -1):
            sound = int(self._sound_given[number % REMEMBERED])
            frames -= int(self._frames_given[number % REMEMBERED]) - sound  # The silence comes after the sound.
            if frames <= 0:
                break
            samples += min(frames, sound)
            frames -= sound
        return min(samples, self._played - self._heard_to, self._taken)

    def _measure(self, start: int) -> None:
        """Note the loudness of each stretch that has new samples, from *start* on."""
        end = self._ring.written
        for number in range(start // self._meter_samples, (end - 1) // self._meter_samples + 1):
            stretch = self._ring.read_range(number * self._meter_samples, (number + 1) * self._meter_samples)
            self._loudness[number % len(self._loudness)] = level(stretch)

    # ── the callback's side ──────────────────────────────────────────────────────────────────────

    def fill(self, buffer: npt.NDArray[np.int16]) -> None:
        """Fill *buffer* (int16, interleaved) with what is next, the rest with silence. Never waits."""
        frames = buffer.reshape(-1, self.channels)
        taken = max(self._taken, self._discarded_to)
        count = 0 if self.is_held else min(len(frames), self._ring.written - taken)
        if count:
            frames[:count] = self._ring.read_range(taken, taken + count)[:, np.newaxis]
            self._played += count
        frames[count:] = 0
        self._taken = taken + count
        self._sound_given[self.callbacks % REMEMBERED] = count
        self._frames_given[self.callbacks % REMEMBERED] = len(frames)
        self.callbacks += 1
        self._note_gap(count < len(frames))
        self._meters.speaking_level = float(self._loudness[self._last_stretch()]) if count else 0.0

    def _last_stretch(self) -> int:
        return (self._taken - 1) // self._meter_samples % len(self._loudness)

    def _note_gap(self, is_short: bool) -> None:
        is_starving = is_short and self.expects_more and not self.is_held
        if is_starving and not self._is_starving:
            self.underruns += 1
        self._is_starving = is_starving
