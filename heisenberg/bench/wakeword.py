"""How well and how cheaply the wake word is recognised, on synthesised speech.

Positives are the phrase spoken in several ways, clean and in noise; negatives are other sentences, noise and
silence. Synthesised speech is cleaner than people in a room: the figures compare settings, not products.
"""

import time
from dataclasses import dataclass

import numpy as np

from heisenberg.bench.questions import speech_at_pipeline_rate
from heisenberg.bench.table import markdown
from heisenberg.core.audio import CHUNK_SAMPLES, PIPELINE_RATE_HZ, Samples
from heisenberg.core.config import Config
from heisenberg.models import Runner
from heisenberg.wakeword.microwakeword import MicroWakeWordEngine

PHRASINGS = ("{}.", "{}!", "{}?", "{}, are you there?")
SNRS_DB = (None, 15.0, 10.0, 5.0)
OTHER_SENTENCES = (
    "The weather is going to be nice tomorrow, I think.",
    "Have you seen my keys? They were on the table this morning.",
    "Charlie and Travis went to the harbour to watch the ships.",
    "They argued for an hour about whose turn it was to drive.",
    "Please turn the page and read the second paragraph aloud.",
)


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured."""

    heard: dict[str, tuple[int, int]]
    """Condition → (detections, phrases)."""
    false_alarms: int
    other_seconds: float
    """Seconds of sound without the phrase."""
    cpu_percent: float
    """Share of one core while listening."""


async def measure(config: Config) -> Figures:
    """Run every condition."""
    phrase = config.wakeword.words[0].replace("_", " ").title()
    async with Runner(config) as runner:
        spoken = [await speech_at_pipeline_rate(runner, phrasing.format(phrase)) for phrasing in PHRASINGS]
        others = [await speech_at_pipeline_rate(runner, sentence) for sentence in OTHER_SENTENCES]
    random = np.random.default_rng(7)
    engine = MicroWakeWordEngine(config.wakeword)
    heard: dict[str, tuple[int, int]] = {}
    for snr_db in SNRS_DB:
        label = "clean" if snr_db is None else f"{snr_db:.0f} dB SNR"
        found = sum(min(1, _detections(engine, _in_room(sound, snr_db, random))) for sound in spoken)
        heard[label] = (found, len(spoken))
    room = np.concatenate([_in_room(sound, None, random) for sound in others] + [_noise(20.0, random)])
    began = time.process_time()
    false_alarms = _detections(engine, room)
    used = time.process_time() - began
    engine.close()
    seconds = len(room) / PIPELINE_RATE_HZ
    return Figures(heard, false_alarms, seconds, 100 * used / seconds)


def report(figures: Figures) -> str:
    """The figures as a table."""
    rows: list[list[object]] = [[f"heard, {label}", f"{n} of {of}"] for label, (n, of) in figures.heard.items()]
    rows.append([f"false alarms in {figures.other_seconds:.0f} s of other sound", figures.false_alarms])
    rows.append(["processor, % of one core", f"{figures.cpu_percent:.1f}"])
    return markdown(["wake word", ""], rows)


def _detections(engine: MicroWakeWordEngine, sound: Samples) -> int:
    engine.reset()
    whole = len(sound) // CHUNK_SAMPLES * CHUNK_SAMPLES
    return sum(engine.process(chunk) is not None for chunk in sound[:whole].reshape(-1, CHUNK_SAMPLES))


def _in_room(sound: Samples, snr_db: float | None, random: np.random.Generator) -> Samples:
    padded = np.pad(sound, (PIPELINE_RATE_HZ, PIPELINE_RATE_HZ)).astype(np.float64)
    if snr_db is not None:
        power = np.mean(np.square(sound.astype(np.float64)))
        padded += random.normal(0.0, np.sqrt(power / 10 ** (snr_db / 10)), len(padded))
    return np.clip(padded, -32768, 32767).astype(np.int16)


def _noise(seconds: float, random: np.random.Generator) -> Samples:
    return random.normal(0.0, 1500.0, int(seconds * PIPELINE_RATE_HZ)).astype(np.int16)
