"""Test speech and test noise, made on the spot: what the ears are tested with.

Speech comes from the Piper voice of the starter kit, from the Kokoro of the French kit and from espeak-ng; it
is the same every time (fixed seeds) and is kept in the user's cache folder, because synthesis is slow. All sound
is 16 kHz mono int16 unless a rate is given. It says nothing about how real people in real rooms sound.

Voices are named by strings: ``joe`` (Piper), ``joe+3`` (three semitones higher, which sounds like somebody
else), ``joe#2`` (another seed: other timing), ``kokoro:ff_siwis`` (French that Whisper understands), ``espeak:en-gb``,
``espeak:en-us+f3`` (an espeak-ng variant).
"""

import functools
import hashlib
import re
import subprocess
import tempfile
import wave
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime
import platformdirs
import pytest
import soxr
from piper import PiperVoice, SynthesisConfig

from heisenberg.workers.kokoro import Kokoro

RATE_HZ = 16_000
PEAK = 0.5
"""Loudest sample of ``say``, as a fraction of full scale."""

MODEL = "piper-en_US-joe-medium/en_US-joe-medium.onnx"
KOKORO = "kokoro-82m-int8/kokoro.onnx"
FRENCH = "kokoro:ff_siwis"
_EDITION = "1"
"""Part of each cached file's name; raise it when the same arguments come to mean another sound."""

Sound = npt.NDArray[np.int16]


def say(text: str, voice: str = "joe", speed: float = 1.0, rate_hz: int = RATE_HZ) -> Sound:
    """*text*, spoken; begins and ends with speech (no silence around it), peak at half of full scale.

    Skips the test where the voice is not installed.
    """
    key = hashlib.sha256(repr((_EDITION, text, voice, speed, rate_hz)).encode()).hexdigest()[:24]
    cached = Path(platformdirs.user_cache_dir("heisenberg")) / "test-speech" / f"{key}.npy"
    if cached.is_file():
        sound: Sound = np.load(cached)
        return sound
    sound = _to_int16(_trimmed(_synthesise(text, voice, speed, rate_hz)), PEAK)
    cached.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=cached.parent, delete=False) as partial:
        np.save(partial, sound)
    Path(partial.name).replace(cached)  # whole or not at all: other test runs read here, too
    return sound


def say_french(text: str, speed: float = 1.0) -> Sound:
    """*text* in French, by a voice that Whisper base understands; else as :func:`say`."""
    return say(text, FRENCH, speed)


def silence(seconds: float, rate_hz: int = RATE_HZ) -> Sound:
    """Digital silence."""
    return np.zeros(round(seconds * rate_hz), dtype=np.int16)


def noise(kind: str, seconds: float, seed: int = 0, rate_hz: int = RATE_HZ) -> Sound:
    """A room without speech: ``white``, ``pink``, ``hum``, ``music`` or ``typing``; peak at half of full scale."""
    makers = {"white": _white, "pink": _pink, "hum": _hum, "music": _music, "typing": _typing}
    return _to_int16(makers[kind](round(seconds * rate_hz), rate_hz, np.random.default_rng(seed)), PEAK)


def mix(speech: Sound, background: Sound, snr_db: float) -> Sound:
    """*speech* over *background*, repeated or cut to its length; *snr_db* compares speech (where there is any)."""
    voice = speech.astype(np.float64)
    room = np.resize(background, len(speech)).astype(np.float64)
    room *= _loudness(voice[np.abs(voice) > 0.02 * np.abs(voice).max()]) / _loudness(room) / 10 ** (snr_db / 20)
    both = voice + room
    return _to_int16(both, min(1.0, np.abs(both).max() / 32768))


def quieter(sound: Sound, decibels: float) -> Sound:
    """*sound*, attenuated."""
    return (sound / 10 ** (decibels / 20)).round().astype(np.int16)


def join(*sounds: Sound) -> Sound:
    """One after the other."""
    return np.concatenate(sounds)


def chunks(sound: Sound, samples: int = 512) -> list[Sound]:
    """*sound* as the pipeline gets it; the last chunk is filled up with silence."""
    padded = np.pad(sound, (0, -len(sound) % samples))
    return list(padded.reshape(-1, samples))


def write_wav(path: Path, sound: Sound, rate_hz: int = RATE_HZ) -> Path:
    """*sound* as a 16-bit mono WAV file."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(sound.astype("<i2").tobytes())
    return path


# ── speech ───────────────────────────────────────────────────────────────────────────────────────


def _synthesise(text: str, voice: str, speed: float, rate_hz: int) -> npt.NDArray[np.float64]:
    if voice.startswith("espeak:"):
        sound, made_at = _espeak(text, voice.removeprefix("espeak:"), speed)
        return soxr.resample(sound, made_at, rate_hz)
    if voice.startswith("kokoro:"):
        onnxruntime.set_seed(1)
        parts = list(_kokoro().sentences(text, voice.removeprefix("kokoro:"), speed))
        return soxr.resample(np.concatenate(parts).astype(np.float64), 24_000, rate_hz)
    match = re.fullmatch(r"joe([+-]\d+)?(?:#(\d+))?", voice)
    assert match, f"no voice {voice!r}: expected joe, joe+3, joe#2, kokoro:NAME or espeak:NAME"
    pitch = 2 ** (int(match[1] or 0) / 12)
    sound, made_at = _piper(text, int(match[2] or 1), speed / pitch)
    return soxr.resample(sound, made_at * pitch, rate_hz)  # played faster: higher, and as short as asked for


def _piper(text: str, seed: int, speed: float) -> tuple[npt.NDArray[np.float64], int]:
    model = _models_folder() / MODEL
    if not model.is_file():
        pytest.skip("needs the starter kit: heisenberg models pull starter")
    onnxruntime.set_seed(seed)  # counts from the session's start, so every phrase gets a session of its own
    voice = PiperVoice.load(model)
    config = SynthesisConfig(length_scale=1 / speed)
    parts = [chunk.audio_float_array for chunk in voice.synthesize(text, config)]
    return np.concatenate(parts).astype(np.float64), voice.config.sample_rate


@functools.cache
def _kokoro() -> Kokoro:
    model = _models_folder() / KOKORO
    if not model.is_file():
        pytest.skip("needs the French kit: heisenberg models pull french")
    return Kokoro(model, threads=1)


def _models_folder() -> Path:
    return Path(platformdirs.user_data_dir("heisenberg", appauthor=False)) / "models"


def _espeak(text: str, voice: str, speed: float) -> tuple[npt.NDArray[np.float64], int]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "speech.wav"
        words_per_minute = str(round(160 * speed))
        try:
            subprocess.run(["espeak-ng", "-v", voice, "-s", words_per_minute, "-w", path, "--", text], check=True)
        except FileNotFoundError:
            pytest.skip("needs espeak-ng")
        with wave.open(str(path)) as file:
            pcm = file.readframes(file.getnframes())
            return np.frombuffer(pcm, dtype="<i2").astype(np.float64) / 32768, file.getframerate()


def _trimmed(sound: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Without what is more than 40 dB below the loudest sample at either end."""
    heard = np.flatnonzero(np.abs(sound) > 0.01 * np.abs(sound).max())
    return sound[heard[0] : heard[-1] + 1]


# ── noise ────────────────────────────────────────────────────────────────────────────────────────


def _white(samples: int, rate_hz: int, random: np.random.Generator) -> npt.NDArray[np.float64]:
    return random.standard_normal(samples)


def _pink(samples: int, rate_hz: int, random: np.random.Generator) -> npt.NDArray[np.float64]:
    spectrum = np.fft.rfft(random.standard_normal(samples))
    frequencies = np.fft.rfftfreq(samples, 1 / rate_hz)
    return np.fft.irfft(spectrum / np.sqrt(np.maximum(frequencies, 20)), samples)


def _hum(samples: int, rate_hz: int, random: np.random.Generator) -> npt.NDArray[np.float64]:
    """The mains: 50 Hz and its harmonics over a little hiss."""
    seconds = np.arange(samples) / rate_hz
    tones = sum(np.sin(2 * np.pi * 50 * n * seconds + random.uniform(0, 6)) / n for n in (1, 2, 3, 5, 7))
    return tones + 0.02 * random.standard_normal(samples)


def _music(samples: int, rate_hz: int, random: np.random.Generator) -> npt.NDArray[np.float64]:
    """Four chords, plucked twice a second, each note with harmonics that fade."""
    sound = np.zeros(samples)
    chords = ((57, 60, 64), (53, 57, 60), (48, 52, 55), (55, 59, 62))
    for beat, start in enumerate(range(0, samples, rate_hz // 2)):
        seconds = np.arange(min(rate_hz, samples - start)) / rate_hz
        for note in chords[beat // 4 % 4]:
            pitch_hz = 440 * 2 ** ((note + random.choice((0, 12)) - 69) / 12)
            for n in (1, 2, 3, 4):
                fade = np.minimum(seconds / 0.01, 1) * np.exp(-seconds * 3 * n)
                sound[start : start + len(seconds)] += fade * np.sin(2 * np.pi * pitch_hz * n * seconds) / n
    return sound


def _typing(samples: int, rate_hz: int, random: np.random.Generator) -> npt.NDArray[np.float64]:
    """Seven keys a second, each a click of 15 ms, over a very quiet room."""
    sound = 0.003 * random.standard_normal(samples)
    at = 0
    while (at := at + int(random.exponential(rate_hz / 7))) < samples:
        length = min(int(0.015 * rate_hz), samples - at)
        click = random.standard_normal(length) * np.exp(-np.arange(length) / (0.003 * rate_hz))
        sound[at : at + length] += random.uniform(0.3, 1) * click
    return sound


# ── levels ───────────────────────────────────────────────────────────────────────────────────────


def _loudness(sound: npt.NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(np.square(sound))))


def _to_int16(sound: npt.NDArray[np.float64], peak: float) -> Sound:
    """Scaled so that the loudest sample is *peak* of full scale."""
    loudest = float(np.abs(sound).max()) or 1.0
    return (sound / loudest * peak * 32767).round().astype(np.int16)
