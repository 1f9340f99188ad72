"""Ambient mode through the whole program with Kyutai's real library: words become sentences while they are spoken.

The model knows tone words only (``tests/tiny_moshi``), which are no speech to a voice-activity detector: loudness
stands in for it. Its words have no capitals, so sentences are told from each other by the pauses between them.
"""

import os
from pathlib import Path

import psutil
import pytest

from heisenberg.bench import ambient, ambient_report
from heisenberg.core.audio import Samples
from heisenberg.core.config import Config
from heisenberg.core.events import Event, SentenceHeard, TranscriptionPartial
from heisenberg.vad.silero import SileroVad
from tests import tiny_moshi
from tests.e2e.test_moshi_turn import Loudness
from tests.tiny_moshi.talk import tone_talk

pytestmark = pytest.mark.e2e

TALK_S = float(os.environ.get("HEISENBERG_E2E_AMBIENT_SECONDS", "8"))
"""How long the talks are; 600, with ``-s`` to see the figures, is what the docs tell of."""


@pytest.fixture(scope="session")
def tones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_moshi.trained_tones(tmp_path_factory)


@pytest.fixture(autouse=True)
def _hears_tones(monkeypatch: pytest.MonkeyPatch) -> None:
    """The product's voice-activity detector takes for speech what is loud."""
    loudness = Loudness()

    def process(self: SileroVad, samples: Samples) -> float:
        return loudness.process(samples)

    monkeypatch.setattr(SileroVad, "process", process)


def hearing_tones(model: Path) -> Config:
    stt = {"engine": "moshi", "model": str(model), "device": "cpu", "threads": 1, "languages": ["en"]}
    return Config.model_validate({"stt": stt, "llm": {"seed": 1}})


class Partials:
    """A sink that keeps what was shown of unfinished sentences."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def handle(self, event: Event) -> None:
        if isinstance(event, TranscriptionPartial):
            self.texts.append(event.text)

    async def close(self) -> None:
        """Nothing to close."""


class Killer:
    """A sink that kills the recogniser's process after so many sentences."""

    def __init__(self, after: int) -> None:
        self._left = after

    def handle(self, event: Event) -> None:
        if isinstance(event, SentenceHeard):
            self._left -= 1
            if self._left == 0:
                self._kill()

    async def close(self) -> None:
        """Nothing to close."""

    @staticmethod
    def _kill() -> None:
        for child in psutil.Process().children(recursive=True):
            if "workers.moshi" in " ".join(child.cmdline()):
                child.kill()


async def test_a_talk_is_the_same_at_any_speed(tones: Path, tmp_path: Path) -> None:
    """Paced, then as fast as can be, with a real language model and OSC: nothing is lost, waits or grows."""
    spoken, config, partials = tone_talk(tmp_path, TALK_S), hearing_tones(tones), Partials()
    talked = await ambient.measure(
        config, TALK_S, is_fast=False, say=print, recordings=tmp_path, compares=True, sinks=[partials]
    )
    figures = ambient_report.judge(talked, config)
    print(ambient_report.report(figures))

    assert figures.is_clean
    assert (len(talked.sentences), len(talked.sentences)) == figures.same_when_fast
    assert all(each.wrong <= 0.05 and each.ends_found >= 0.95 for each in figures.understood)
    assert abs(len(spoken) - len(talked.sentences)) <= 0.05 * len(spoken)
    assert partials.texts
    assert (0, 0, 0) == (figures.failed, figures.dropped, figures.restarts)
    assert figures.most_waiting <= 2
    assert figures.memory_mb[2] - figures.memory_mb[1] < 10


async def test_a_talk_goes_on_when_the_recogniser_is_killed_in_the_middle(tones: Path, tmp_path: Path) -> None:
    """It is started again, what was being said is heard by its successor, and the analyses go on."""
    spoken, config = tone_talk(tmp_path, TALK_S), hearing_tones(tones)
    killer = Killer(after=len(spoken) // 2)
    talked = await ambient.measure(config, TALK_S, is_fast=False, say=print, recordings=tmp_path, sinks=[killer])
    figures = ambient_report.judge(talked, config)
    print(ambient_report.report(figures))

    assert figures.is_clean
    assert 1 == figures.restarts
    assert all(each.wrong <= 0.1 for each in figures.understood)
    assert len(spoken) - 1 <= len(talked.sentences) <= len(spoken) + 1
