"""The one shape audio has between stages, and the meters everyone may read.

Inside the pipeline, audio is 16 kHz mono int16. Devices and files may have any rate; they are
converted at the edge (``audio/``) and nowhere else.
"""

import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

PIPELINE_RATE_HZ = 16_000
"""What the wake word, the VAD and Whisper expect."""

CHUNK_SAMPLES = 512
"""32 ms: Silero's frame, and about 30 level messages a second."""

Samples = npt.NDArray[np.int16]
"""Mono PCM, shape (n,)."""


@dataclass(frozen=True, slots=True, eq=False)
class AudioChunk:
    """A stretch of mono sound."""

    samples: Samples
    """int16, shape (n,)."""

    rate_hz: int
    """Samples per second."""

    @property
    def seconds(self) -> float:
        """Length in seconds."""
        return len(self.samples) / self.rate_hz

    @classmethod
    def from_bytes(cls, pcm: bytes, rate_hz: int) -> "AudioChunk":
        """Wrap little-endian 16-bit mono PCM (a trailing odd byte is dropped)."""
        return cls(np.frombuffer(pcm[: len(pcm) // 2 * 2], dtype="<i2").astype(np.int16), rate_hz)

    @classmethod
    def silence(cls, seconds: float, rate_hz: int) -> "AudioChunk":
        """*seconds* of zeros."""
        return cls(np.zeros(round(seconds * rate_hz), dtype=np.int16), rate_hz)


def level(samples: Samples) -> float:
    """Loudness of *samples* as the root mean square, 0.0 (silence) to 1.0 (full scale)."""
    if not len(samples):
        return 0.0
    exact = samples.astype(np.float64)  # np.mean costs five times as much as the rest, thirty times a second
    return math.sqrt(np.dot(exact, exact) / len(exact)) / 32768.0


@dataclass(slots=True)
class Meters:
    """The latest readings, written by the audio thread and the player, polled at 30 Hz.

    Polled, not sent: a meter that nobody reads costs nothing, and no queue can grow. Each field is
    replaced whole, so readers on another thread need no lock.
    """

    level: float = field(default=0.0)
    """Microphone loudness, 0–1."""

    vad: float = field(default=0.0)
    """Speech probability, 0–1."""

    speaking_level: float = field(default=0.0)
    """Loudness of the reply being played, 0–1."""
