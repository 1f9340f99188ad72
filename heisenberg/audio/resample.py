"""Any rate to any rate, block by block, and any channels to one. Here devices and files become 16 kHz mono int16.

It does not know where sound comes from or goes.
"""

import numpy as np
import numpy.typing as npt
import soxr

from heisenberg.core.audio import Samples

Floats = npt.NDArray[np.float32]
"""Mono sound, -1.0 to 1.0, shape (n,)."""

QUALITY = "HQ"
"""soxr's 20 bit quality. It holds back 20 to 40 ms at 48 kHz, like the cheaper ones; LQ saves half of that
and dulls the sibilants."""

FULL_SCALE = 32768.0


class Resampler:
    """A stream of mono sound on its way from one rate to another.

    The whole stream comes out exactly as long as it went in, in seconds, once :meth:`flush` was called.
    Between equal rates, int16 passes through bit for bit.

    Args:
        from_hz: samples per second that go in, above 0.
        to_hz: samples per second that come out, above 0.
    """

    def __init__(self, from_hz: int, to_hz: int) -> None:
        self.from_hz = from_hz
        self.to_hz = to_hz
        self._stream = None if from_hz == to_hz else soxr.ResampleStream(from_hz, to_hz, 1, "float32", QUALITY)
        self._has_input = False

    def process(self, sound: Samples | Floats) -> Samples:
        """Advance by *sound* (int16, or float32 from -1 to 1); what is ready by now, possibly nothing."""
        if self._stream is None:
            return to_int16(sound)
        if not len(sound):
            return np.zeros(0, dtype=np.int16)
        self._has_input = True
        return to_int16(self._stream.resample_chunk(_to_float(sound)))

    def flush(self) -> Samples:
        """The end of the stream; afterwards a new one may begin."""
        if self._stream is None or not self._has_input:
            return np.zeros(0, dtype=np.int16)
        self._has_input = False
        tail = self._stream.resample_chunk(np.zeros(0, dtype=np.float32), last=True)
        self._stream.clear()
        return to_int16(tail)


def resample(sound: Samples | Floats, from_hz: int, to_hz: int) -> Samples:
    """A whole sound at another rate."""
    resampler = Resampler(from_hz, to_hz)
    return np.concatenate([resampler.process(sound), resampler.flush()])


def mix_down(frames: npt.NDArray[np.int16] | Floats) -> Floats:
    """The average of all channels. *frames* has shape (n, channels); int16, or float32 from -1 to 1."""
    mono: Floats = frames.mean(axis=1, dtype=np.float32)
    return mono / np.float32(FULL_SCALE) if frames.dtype == np.int16 else mono


def to_int16(sound: Samples | Floats) -> Samples:
    """*sound* as int16; what is beyond full scale is clipped, what is not a number is silence."""
    if sound.dtype == np.int16:
        return sound.astype(np.int16, copy=False)
    numbers: Floats = np.nan_to_num(sound.astype(np.float32, copy=False), posinf=1.0, neginf=-1.0)
    scaled: Floats = np.clip(np.rint(numbers * np.float32(FULL_SCALE)), -FULL_SCALE, FULL_SCALE - 1)
    return scaled.astype(np.int16)


def _to_float(sound: Samples | Floats) -> Floats:
    if sound.dtype == np.int16:
        return sound.astype(np.float32) / np.float32(FULL_SCALE)
    return sound.astype(np.float32, copy=False)
