"""How quick and how right a recogniser is, by itself: ``heisenberg bench stt``.

Each sentence is spoken by a synthetic voice and heard twice. Once as fast as it can be, for the real-time factor; once
paced as somebody speaks, in the blocks in which the audio thread hands a command on, with the final text asked for
where the session would ask for it: after the silence that makes a pause. Wake word, endpoint and answer are no part.
"""

import asyncio
import re
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from heisenberg.audio.wavfile import WavSource
from heisenberg.bench.questions import QUESTIONS, end_of_speech, speech_at_pipeline_rate
from heisenberg.bench.table import markdown, percentile
from heisenberg.core.audio import CHUNK_SAMPLES, PIPELINE_RATE_HZ, Samples
from heisenberg.core.config import Config
from heisenberg.core.errors import AudioError
from heisenberg.core.stages import Recogniser
from heisenberg.models import Runner

STORIES = (
    "The old harbour lies quiet under a pale morning sky.",
    "A fisherman carries two baskets of silver herring up the hill.",
    "On Sundays the baker rings a bell when the bread is ready.",
    "Children run down the narrow street with coins in their hands.",
    "A train leaves for the capital at half past nine.",
)
"""Beside the questions of the other measurements."""

BLOCK_SAMPLES = 3 * CHUNK_SAMPLES
TAIL_S = 1.5
"""Silence behind each sentence; a pause is heard in it."""


@dataclass(frozen=True, slots=True)
class Spoken:
    """What is said, and its sound."""

    words: str
    sound: Samples
    """16 kHz, with silence behind it."""
    ends_s: float
    """Where the speech ends in it."""


@dataclass(frozen=True, slots=True)
class Hearing:
    """One sentence, as it was heard."""

    said: str
    heard: str
    audio_s: float
    decode_s: float
    """To hear all of it at once."""
    first_words_s: float
    """From the beginning of the sound to the first partial transcript; NaN without one."""
    final_s: float
    """From the true end of speech to the final text, the silence that was waited for included."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured."""

    engine: str
    model: str
    soft_end_s: float
    """Silence after which the final text is asked for."""
    hearings: list[Hearing]

    @property
    def real_time_factor(self) -> float:
        """Seconds of work for a second of sound."""
        return sum(h.decode_s for h in self.hearings) / max(1e-9, sum(h.audio_s for h in self.hearings))

    @property
    def word_error_rate(self) -> float:
        """Of all words."""
        total = sum(len(words(h.said)) for h in self.hearings)
        return sum(word_errors(h.said, h.heard) for h in self.hearings) / max(1, total)


async def measure(config: Config, recordings: Path | None = None) -> Figures:
    """Hear every sentence twice with the configured recogniser: synthesised ones, or those in *recordings*.

    Raises: HeisenbergError.
    """
    async with Runner(config) as runner:
        texts = (*QUESTIONS["en"], *STORIES) if recordings is None else ()
        spoken = [_spoken(text, await speech_at_pipeline_rate(runner, text)) for text in texts]
        spoken += [] if recordings is None else _recorded(recordings)
        recogniser = runner.recogniser()
        await recogniser.warm_up()
        await _at_once(recogniser, spoken[0])  # the first one pays for what is made when it is needed
        soft_end_s = config.vad.soft_end_seconds
        hearings = [await _hear(recogniser, each, soft_end_s) for each in spoken]
    return Figures(config.stt.engine, config.stt.model, soft_end_s, hearings)


def report(figures: Sequence[Figures]) -> str:
    """The figures as a table, a column for each engine."""
    rows: list[list[object]] = [
        ["real-time factor", *(f"{each.real_time_factor:.2f}" for each in figures)],
        ["first words, s from the beginning (p50)", *(_times(each, "first_words_s", 50) for each in figures)],
        ["final text, s from the end of speech (p50 / p95)", *(_both(each) for each in figures)],
        ["word error rate, %", *(f"{100 * each.word_error_rate:.1f}" for each in figures)],
    ]
    return markdown(["speech to text", *(f"{each.engine}, {each.model}" for each in figures)], rows)


def section(figures: Sequence[Figures], command: str, machine: str) -> str:
    """What is written into the page of benchmarks."""
    sentences, waited_s = len(figures[0].hearings), figures[0].soft_end_s
    how = f"{sentences} sentences. The final text is asked for after {waited_s:g} s of silence, which are counted."
    return f"Measured on {machine}, with:\n\n```\n{command}\n```\n\n{report(figures)}\n\n{how}"


def words(text: str) -> list[str]:
    """Lower-case words without punctuation."""
    return re.findall(r"[^\W_]+(?:'[^\W_]+)*", text.lower().replace("’", "'"))


def word_errors(said: str, heard: str) -> int:
    """Words that must be changed, dropped or added."""
    wanted, got = words(said), words(heard)
    row = list(range(len(got) + 1))
    for i, word in enumerate(wanted, 1):
        previous, row[0] = row[0], i
        for j, other in enumerate(got, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (word != other))
    return row[-1]


def _recorded(folder: Path) -> list[Spoken]:
    """WAV files and what is said in them. Raises AudioError."""
    found = []
    for told in sorted(folder.glob("*.txt")):
        with closing(WavSource(told.with_suffix(".wav"), pacing=False)) as source:
            blocks = []
            while (block := source.read()) is not None:
                blocks.append(block)
        found.append(_spoken(told.read_text(encoding="utf-8").strip(), np.concatenate(blocks)))
    if not found:
        raise AudioError(f"{folder} has no .txt beside a .wav. Write down what is said in each recording.")
    return found


def _spoken(text: str, sound: Samples) -> Spoken:
    silence = np.zeros(int(TAIL_S * PIPELINE_RATE_HZ), dtype=np.int16)
    return Spoken(text, np.concatenate([sound, silence]), end_of_speech(sound))


async def _hear(recogniser: Recogniser, spoken: Spoken, soft_end_s: float) -> Hearing:
    decode_s = await _at_once(recogniser, spoken)
    loop = asyncio.get_running_loop()
    pause = round((spoken.ends_s + soft_end_s) * PIPELINE_RATE_HZ)
    partials: list[float] = []
    began = loop.time()
    recognition = recogniser.open(lambda text: partials.append(loop.time() - began))
    try:
        for at in range(0, pause, BLOCK_SAMPLES):
            block = spoken.sound[at : min(at + BLOCK_SAMPLES, pause)]
            await asyncio.sleep(began + (at + len(block)) / PIPELINE_RATE_HZ - loop.time())
            recognition.feed(block)
        found = await recognition.finish(spoken.sound[:pause])
        final_s = loop.time() - began - spoken.ends_s
    finally:
        await recognition.cancel()
    first_s = partials[0] if partials else float("nan")
    return Hearing(spoken.words, found.text, len(spoken.sound) / PIPELINE_RATE_HZ, decode_s, first_s, final_s)


async def _at_once(recogniser: Recogniser, spoken: Spoken) -> float:
    recognition = recogniser.open(lambda text: None)
    began = time.perf_counter()
    try:
        await recognition.finish(spoken.sound)
        return time.perf_counter() - began
    finally:
        await recognition.cancel()


def _times(figures: Figures, name: str, percent: float) -> str:
    known = [value for hearing in figures.hearings if (value := getattr(hearing, name)) == value]
    return f"{percentile(known, percent):.2f}" if known else "none"


def _both(figures: Figures) -> str:
    return f"{_times(figures, 'final_s', 50)} / {_times(figures, 'final_s', 95)}"
