"""What a room sounds like besides speech, made of numbers: 16 kHz mono int16. Used by ``room_life.py``.

Everything comes from the generator that is passed in, so that a seed gives the same room each time.
"""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from heisenberg.core.audio import PIPELINE_RATE_HZ, Samples

Wave = npt.NDArray[np.float64]
"""Sound of any scale, shape (n,)."""

FULL_SCALE = 32_767
FLOOR = 40.0
"""Standard deviation of a quiet room's hiss, in int16 steps; about −58 dB."""


def quiet(seconds: float, random: np.random.Generator) -> Samples:
    """An empty room: its hiss."""
    return random.normal(0.0, FLOOR, _count(seconds)).astype(np.int16)


def muted(seconds: float) -> Samples:
    """A microphone that is switched off: zeros."""
    return np.zeros(_count(seconds), dtype=np.int16)


def noise(kind: str, seconds: float, random: np.random.Generator, peak: float = 0.2) -> Samples:
    """One of :data:`NOISES`; its loudest sample is *peak* (0–1) of full scale."""
    return _with_peak(NOISES[kind](_count(seconds), random), peak)


def babble(voices: Sequence[Samples], seconds: float, random: np.random.Generator, peak: float = 0.2) -> Samples:
    """Several of *voices* at once, each from another place and again and again."""
    mixed = np.zeros(_count(seconds))
    for voice in random.permutation(len(voices))[:4]:
        mixed += np.resize(np.roll(voices[voice], int(random.integers(PIPELINE_RATE_HZ))), len(mixed))
    return _with_peak(mixed, peak)


def over(speech: Samples, background: Samples, snr_db: float) -> Samples:
    """*speech* with *background* (repeated or cut to its length) so many decibels below it."""
    voice, room = speech.astype(np.float64), np.resize(background, len(speech)).astype(np.float64)
    loudness = float(np.sqrt(np.mean(np.square(room)))) or 1.0
    room *= np.sqrt(np.mean(np.square(voice))) / loudness / 10 ** (snr_db / 20)
    return _clipped(voice + room)


def louder(sound: Samples, factor: float) -> Samples:
    """*sound* times *factor*; what does not fit is clipped, as a microphone does it."""
    return _clipped(sound.astype(np.float64) * factor)


def _count(seconds: float) -> int:
    return round(seconds * PIPELINE_RATE_HZ)


def _with_peak(wave: Wave, peak: float) -> Samples:
    return _clipped(wave / (float(np.abs(wave).max(initial=0.0)) or 1.0) * peak * FULL_SCALE)


def _clipped(wave: Wave) -> Samples:
    return np.clip(np.round(wave), -FULL_SCALE - 1, FULL_SCALE).astype(np.int16)


# ── noises ───────────────────────────────────────────────────────────────────────────────────────


def _hum(samples: int, random: np.random.Generator) -> Wave:
    """A transformer: 50 Hz and what sounds with it."""
    at = np.arange(samples) / PIPELINE_RATE_HZ
    return np.asarray(sum(np.sin(2 * np.pi * 50 * n * at + random.uniform(0, 6)) / n for n in (1, 2, 4, 6)))


def _pink(samples: int, random: np.random.Generator) -> Wave:
    """A fan: as much power in each octave."""
    spectrum = np.fft.rfft(random.standard_normal(samples))
    return np.asarray(np.fft.irfft(spectrum / np.sqrt(np.arange(1, len(spectrum) + 1)), samples))


def _music(samples: int, random: np.random.Generator) -> Wave:
    """Plucked notes of one scale, four a second."""
    wave = np.zeros(samples)
    for start in range(0, samples, PIPELINE_RATE_HZ // 4):
        at = np.arange(min(PIPELINE_RATE_HZ, samples - start)) / PIPELINE_RATE_HZ
        pitch_hz = 220 * 2 ** (random.choice((0, 2, 4, 7, 9, 12, 16)) / 12)
        for n in (1, 2, 3):
            wave[start : start + len(at)] += np.exp(-4 * n * at) * np.sin(2 * np.pi * n * pitch_hz * at) / n
    return wave


def _typing(samples: int, random: np.random.Generator) -> Wave:
    """Keys, about six a second."""
    wave = 0.002 * random.standard_normal(samples)
    for start in random.integers(0, max(1, samples), max(1, samples * 6 // PIPELINE_RATE_HZ)):
        length = min(200, samples - int(start))
        wave[start : start + length] += random.standard_normal(length) * np.exp(-np.arange(length) / 40)
    return wave


def _door(samples: int, random: np.random.Generator) -> Wave:
    """A bang, once."""
    at = np.arange(samples) / PIPELINE_RATE_HZ
    return np.asarray(np.exp(-9 * at) * (np.sin(2 * np.pi * 70 * at) + 0.5 * random.standard_normal(samples)))


NOISES: dict[str, Callable[[int, np.random.Generator], Wave]] = {
    "hum": _hum,
    "pink": _pink,
    "music": _music,
    "typing": _typing,
    "door": _door,
}
"""By name; each makes so many samples of any scale."""
