"""The talk that ambient mode is measured with, as sound: synthesised, or somebody's own recordings.

Out: a WAV file, and the sentences that are said in it. English is spoken by the plain voice of this machine, French by
the voice of the French kit where that is installed. The words are in ``ambient_texts.py``.
"""

import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from heisenberg.audio.resample import resample
from heisenberg.audio.wavfile import WavSource
from heisenberg.audio.wavwriter import WavWriter
from heisenberg.bench.ambient_texts import paragraphs
from heisenberg.bench.questions import speech_at_pipeline_rate
from heisenberg.core.audio import PIPELINE_RATE_HZ, Samples
from heisenberg.core.config import Config
from heisenberg.core.errors import AudioError, ModelNotFound
from heisenberg.models import Runner
from heisenberg.stt.spoken_language import guessed_language

FRENCH_MODEL, FRENCH_VOICE = "kokoro-82m-int8", "ff_siwis"
MULTILINGUAL = "whisper-base"

PAUSES_S = (0.9, 0.4, 1.2, 0.8, 2.5, 0.5, 1.0, 4.0)
"""Behind the sentences, in turn: some too short to end a segment, some long."""

BETWEEN_LANGUAGES_S = 1.2
"""Nobody goes on in another language without a breath. A segment with two languages in it is heard in one."""

LEAD_S, TAIL_S = 1.0, 2.0


@dataclass(frozen=True, slots=True)
class Spoken:
    """A sentence of the talk."""

    text: str
    language: str = "en"
    """ISO 639-1 code."""


@dataclass(frozen=True, slots=True)
class Talk:
    """A recording, and what is said in it."""

    wav: Path
    seconds: float
    spoken: list[Spoken]
    is_recorded: bool = False
    """Whether somebody else brought it."""

    @property
    def languages(self) -> tuple[str, ...]:
        """In the order in which they are first spoken."""
        return tuple(dict.fromkeys(sentence.language for sentence in self.spoken))


def hearing_both(config: Config, runner: Runner) -> Config | None:
    """*config* with a recogniser that hears English and French; None where that, or the French voice, is missing."""
    stt = config.stt
    if not _has(runner, FRENCH_MODEL):
        return None
    if stt.engine == "whisper" and Path(stt.model).name.endswith(".en"):
        if not _has(runner, MULTILINGUAL):
            return None
        stt = stt.model_copy(update={"model": MULTILINGUAL})
    stt = stt.model_copy(update={"language": "auto", "languages": ["en", "fr"]})
    return config.model_copy(update={"stt": stt})


async def synthesised(
    runner: Runner, wav: Path, seconds: float, languages: tuple[str, ...], say: Callable[[str], None]
) -> Talk:
    """Speak about so many *seconds* into *wav*. Raises SpeechError, RunnerError."""
    say(f"synthesising the talk ({', '.join(languages)})")
    spoken: list[Spoken] = []
    writer = WavWriter(wav, PIPELINE_RATE_HZ)
    length = 0
    try:
        async for sentence, samples in _parts(runner, seconds, languages):
            writer.write(samples)
            length += len(samples)
            spoken += [sentence] if sentence else []
    finally:
        writer.close()
    return Talk(wav, length / PIPELINE_RATE_HZ, spoken)


def recorded(folder: Path, wav: Path, languages: Sequence[str]) -> Talk:
    """The WAV files in *folder* one after the other, as *wav*; beside each a .txt with a sentence per line.

    Raises: AudioError.
    """
    spoken: list[Spoken] = []
    writer = WavWriter(wav, PIPELINE_RATE_HZ)
    length = 0
    try:
        for told in sorted(folder.glob("*.txt")):
            with closing(WavSource(told.with_suffix(".wav"), pacing=False)) as source:
                while (block := source.read()) is not None:
                    writer.write(block)
                    length += len(block)
            writer.write(_silence(TAIL_S))
            length += len(_silence(TAIL_S))
            text = told.read_text(encoding="utf-8")
            language = guessed_language(text, languages, languages[0])
            spoken += [
                Spoken(line.strip(), guessed_language(line, languages, language)) for line in text.splitlines() if line
            ]
    finally:
        writer.close()
    if not spoken:
        raise AudioError(f"{folder} has no .txt beside a .wav. Write down what is said in each, a sentence per line.")
    return Talk(wav, length / PIPELINE_RATE_HZ, spoken, is_recorded=True)


async def _parts(
    runner: Runner, seconds: float, languages: tuple[str, ...]
) -> AsyncIterator[tuple[Spoken | None, Samples]]:
    """Sentence (None for silence) and sound; each sentence is synthesised once, when it is first needed."""
    sounds: dict[str, Samples] = {}
    pauses = itertools.cycle(PAUSES_S)
    at, most = LEAD_S, seconds - TAIL_S
    yield None, _silence(LEAD_S)
    for language, sentences in itertools.cycle(paragraphs(languages)):
        for text in sentences:
            if text not in sounds:
                sounds[text] = await _speech(runner, text, language)
            pause_s = next(pauses)
            if text is sentences[-1] and len(languages) > 1:
                pause_s = max(pause_s, BETWEEN_LANGUAGES_S)
            length_s = len(sounds[text]) / PIPELINE_RATE_HZ + pause_s
            if at + length_s > most and at > LEAD_S:
                yield None, _silence(TAIL_S)
                return
            at += length_s
            yield Spoken(text, language), sounds[text]
            yield None, _silence(pause_s)


async def _speech(runner: Runner, text: str, language: str) -> Samples:
    if language == "en":
        return await speech_at_pipeline_rate(runner, text)
    voice = runner.speaker(runner.fleet.catalog.find(FRENCH_MODEL), voice=FRENCH_VOICE)
    chunks = [chunk async for chunk in voice.speak(text, language)]
    return resample(np.concatenate([chunk.samples for chunk in chunks]), chunks[0].rate_hz, PIPELINE_RATE_HZ)


def _has(runner: Runner, model: str) -> bool:
    try:
        runner.fleet.catalog.find(model)
    except ModelNotFound:
        return False
    return True


def _silence(seconds: float) -> Samples:
    return np.zeros(round(seconds * PIPELINE_RATE_HZ), dtype=np.int16)
