"""Test tones, and what is left of them after they went through something."""

import numpy as np

from heisenberg.core.audio import Samples

AMPLITUDE = 0.5


def tone(seconds: float, rate_hz: int, *, hz: float = 440.0, amplitude: float = AMPLITUDE) -> Samples:
    """A sine."""
    at = np.arange(round(seconds * rate_hz)) / rate_hz
    return np.rint(amplitude * 32767 * np.sin(2 * np.pi * hz * at)).astype(np.int16)


def pitch(samples: Samples, rate_hz: int = 16_000) -> float:
    """The loudest frequency in Hz, to about 1 Hz for a sound of a second."""
    windowed = samples * np.hanning(len(samples))
    spectrum = np.abs(np.fft.rfft(windowed, n=4 * len(samples)))
    return float(np.argmax(spectrum) * rate_hz / (4 * len(samples)))


def amplitude(samples: Samples) -> float:
    """The amplitude (0 to 1) of a sine, its first and last tenth left out."""
    edge = len(samples) // 10
    middle = samples[edge : len(samples) - edge].astype(np.float64) / 32768
    return float(np.sqrt(2 * np.mean(middle**2)))
