"""A spoken command through the real audio thread and Kyutai's real library: words while it is spoken, an end that the
model hears, and an answer.

The model knows tone words only (``tests/tiny_moshi``), which are no speech to a voice-activity detector: loudness
stands in for it, and the command follows a wake word that is always heard at the same sample. All else is as usual.
"""

import asyncio
import functools
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from heisenberg.audio.ring import SampleRing
from heisenberg.audio.wavfile import WavSource
from heisenberg.audio.wavwriter import WavWriter
from heisenberg.core.audio import Samples
from heisenberg.core.config import Config
from heisenberg.core.recordings import Passage, Wanted
from heisenberg.core.stages import Wake
from heisenberg.models import Runner
from heisenberg.orchestrator.ears import Ears
from heisenberg.orchestrator.history import History
from heisenberg.orchestrator.listener import Listener
from heisenberg.orchestrator.patience import Patience, Pauses
from heisenberg.orchestrator.session import Session
from heisenberg.orchestrator.work import Stages
from heisenberg.sinks.speech import Performance
from heisenberg.vad.endpoint import CommandEndpointer
from tests import tiny_moshi
from tests.fakes.stages import FakeBrain, FakeOutput, FakeVoice, RecordingSink, reply
from tests.integration.scene import BOUNDS
from tests.tiny_moshi import tone_speech

pytestmark = pytest.mark.e2e

WAKE_AT = 16_000


class EarlyWakeword:
    """Hears the wake word after the first second."""

    def __init__(self) -> None:
        self._samples = 0

    def process(self, samples: Samples) -> Wake | None:
        before, self._samples = self._samples, self._samples + len(samples)
        return Wake("hey_jarvis", 0.9) if before < WAKE_AT <= self._samples else None

    def reset(self) -> None:
        """It has no memory but the time."""

    def close(self) -> None:
        """Nothing to free."""


class Loudness:
    """Takes for speech what is loud."""

    def process(self, samples: Samples) -> float:
        return float(np.abs(samples).max() > 1000)

    def reset(self) -> None:
        """It has no memory."""


@pytest.fixture(scope="session")
def tones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_moshi.trained_tones(tmp_path_factory)


def recording(folder: Path, words: str) -> Path:
    """*words* behind the wake word, spoken without a gap that is a pause, and then two seconds of silence."""
    quiet = np.zeros(WAKE_AT + 4800, dtype=np.int16)
    spoken = tone_speech(words, lead_s=0.4, gap_s=0.16, tail_s=2.0)
    writer = WavWriter(folder / "tones.wav", 16_000)
    writer.write(np.concatenate([quiet, spoken]))
    writer.close()
    return folder / "tones.wav"


@asynccontextmanager
async def turn(model: Path, wav: Path, is_complete: bool | None) -> AsyncIterator[list[Any]]:
    """Serve one turn of *wav*, read in real time; the events."""
    config = Config.model_validate({"stt": {"engine": "moshi", "model": str(model), "device": "cpu", "threads": 1}})
    brain, output, voice, sink = FakeBrain(), FakeOutput(), FakeVoice(), RecordingSink()
    for _ in range(4):
        brain.enqueue(*reply("It is bright now.", mood="calm"))
    async with Runner(config) as runner:
        recogniser = runner.recogniser()
        await recogniser.warm_up()
        history = History(6, 300.0, asyncio.get_running_loop().time)
        performance = functools.partial(Performance, voice, output)
        stages = Stages(recogniser, brain, performance, output, history, "en")
        patience = Patience(
            Pauses(complete=0.45, incomplete=1.2, usual=0.6),
            lambda text, language: is_complete,
            heads=runner.signs,
            head_threshold=config.stt.pause_threshold,
        )
        session = Session(stages, (sink,), BOUNDS, patience=patience, once=True)
        endpointer, ring = CommandEndpointer(config.vad), SampleRing(16_000 * 30)
        ears = Ears(WavSource(wav), EarlyWakeword(), Loudness(), endpointer, ring, follows_pauses=True)
        session.hear_from(lambda report: Listener(ears, report, preroll_s=0.3))
        async with asyncio.timeout(60):
            await session.run()
    yield sink.events


async def test_a_command_is_written_while_it_is_spoken_and_ends_where_the_model_hears_its_end(
    tones: Path, tmp_path: Path
) -> None:
    """The words alone say nothing here: that the pause ended the turn early is the pause heads' doing."""
    wav = recording(tmp_path, "turn on the kitchen light.")
    async with turn(tones, wav, is_complete=None) as events:
        partials = [event.text for event in events if event.type == "transcription_partial"]
        (final,) = [event.text for event in events if event.type == "transcription_final"]
        (ended,) = [event for event in events if event.type == "speech_ended"]
        kinds = [event.type for event in events]

    assert ["turn", "turn on", "turn on the"] == partials[:3]
    assert "turn on the kitchen light." == final
    assert kinds.index("transcription_partial") < kinds.index("speech_ended")
    assert "semantic" == ended.reason
    assert "turn_completed" in kinds


async def test_a_command_that_breaks_off_is_waited_for(tones: Path, tmp_path: Path) -> None:
    """In mid-sentence the heads see no long pause coming at first: it ends later than configured, by silence."""
    wav = recording(tmp_path, "turn on the kitchen")
    async with turn(tones, wav, is_complete=False) as events:
        (final,) = [event.text for event in events if event.type == "transcription_final"]
        (ended,) = [event for event in events if event.type == "speech_ended"]

    assert "turn on the kitchen" == final
    assert "silence" == ended.reason


async def test_whoever_writes_down_a_file_is_told_too_that_the_device_is_missing(
    tones: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    missing = "cuda" if sys.platform == "darwin" else "mps"
    config = Config.model_validate({"stt": {"engine": "moshi", "model": str(tones), "device": missing}})
    file = recording(tmp_path, "what time is it now?")
    async with Runner(config) as runner:
        parts = [part async for part in runner.transcriber().transcribe(file, Wanted())]

    assert ["what time is it now?"] == [part.text for part in parts if isinstance(part, Passage)]
    assert f"{missing} cannot run the recogniser" in caplog.text
    assert "cpu does." in caplog.text
