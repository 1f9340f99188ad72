"""From a client's sound to a recogniser's frames: mono, 24 kHz, 1920 samples each. Pure but for the resampler."""

import numpy as np
import soxr

from heisenberg.workers.moshi_stream import FRAME_SAMPLES, RATE_HZ, FloatAudio, Frame

LOWEST_RATE_HZ, HIGHEST_RATE_HZ = 8_000, 192_000


class Intake:
    """Cuts one client's stream; what is no whole frame yet waits.

    Args:
        rate_hz: 8 000–192 000.
        channels: they are mixed.

    Raises: ValueError.
    """

    def __init__(self, rate_hz: int, channels: int) -> None:
        if not LOWEST_RATE_HZ <= rate_hz <= HIGHEST_RATE_HZ:
            raise ValueError(f"audio of {rate_hz} Hz; it may have {LOWEST_RATE_HZ} to {HIGHEST_RATE_HZ}")
        if not 1 <= channels <= 32:
            raise ValueError(f"audio of {channels} channels; it may have 1 to 32")
        self.rate_hz, self.channels = rate_hz, channels
        is_native = rate_hz == RATE_HZ
        self._resampler = None if is_native else soxr.ResampleStream(rate_hz, RATE_HZ, 1, dtype="float32", quality="HQ")
        self._rest = np.zeros(0, dtype=np.float32)

    def feed(self, pcm: bytes) -> list[Frame]:
        """Whole frames that little-endian 16-bit *pcm* completes."""
        usable = len(pcm) // (2 * self.channels) * 2 * self.channels
        sound = np.frombuffer(pcm[:usable], dtype="<i2").astype(np.float32) / 32768.0
        if self.channels > 1:
            sound = sound.reshape(-1, self.channels).mean(axis=1)
        return self._cut(sound, is_last=False)

    def drain(self) -> tuple[list[Frame], FloatAudio]:
        """All that still waits: whole frames, and the rest that is none. What comes later begins anew."""
        frames = self._cut(np.zeros(0, dtype=np.float32), is_last=True)
        rest, self._rest = self._rest, np.zeros(0, dtype=np.float32)
        return frames, rest

    def _cut(self, sound: FloatAudio, *, is_last: bool) -> list[Frame]:
        if self._resampler is not None:
            sound = self._resampler.resample_chunk(sound, last=is_last)
            if is_last:
                self._resampler.clear()
        waiting = np.concatenate([self._rest, sound])
        whole = len(waiting) // FRAME_SAMPLES
        self._rest = waiting[whole * FRAME_SAMPLES :]
        return list(waiting[: whole * FRAME_SAMPLES].reshape(whole, FRAME_SAMPLES))
