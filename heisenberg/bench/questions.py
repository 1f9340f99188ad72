"""Synthesised speech, for measurements and for the demo: the same each time, with the models of this machine."""

from pathlib import Path

import numpy as np

from heisenberg.audio.resample import resample
from heisenberg.audio.wavwriter import WavWriter
from heisenberg.core.audio import PIPELINE_RATE_HZ, AudioChunk, Samples
from heisenberg.core.errors import SpeechError
from heisenberg.core.stages import Voice
from heisenberg.main import Runner

QUESTION_LEAD_S = 0.8
QUESTION_TAIL_S = 1.6


async def synthesise_question(runner: Runner, text: str, path: Path, language: str | None = "en") -> Path:
    """Write *text* as a spoken question in a quiet room, the same each time; *path*. Raises SpeechError."""
    spoken = await _spoken(runner.plain_voice(), text, language)
    lead, tail = (AudioChunk.silence(seconds, spoken.rate_hz) for seconds in (QUESTION_LEAD_S, QUESTION_TAIL_S))
    write_wav(path, AudioChunk(np.concatenate([lead.samples, spoken.samples, tail.samples]), spoken.rate_hz))
    return path


async def speech_at_pipeline_rate(runner: Runner, text: str) -> Samples:
    """English *text* as 16 kHz samples, the same each time. Raises SpeechError."""
    spoken = await _spoken(runner.plain_voice(), text, "en")
    return resample(spoken.samples, spoken.rate_hz, PIPELINE_RATE_HZ)


async def _spoken(voice: Voice, text: str, language: str | None) -> AudioChunk:
    chunks = [chunk async for chunk in voice.speak(text, language)]
    if not any(np.any(chunk.samples) for chunk in chunks):
        raise SpeechError(f'The voice has no sound for "{text}". Give it words to say.')
    return AudioChunk(np.concatenate([chunk.samples for chunk in chunks]), chunks[0].rate_hz)


def write_wav(path: Path, sound: AudioChunk) -> None:
    """Write *sound* as a 16-bit mono WAV. Raises AudioError."""
    writer = WavWriter(path, sound.rate_hz)
    writer.write(sound.samples)
    writer.close()
