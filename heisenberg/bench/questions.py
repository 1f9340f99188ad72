"""Synthesised speech, for measurements and for the demo: the same each time, with the models of this machine."""

from pathlib import Path

import numpy as np

from heisenberg.audio.resample import resample
from heisenberg.audio.wavwriter import WavWriter
from heisenberg.core.audio import PIPELINE_RATE_HZ, AudioChunk, Samples
from heisenberg.core.errors import SpeechError
from heisenberg.core.stages import Voice
from heisenberg.models import Runner

QUESTION_LEAD_S = 0.8
QUESTION_TAIL_S = 1.6

QUESTIONS = {
    "en": (
        "what is the capital of France?",
        "tell me about the ocean at night.",
        "paint me a quiet forest in the morning.",
        "who invented the telephone?",
        "describe a storm over the mountains.",
        "show me a harbour in the fog, with small boats.",
        "why is the sky blue?",
        "tell me about a fox, and make it short.",
    ),
    "fr": (
        "quelle est la capitale de la France ?",
        "parle-moi de la mer, la nuit.",
        "montre-moi une forêt calme, le matin.",
    ),
}
"""What is asked after the wake phrase, by language. Two of the English ones have a pause in the middle, as people do:
a setting that takes it for the end is quick, and useless."""

VOICED_SHARE = 0.01
"""Sound is speech while it is at most 40 dB quieter than the loudest 10 ms of the question."""


async def synthesise_question(runner: Runner, text: str, path: Path, language: str | None = "en") -> Path:
    """Write *text* as a spoken question in a quiet room, the same each time; *path*. Raises SpeechError."""
    spoken = await _spoken(runner.plain_voice(), text, language)
    lead, tail = (AudioChunk.silence(seconds, spoken.rate_hz) for seconds in (QUESTION_LEAD_S, QUESTION_TAIL_S))
    write_wav(path, AudioChunk(np.concatenate([lead.samples, spoken.samples, tail.samples]), spoken.rate_hz))
    return path


def questions(wake_word: str, language: str) -> list[str]:
    """What is asked in *language* (English if it has none of its own), each beginning with the wake phrase."""
    phrase = Path(wake_word).stem.replace("_", " ").title()
    return [f"{phrase}, {question}" for question in QUESTIONS.get(language, QUESTIONS["en"])]


def end_of_speech(samples: Samples) -> float:
    """Where the last sound of a synthesised question ends, in seconds of its 16 kHz *samples*; 0 if it is silent.

    Known from the sound itself, to 10 ms: there is no noise in it, so nothing needs to be guessed.
    """
    frame = PIPELINE_RATE_HZ // 100
    frames = samples[: len(samples) // frame * frame].reshape(-1, frame).astype(np.float64)
    loudness = np.sqrt(np.mean(np.square(frames), axis=1))
    voiced = np.flatnonzero(loudness > VOICED_SHARE * np.max(loudness, initial=0.0))
    return float(voiced[-1] + 1) * frame / PIPELINE_RATE_HZ if len(voiced) else 0.0


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
